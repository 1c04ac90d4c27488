"""The pages: one GET each, drawn from the same documents as the commands print. Mounted by `server.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from models.lead_list import Field, Standing
from worker.desk import remote_key
from worker.documents import lists as documents
from worker.documents.alerts import open_alerts
from worker.documents.audit import audit
from worker.documents.backlog import BacklogDocument, BacklogMinute, backlog
from worker.documents.conflicts import conflicts
from worker.documents.doctor import doctor
from worker.documents.pace import PaceDocument
from worker.documents.plan import PLAN_PATIENCE, plan
from worker.documents.scans import scans
from worker.documents.show import show
from worker.documents.status import StatusDocument, status
from worker.errors import UsageError
from worker.store.held_views import HeldFilter
from worker.store.list_views import ListFilter, Sort
from worker.store.views import ParkedFilter
from worker.sync.resolve import field_named
from worker.web.pages import words
from worker.web.pages.front import ROWS, Asked, Front, PageRoute, draw, query

#: Steps of a list's past that are shown, and that may be asked for.
_STEPS, _MOST_STEPS = 30, 500
#: Lists that one plan holds: a person should be able to read it.
_PLANNED: Final = 100
_FIELDS: Final = tuple(field.value for field in Field)


def router(front: Front) -> APIRouter:
    """All pages."""
    routes = APIRouter(include_in_schema=False, route_class=PageRoute)
    routes.include_router(_lists(front))
    routes.include_router(_people(front))
    runtime, views, checking = front.runtime, front.views, asyncio.Lock()

    @routes.get("/")
    async def now(request: Request) -> Response:
        """Everything at a glance."""
        found, pace, late, alerts = await asyncio.gather(
            _status(front, request), front.pace.ask(views), backlog(runtime), open_alerts(views)
        )
        contents: dict[str, Any] = {"found": found, "sentence": words.sentence(found), "bar": words.bar(found)}
        contents["most"] = words.most_a_minute(found)
        contents |= {"whole": pace, "late": late, "plots": _plots(pace, late), "alerts": alerts.items}
        return draw(request, "now.html", title="Now", live=True, **contents)

    @routes.get("/scans")
    async def all_scans(request: Request) -> Response:
        """Certificates, and what a person is asked."""
        asked = query(request)
        page, complete = await asyncio.gather(
            scans(views, asked.get("remote"), limit=ROWS, after=asked.get("after")),
            asyncio.to_thread(views.look, lambda view: view.scans.last_complete()),
        )
        last = {name: complete.get(name) for name in front.remotes}
        return draw(request, "scans.html", title="Scans", live=True, page=page, last=last, remote=asked["remote"])

    @routes.get("/plan")
    async def show_plan(request: Request) -> Response:
        """What would be sent now. Not live: what is applied is what was looked at."""
        asked = query(request)
        ask = partial(plan, runtime, remote=asked.get("remote"), after=asked.get("after"))
        found = await ask(limit=_PLANNED, patience=PLAN_PATIENCE)
        return draw(request, "plan.html", title="Plan", found=found, remotes=front.remotes, remote=asked["remote"])

    @routes.get("/doctor")
    async def ask_doctor(request: Request) -> Response:
        """Every check, once at a time: it reads from each remote."""
        async with checking:
            found = await doctor(runtime, front.health)
        return draw(request, "doctor.html", title="Doctor", found=found, health=words.health(found))

    @routes.get("/audit")
    async def ask_audit(request: Request) -> Response:
        """What people did."""
        page = await audit(views, limit=ROWS, after=query(request).get("after"))
        return draw(request, "audit.html", title="Audit", live=True, page=page)

    return routes


def _lists(front: Front) -> APIRouter:
    routes = APIRouter(route_class=PageRoute)
    runtime, views = front.runtime, front.views

    @routes.get("/lists")
    async def lists(request: Request) -> Response:
        """Lead lists, some at a time."""
        asked = query(request)
        standings = [_standing(word) for word in asked.all("standing")]
        which = ListFilter(asked.get("remote"), asked["q"].strip() or None, on_hold=bool(asked["hold"]))
        sort = _sort(asked["sort"])
        ask = partial(documents.lists, runtime, views, standings, limit=ROWS, after=asked.get("after"))
        page = await ask(which=which, sort=sort, down=bool(asked["down"]))
        kept = _kept(asked, "q", "remote", "standing", "hold", "sort", "down")
        return draw(request, "lists.html", title="Lists", live=True, page=page, asked=kept, remotes=front.remotes)

    @routes.get("/list")
    async def one(request: Request) -> Response:
        """One list: wanted beside each copy. It is named by one of its copies, since ids may hold anything."""
        asked = query(request)
        steps = min(asked.number("steps"), _MOST_STEPS) if asked["steps"] else _STEPS
        found = await show(runtime, views, remote_key(asked["copy"]), history=steps)
        name = found.wanted.get(Field.NAME)
        contents: dict[str, Any] = {"found": found, "name": name and name.value}
        contents |= {"fields": _FIELDS, "copy": asked["copy"]}
        more = _MOST_STEPS if len(found.history) == steps < _MOST_STEPS else None
        return draw(request, "list.html", title="List", live=True, more=more, **contents)

    return routes


def _people(front: Front) -> APIRouter:
    """What waits for a person."""
    routes = APIRouter(route_class=PageRoute)
    runtime, views = front.runtime, front.views

    @routes.get("/waiting")
    async def waiting(request: Request) -> Response:
        """Why due copies wait, and what is parked, by cause."""
        asked = query(request)
        which = ParkedFilter(asked.get("remote"), asked.get("cause"))
        found, page, groups, held = await asyncio.gather(
            _status(front, request),
            documents.parked(views, which, limit=ROWS, after=asked.get("after")),
            front.parked.ask(views, fresh=_has_acted(request)),
            documents.lists(runtime, views, (), limit=ROWS, after=asked.get("held"), which=ListFilter(on_hold=True)),
        )
        contents: dict[str, Any] = {"found": found, "page": page, "groups": groups[:ROWS]}
        contents |= {"more_groups": len(groups) > ROWS, "held": held, "holds": held.items}
        contents |= {"waits": words.WAITS, "asked": _kept(asked, "remote", "cause")}
        return draw(request, "waiting.html", title="Waiting and parked", live=True, **contents)

    @routes.get("/conflicts")
    async def held(request: Request) -> Response:
        """Fields that wait for a decision."""
        asked = query(request)
        which = HeldFilter(asked.get("remote"), field_named(asked["field"]) if asked["field"] else None)
        page = await conflicts(runtime, views, which, limit=ROWS, after=asked.get("after"))
        contents: dict[str, Any] = {"page": page, "asked": _kept(asked, "remote", "field")}
        contents |= {"fields": _FIELDS, "remotes": front.remotes}
        return draw(request, "conflicts.html", title="Conflicts", live=True, **contents)

    @routes.get("/rejects")
    async def rejects(request: Request) -> Response:
        """Events that could not be taken in."""
        page = await documents.rejects(views, limit=ROWS, after=query(request).get("after"))
        return draw(request, "rejects.html", title="Rejects", live=True, page=page)

    return routes


def _kept(asked: Asked, *names: str) -> Mapping[str, str]:
    """What stood in the form above."""
    return {name: asked[name] for name in names}


def _standing(word: str) -> Standing:
    try:
        return Standing(word)
    except ValueError:
        raise UsageError(f"standing: expected {', '.join(Standing)}, got {word!r}") from None


def _sort(word: str) -> Sort:
    try:
        return Sort(word or Sort.NUMBER)
    except ValueError:
        raise UsageError(f"sort: expected {', '.join(Sort)}, got {word!r}") from None


async def _status(front: Front, request: Request) -> StatusDocument:
    return await status(front.runtime, front.views, await front.tally.ask(front.views, fresh=_has_acted(request)))


def _has_acted(request: Request) -> bool:
    """A button led here, and people look for what it did."""
    return bool(query(request)["said"])


def _plots(pace: PaceDocument, late: BacklogDocument) -> dict[str, Any]:
    """Numbers for the plots, by column; what is not known is null."""
    minutes, nobody = pace.minutes, BacklogMinute()
    behind = [late.minutes.get(one.at, nobody) for one in minutes]
    return {
        "at": [int(one.at.timestamp()) for one in minutes],
        "p50": [one.p50_ms and one.p50_ms / 1_000 for one in minutes],
        "p99": [one.p99_ms and one.p99_ms / 1_000 for one in minutes],
        "calls": [one.calls for one in minutes],
        "patches": [one.patches for one in minutes],
        "limited": [one.limited for one in minutes],
        "needed": [one.needed for one in behind],
        "sent": [one.sent for one in behind],
        "stale": [one.stale_s for one in behind],
        "event": [one.event_s for one in behind],
    }
