"""Remotes in bad times: slow, failing, lagging, leaving lists out. In memory and virtual time, for simulations.

Every trouble that befalls a request is written to the trace, and every write is kept with what it changed, so that
judges can say afterwards whether it was needed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from models.lead_list import Field, Kind
from models.observation import Shown
from models.patch import Patch
from tests.support.virtual_time import VirtualLoop
from worker.errors import RemoteDown, Unclear
from worker.remotes.base import Answer, Page, Request, Send
from worker.remotes.crm.connector import LISTS, CrmConnector
from worker.remotes.memory import MemoryWire

#: How long after it was sent a write may still land.
LATE_WRITE_S = 120.0
#: What was said to be wrong with a list is not said again of another proof within this time.
_MEMORY_S = 120.0


class VersionedConnector(CrmConnector):
    """Lists carry their versions and members, as in the CRM and Lance."""


class UnversionedConnector(CrmConnector):
    """Lists carry neither versions nor members, as in Instantly."""

    async def get(self, send: Send, remote_id: str) -> Shown:
        return _bare(await super().get(send, remote_id))

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        shown = await super().patch(send, remote_id, kind, patch)
        return shown and _bare(shown)

    async def page(self, send: Send, cursor: str | None) -> Page:
        page = await super().page(send, cursor)
        return Page(tuple(_bare(shown) for shown in page.items), page.next)


def _bare(shown: Shown) -> Shown:
    return replace(shown, version=None, members=None)


@dataclass(frozen=True, slots=True)
class Troubles:
    """How many of a hundred requests of each sort meet each trouble."""

    read: Mapping[str, int]
    write: Mapping[str, int]
    page: Mapping[str, int]


#: A list is either left out of listings or answered with 404 for no reason, never both: that is what being gone means.
LYING_LISTINGS = Troubles(
    read={"500": 4, "lost": 4, "429": 2, "403": 1, "html": 1, "stale": 3},
    write={"lost": 4, "applied": 5, "hangs": 4, "500": 3, "applied 500": 3, "429": 2, "403": 1, "down": 2},
    page={"500": 5, "lost": 3, "429": 2, "403": 1, "html": 2, "cut": 2, "again": 2, "empty": 2,
          "drops": 8, "stale": 6, "nothing": 1},
)  # fmt: skip
LYING_IDS = Troubles(
    read={**LYING_LISTINGS.read, "404": 5},
    write={**LYING_LISTINGS.write, "404": 4},
    page={"500": 5, "lost": 3, "429": 2, "403": 1, "html": 2, "cut": 2, "stale": 6},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One write that was applied."""

    at: datetime
    remote_id: str
    body: Any
    before: Shown
    after: Shown
    #: A trouble that made an earlier or this write unclear.
    unclear: bool

    @property
    def idle(self) -> bool:
        """It changed nothing."""
        return self.before == self.after


class LyingRemote(MemoryWire):
    """One remote: lists by id, a history of them, and troubles while `troubles` are on. Implements `Wire`."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        chance: random.Random,
        tell: Callable[[str], None],
        *,
        versioned: bool,
        page: int,
    ) -> None:
        self.name, self.versioned = name, versioned
        self.connector = (VersionedConnector if versioned else UnversionedConnector)(name)
        self._loop, self._chance, self._tell = loop, chance, tell
        self._history: list[tuple[datetime, dict[str, Shown]]] = []
        self.troubles: Troubles | None = None
        self.met: dict[str, int] = {}
        self.writes: list[Written] = []
        #: Called with each list that changed there, to send events of it.
        self.changed: Callable[[Shown], None] = lambda _shown: None
        #: Requests under way, and writes that may still land, by list.
        self.busy: dict[str, int] = {}
        self.overlaps = 0
        self._unclear_until: dict[str, float] = {}
        self.deleted: set[str] = set()
        super().__init__((), page)

    # -- lists

    def put(self, shown: Shown) -> Shown:
        """Store a list as it is now, and remember how all were."""
        self._now = max(self._now, self._loop.now())
        stored = super().put(shown)
        self._remember()
        return stored

    def delete(self, remote_id: str) -> None:
        """A person deletes a list."""
        del self.lists[remote_id]
        self.deleted.add(remote_id)
        self._remember()

    def _remember(self) -> None:
        self._history.append((self._loop.now(), dict(self.lists)))

    # -- requests

    async def exchange(self, request: Request) -> Answer:
        """One request, there and back, with its trouble."""
        trouble, one = self._trouble(request), request.path.removeprefix(LISTS).strip("/")
        self.met[trouble] = self.met.get(trouble, 0) + 1
        named = trouble or "ok"
        self._tell(f"{self.name}: {request.method} {one or request.query} {request.body or ''} meets {named}")
        self._enter(one, request)
        try:
            await self._travels(page=request.path == LISTS)
            answer = await self._answered(request, trouble)
            await self._travels(page=request.path == LISTS)
            return answer
        finally:
            self.busy[one] -= 1

    async def _travels(self, *, page: bool) -> None:
        """One way; calls overtake each other on both."""
        slow = self.troubles is not None and self._chance.random() < (0.4 if page else 0.2)
        await asyncio.sleep(self._chance.uniform(0.01, 9.0 if slow else 0.5))

    def _enter(self, one: str, request: Request) -> None:
        self.busy[one] = self.busy.get(one, 0) + 1

    def _trouble(self, request: Request) -> str:
        if self.troubles is None:
            return ""
        page = request.path == LISTS
        kinds = self.troubles.page if page else self.troubles.write if request.writes else self.troubles.read
        number = self._chance.randrange(100)
        for name, share in kinds.items():
            number -= share
            if number < 0:
                return name
        return ""

    async def _answered(self, request: Request, trouble: str) -> Answer:
        match trouble:
            case "lost":
                await asyncio.sleep(self._chance.choice((0.5, 8.0)))
                raise Unclear("no answer in time")
            case "applied":
                await self._apply(request, unclear=True)
                raise Unclear("no answer in time")
            case "applied 500":
                await self._apply(request, unclear=True)
                return _says(500)
            case "hangs":
                self._land_later(request)
                raise Unclear("no answer in time")
            case "down":
                raise RemoteDown("connection refused")
            case "500" | "429" | "403" | "404":
                return _says(int(trouble))
            case "stale" if self.versioned:
                return await self._stale(request)
            case "html" | "cut" | "nothing" | "empty" | "again" | "drops":
                return await self._lie(request, trouble)
            case _:
                return await self._apply(request)

    async def _lie(self, request: Request, trouble: str) -> Answer:
        """An answer that says less than there is."""
        match trouble:
            case "html":
                return Answer(status=200, body=b"<html>Please log in</html>")
            case "cut":
                answer = await self._apply(request)
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case "nothing":
                return _json({"items": [], "next_cursor": None})
            case "empty":
                return _json({"items": [], "next_cursor": "7"})
            case "again":
                page = orjson.loads((await self._apply(request)).body)
                return _json({**page, "next_cursor": self._chance.choice(("0", request.query.get("cursor") or "0"))})
            case _:
                page = orjson.loads((await self._apply(request)).body)
                return _json({**page, "items": [one for one in page["items"] if self._chance.random() < 0.6]})

    async def _apply(self, request: Request, *, unclear: bool = False) -> Answer:
        remote_id = request.path.removeprefix(LISTS).strip("/")
        before = self.lists.get(remote_id)
        answer = await super().exchange(request)
        if request.writes and before is not None:
            after = self.lists[remote_id]
            if unclear:
                self._unclear_until[remote_id] = self._loop.time() + LATE_WRITE_S + _MEMORY_S
            doubt = self._loop.time() < self._unclear_until.get(remote_id, 0.0)
            written = Written(
                at=self._loop.now(), remote_id=remote_id, body=request.body, before=before, after=after, unclear=doubt
            )
            self.writes.append(written)
            if not written.idle:
                self.changed(after)
        return answer

    def _land_later(self, request: Request) -> None:
        """Somewhere it hangs; it lands before it can no longer arrive, or never."""
        remote_id = request.path.removeprefix(LISTS).strip("/")
        self._unclear_until[remote_id] = self._loop.time() + LATE_WRITE_S + _MEMORY_S
        if self._chance.random() < 0.7:
            self.busy[remote_id] = self.busy.get(remote_id, 0) + 1
            self._loop.call_later(self._chance.uniform(0.5, LATE_WRITE_S - 30.0), self._land, request, remote_id)

    def _land(self, request: Request, remote_id: str) -> None:
        self.busy[remote_id] -= 1
        self._tell(f"{self.name}: {request.method} {remote_id} {request.body} lands late")
        self.met["landed late"] = self.met.get("landed late", 0) + 1
        _now(self._apply(request, unclear=True))

    async def _stale(self, request: Request) -> Answer:
        """From a replica that lags."""
        if request.writes:
            return await self._apply(request)
        lag_s = self._chance.uniform(1.0, 40.0)
        then = [lists for at, lists in self._history if (self._loop.now() - at).total_seconds() >= lag_s]
        if not then:
            return await self._apply(request)
        # A replica may lag in what lists show; which there are is decided by the other troubles.
        old = {one: then[-1].get(one, shown) for one, shown in self.lists.items()}
        replica = MemoryWire((), self._page)
        replica.lists = old
        return await replica.exchange(request)


def _now(work: Awaitable[Answer]) -> None:
    """Run what never waits."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration:
        return
    raise AssertionError("it waited")


def _says(status: int) -> Answer:
    return Answer(status=status, body=orjson.dumps({"error": {"message": f"status {status}"}}))


def _json(value: Any) -> Answer:
    return Answer(status=200, body=orjson.dumps(value))


def values(shown: Shown) -> dict[Field, Any]:
    """Its scalar fields."""
    return dict(shown.fields)
