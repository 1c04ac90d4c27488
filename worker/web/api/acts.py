"""POST /api/v1/…: what the commands do. Mounted by `app.py`. Nothing asks first, so look before: counts are in GET."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from models.lead_list import Field
from worker.desk import remote_key
from worker.documents.plan import ApplyDocument
from worker.documents.scans import ScanDocument, scan_document
from worker.errors import NotKnown, UsageError
from worker.ports import RemoteKey
from worker.store.held_views import HeldFilter
from worker.store.views import ParkedFilter
from worker.sync.operate import known
from worker.sync.resolve import HeldField
from worker.web.access import Person, operator
from worker.web.actions import Actions
from worker.web.api.answers import Document
from worker.web.api.shapes import Let, Number, Text, Tie, WhichHeld, WhichHolds, WhichLists, WhichParked, WhichRejects
from worker.wiring import Runtime

By = Annotated[Person, Depends(operator)]
Remote = Annotated[Text, Path()]
ScanId = Annotated[Number, Path()]


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedDocument:
    """How many were meant, and how many were moved; the others were no longer there to be."""

    matched: int
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedDocument:
    """The lead list that the copies are tied to now."""

    list_id: int
    copies: dict[str, str]
    #: False when they were tied already.
    changed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlinkedDocument:
    """The copy that is no longer synced."""

    unlinked: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDocument:
    """Whether calls go to a remote."""

    remote: str
    state: str
    #: False when it was so already.
    changed: bool


class Acts:
    """What operators may do."""

    def __init__(self, runtime: Runtime, actions: Actions) -> None:
        self._rules, self._actions = runtime.registry.rules, actions

    def router(self) -> APIRouter:
        """The routes."""
        routes = APIRouter()
        for path, act, document in (
            ("/parked/retry", self.retry_parked, MovedDocument),
            ("/parked/discard", self.discard_parked, MovedDocument),
            ("/conflicts/resolve", self.resolve, MovedDocument),
            ("/rejects/retry", self.retry_rejects, MovedDocument),
            ("/remotes/{remote}/pause", self.pause, StateDocument),
            ("/remotes/{remote}/resume", self.resume, StateDocument),
            ("/remotes/{remote}/scan", self.scan, ScanDocument),
            ("/scans/{id}/release", self.release, ScanDocument),
            ("/scans/{id}/refuse", self.refuse, ScanDocument),
            ("/plans/{hash}/apply", self.apply, ApplyDocument),
            ("/lists/hold", self.hold, MovedDocument),
            ("/lists/release", self.release_lists, MovedDocument),
            ("/link", self.link, LinkedDocument),
            ("/unlink", self.unlink, UnlinkedDocument),
        ):
            told: dict[int | str, dict[str, Any]] = {200: {"model": document, "description": "Done"}}
            summary = act.__name__.replace("_", " ")
            routes.add_api_route(path, act, methods=["POST"], response_model=None, responses=told, summary=summary)
        return routes

    async def retry_parked(self, which: WhichParked, by: By) -> Document:
        """Make parked copies due; each is read before anything is sent."""
        return Document(MovedDocument(**asdict(await self._actions.retry_parked(by, _parked(which)))))

    async def discard_parked(self, which: WhichParked, by: By) -> Document:
        """Give parked copies up: they are unlinked. Nothing is deleted on the remote."""
        return Document(MovedDocument(**asdict(await self._actions.discard_parked(by, _parked(which)))))

    async def resolve(self, which: WhichHeld, by: By) -> Document:
        """Decide held fields: what a remote shows becomes wanted, or what is wanted overwrites the copies."""
        return Document(MovedDocument(**asdict(await self._actions.resolve(by, _held(which), which.use))))

    async def retry_rejects(self, which: WhichRejects, by: By) -> Document:
        """Put rejected events back into the stream."""
        return Document(MovedDocument(**asdict(await self._actions.retry_rejects(by, which.ids))))

    async def pause(self, remote: Remote, by: By) -> Document:
        """Send nothing there; its changes are still taken in."""
        self._configured(remote)
        before = await self._actions.pause(by, remote)
        return Document(StateDocument(remote=remote, state="paused", changed=not before.paused))

    async def resume(self, remote: Remote, by: By) -> Document:
        """Send there again."""
        self._configured(remote)
        before = await self._actions.resume(by, remote)
        return Document(StateDocument(remote=remote, state="active", changed=before.paused))

    async def scan(self, remote: Remote, by: By) -> Document:
        """Read every list of the remote now; joins the scan that is under way. GET /scans/ID follows it."""
        self._configured(remote)
        return Document(scan_document(await self._actions.scan(by, remote)))

    async def release(self, id: ScanId, by: By) -> Document:
        """Let a held scan go on: what it found is taken in."""
        return Document(scan_document(await self._actions.decide(by, id, release=True)))

    async def refuse(self, id: ScanId, by: By) -> Document:
        """Take nothing in of what a held scan found."""
        return Document(scan_document(await self._actions.decide(by, id, release=False)))

    async def apply(self, hash: Annotated[Text, Path()], by: By) -> Document:
        """Send what a plan showed; what has moved since is not sent. Does not wait until it was sent."""
        return Document(await self._actions.apply(by, hash))

    async def hold(self, which: WhichLists, by: By) -> Document:
        """Let nothing be written to lists, or to one copy of each, until they are released. What is seen there is taken
        in as ever, and a call in flight is let finish. `moved` counts those that were not held already.
        """
        keys = [remote_key(name) for name in which.copies]
        return Document(MovedDocument(**asdict(await self._actions.hold(by, keys, alone=which.alone))))

    async def release_lists(self, which: WhichHolds, by: By) -> Document:
        """Let lists that people hold be written again: what differs is due at once."""
        keys = None if which.copies is None else [remote_key(name) for name in which.copies]
        return Document(MovedDocument(**asdict(await self._actions.release(by, keys, alone=which.alone))))

    async def link(self, tie: Tie, by: By) -> Document:
        """Tie copies together: they become one lead list."""
        linked = await self._actions.link(by, [remote_key(name) for name in tie.copies])
        copies = dict(linked.copies)
        return Document(LinkedDocument(list_id=linked.list_id, copies=copies, changed=linked.changed))

    async def unlink(self, one: Let, by: By) -> Document:
        """Let one copy go: it is no longer synced. Nothing is deleted on the remote."""
        await self._actions.unlink(by, remote_key(one.copy_name))
        return Document(UnlinkedDocument(unlinked=[one.copy_name]))

    def _configured(self, remote: str) -> None:
        try:
            known(remote, self._rules)
        except UsageError as error:
            raise NotKnown(str(error)) from None


def _parked(which: WhichParked) -> list[RemoteKey] | ParkedFilter:
    if which.copies:
        return [remote_key(name) for name in which.copies]
    return ParkedFilter(which.remote, which.cause)


def _held(which: WhichHeld) -> list[HeldField] | HeldFilter:
    field = which.field and Field(which.field)
    if which.copy_name is not None and field:
        return [(remote_key(which.copy_name), field)]
    return HeldFilter(which.remote, field or None)
