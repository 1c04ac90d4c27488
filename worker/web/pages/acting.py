"""The buttons: one POST each, then back to the page. Where more than one thing is changed, or something is given up,
a page asks first and says how much it is. Mounted by `server.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from worker.desk import remote_key
from worker.documents.conflicts import decidable
from worker.documents.scans import question
from worker.errors import UsageError
from worker.ports import RemoteKey
from worker.store.held_views import HeldFilter
from worker.store.views import ParkedFilter
from worker.sync.resolve import WANTED, HeldField, check, field_named
from worker.sync.schedule import held
from worker.web.access import Person, operator
from worker.web.pages.front import Asked, Front, PageRoute, back, draw, form
from worker.web.pages.words import thousands

By = Annotated[Person, Depends(operator)]
Form = Annotated[Asked, Depends(form)]

#: What is asked before, by the last part of the button's address.
_PARKED: Final = {
    "retry": "parked {copies} will be due again, and read before anything is sent",
    "discard": "parked {copies} will be unlinked: they are no longer synced there; nothing is deleted on the remote",
}


@dataclass(frozen=True, slots=True)
class _Question:
    """What the page that asks first says; `count` comes back with the answer."""

    says: str
    count: int
    button: str
    #: Where "no" leads.
    otherwise: str

    def answered(self, asked: Asked) -> bool:
        """Somebody saw this very number and said yes."""
        return asked["sure"] == str(self.count)

    def draw(self, request: Request, asked: Asked, *names: str) -> Response:
        """Ask; the fields go round with the question."""
        fields = [(name, value) for name in (*names, "back") for value in asked.all(name)]
        return draw(
            request, "ask.html", title="Sure?", question=self, fields=fields, no=asked["back"] or self.otherwise
        )


def router(front: Front) -> APIRouter:
    """All buttons."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)
    for some in (_remotes, _lists, _parked, _conflicts, _scans, _others):
        routes.include_router(some(front))
    return routes


def _remotes(front: Front) -> APIRouter:
    routes, actions = APIRouter(route_class=PageRoute), front.actions

    @routes.post("/remotes/pause")
    async def pause(by: By, asked: Form) -> Response:
        """Send nothing there."""
        await actions.pause(by, asked["remote"])
        return back(asked, "/", "paused")

    @routes.post("/remotes/resume")
    async def resume(by: By, asked: Form) -> Response:
        """Send there again."""
        await actions.resume(by, asked["remote"])
        return back(asked, "/", "resumed")

    @routes.post("/remotes/scan")
    async def scan(by: By, asked: Form) -> Response:
        """Read all of it."""
        await actions.scan(by, asked["remote"])
        return back(asked, "/scans", "scanning")

    return routes


def _lists(front: Front) -> APIRouter:
    routes, actions = APIRouter(route_class=PageRoute), front.actions

    @routes.post("/list/push")
    async def push(by: By, asked: Form) -> Response:
        """What is parked is due again, and workers look at all that is due."""
        await actions.push_now(by, remote_key(asked["copy"]))
        return back(asked, "/lists", "pushed")

    @routes.post("/list/hold")
    async def hold(by: By, asked: Form) -> Response:
        """Let nothing be written to it, or to one copy of it."""
        await actions.hold(by, [remote_key(asked["copy"])], alone=bool(asked["alone"]))
        return back(asked, "/lists", "held")

    @routes.post("/list/release")
    async def release(request: Request, by: By, asked: Form) -> Response:
        """One at once; more are asked for first."""
        alone, which = bool(asked["alone"]), list(dict.fromkeys(remote_key(name) for name in asked.all("copy")))
        if asked["all"]:
            which = await asyncio.to_thread(front.views.look, lambda view: view.held_keys())
        elif not which:
            raise UsageError("tick some lists first, or choose all that are held")
        says = f"{thousands(len(which))} lists will be released: what differs there is due at once."
        sure = _Question(says, len(which), "Release them", "/waiting")
        if len(which) > 1 and not sure.answered(asked):
            return sure.draw(request, asked, "copy", "all", "alone")
        moved = (await actions.release(by, which, alone=alone)).moved
        return back(asked, "/waiting", "let-go" if moved else "none", moved)

    @routes.post("/list/unlink")
    async def unlink(request: Request, by: By, asked: Form) -> Response:
        """Let one copy go; asked first."""
        key = remote_key(asked["copy"])
        says = f"{asked['copy']} will no longer be synced. Nothing is deleted on {key[0]}."
        sure = _Question(says, 1, "Unlink it", "/lists")
        if not sure.answered(asked):
            return sure.draw(request, asked, "copy")
        await actions.unlink(by, key)
        return back(asked, "/lists", "unlinked")

    return routes


def _parked(front: Front) -> APIRouter:
    routes, actions = APIRouter(route_class=PageRoute), front.actions

    @routes.post("/parked/retry")
    async def retry(request: Request, by: By, asked: Form) -> Response:
        """One at once; more are asked for first."""
        which, count = await _which_parked(front, asked)
        sure = _question(count, "retry", "Retry them")
        if count > 1 and not sure.answered(asked):
            return sure.draw(request, asked, "copy", "all", "remote", "cause")
        moved = (await actions.retry_parked(by, which)).moved
        return back(asked, "/waiting", "retried" if moved else "none", moved)

    @routes.post("/parked/discard")
    async def discard(request: Request, by: By, asked: Form) -> Response:
        """Always asked for first."""
        which, count = await _which_parked(front, asked)
        sure = _question(count, "discard", "Discard them" if count > 1 else "Discard it")
        if count and not sure.answered(asked):
            return sure.draw(request, asked, "copy", "all", "remote", "cause")
        moved = (await actions.discard_parked(by, which)).moved
        return back(asked, "/waiting", "discarded" if moved else "none", moved)

    return routes


def _question(count: int, word: str, button: str) -> _Question:
    copies = "copy" if count == 1 else "copies"
    return _Question(f"{thousands(count)} {_PARKED[word].format(copies=copies)}.", count, button, "/waiting")


async def _which_parked(front: Front, asked: Asked) -> tuple[Sequence[RemoteKey] | ParkedFilter, int]:
    """Those that were ticked, or all that match, and how many they are now."""
    if asked["all"]:
        which = ParkedFilter(asked.get("remote"), asked.get("cause"))
        return which, len(await asyncio.to_thread(front.views.look, lambda view: view.parked_keys(which)))
    keys = list(dict.fromkeys(remote_key(name) for name in asked.all("copy")))
    if not keys:
        raise UsageError("tick some copies first, or choose all that match")
    return keys, len(keys)


def _conflicts(front: Front) -> APIRouter:
    routes, actions = APIRouter(route_class=PageRoute), front.actions

    @routes.post("/conflicts/resolve")
    async def resolve(request: Request, by: By, asked: Form) -> Response:
        """One at once; all that match are asked for first."""
        use = asked["use"]
        check(use, front.runtime.registry.rules)
        which: list[HeldField] | HeldFilter
        if asked["all"]:
            field = field_named(asked["field"]) if asked["field"] else None
            which = HeldFilter(asked.get("remote"), field)
            count = len(await decidable(front.views, which))
            meaning = "what is wanted stays" if use == WANTED else f"what {use} shows becomes wanted"
            fields = "held field" if count == 1 else "held fields"
            sure = _Question(f"{thousands(count)} {fields}: {meaning}.", count, "Decide them", "/conflicts")
            if count and not sure.answered(asked):
                return sure.draw(request, asked, "use", "all", "remote", "field")
        else:
            which = [(remote_key(asked["copy"]), field_named(asked["field"]))]
        moved = (await actions.resolve(by, which, use)).moved
        return back(asked, "/conflicts", "resolved" if moved else "none", moved)

    return routes


def _scans(front: Front) -> APIRouter:
    routes, actions = APIRouter(route_class=PageRoute), front.actions

    async def decide(request: Request, by: Person, asked: Asked, *, release: bool) -> Response:
        number = asked.number("scan")
        waiting = await front.runtime.store.run(lambda tx: held(tx, number))
        says, button = f"{question(waiting, release=release)}.", "Release it" if release else "Refuse it"
        sure = _Question(says[0].upper() + says[1:], waiting.drift + waiting.missing, button, "/scans")
        if not sure.answered(asked):
            return sure.draw(request, asked, "scan")
        await actions.decide(by, number, release=release)
        return back(asked, "/scans", "released" if release else "refused")

    @routes.post("/scans/release")
    async def release(request: Request, by: By, asked: Form) -> Response:
        """It goes on; asked first."""
        return await decide(request, by, asked, release=True)

    @routes.post("/scans/refuse")
    async def refuse(request: Request, by: By, asked: Form) -> Response:
        """Nothing is taken in; asked first."""
        return await decide(request, by, asked, release=False)

    return routes


def _others(front: Front) -> APIRouter:
    routes, actions = APIRouter(route_class=PageRoute), front.actions

    @routes.post("/plan/apply")
    async def apply(request: Request, by: By, asked: Form) -> Response:
        """The page with the plan was the question: exactly that is let through."""
        done = await actions.apply(by, asked["hash"])
        return draw(request, "applied.html", title="Applied", done=done)

    @routes.post("/rejects/retry")
    async def retry(request: Request, by: By, asked: Form) -> Response:
        """One at once; more are asked for first."""
        every = bool(asked["all"])
        ids = None if every else sorted({_id(word) for word in asked.all("reject")})
        if ids is not None and not ids:
            raise UsageError("tick some events first, or choose all")
        known_ids = await asyncio.to_thread(front.views.look, lambda view: view.reject_ids())
        count = len(known_ids if ids is None else ids)
        sure = _Question(f"{thousands(count)} events go back into the stream.", count, "Retry them", "/rejects")
        if count > 1 and not sure.answered(asked):
            return sure.draw(request, asked, "reject", "all")
        moved = (await actions.retry_rejects(by, ids)).moved
        return back(asked, "/rejects", "requeued" if moved else "none", moved)

    return routes


def _id(word: str) -> int:
    return Asked([("reject", word)]).number("reject")
