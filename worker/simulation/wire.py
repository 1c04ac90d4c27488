"""The wire to one remote of the simulation: slow, failing, lying. Every request draws what befalls it."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from models.observation import Shown
from models.values import replace
from worker.errors import RemoteDown, Unclear
from worker.remotes.base import Answer, Request
from worker.remotes.crm.connector import LISTS
from worker.remotes.instantly.paths import JOBS
from worker.remotes.memory import MemoryWire
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import BULK, LOOKUP, PAGE, READ, ROWS, WRITE, Fault
from worker.simulation.leads import RemoteWithLeads, half_of, is_apart, is_lookup, is_walk, without_one
from worker.simulation.life import Fate
from worker.simulation.remote import Flight, SimulatedRemote, at_once

#: How long after a fault a write may still be repeated for nothing.
_DOUBT_S = 120.0

_STATUSES: Mapping[Fault | None, int] = {
    Fault.FAILED: 500,
    Fault.LIMITED: 429,
    Fault.FORBIDDEN: 403,
    Fault.NOT_FOUND: 404,
}
_BODIES: Mapping[Fault | None, bytes] = {
    Fault.HTML: b"<html>Please log in</html>",
    Fault.NOTHING: b'{"items": [], "next_cursor": null}',
    Fault.EMPTY_PAGE: b'{"items": [], "next_cursor": "7"}',
}


class LyingWire:
    """Implements `Wire`."""

    def __init__(self, remote: SimulatedRemote, loop: VirtualLoop, fate: Fate) -> None:
        self._remote, self._loop, self._fate, self._tell = remote, loop, fate, fate.tell
        script = fate.script
        self._chance = fate.streams[f"wire {remote.name}"]
        late = script.setting.late_write_s
        #: Pauses and slow ways come on top: together it must be less than a write may take to arrive.
        self._latest_s = late * (0.35 if Fault.PAUSED in script.faults else 0.7)
        self._doubt_s = late + _DOUBT_S

    async def exchange(self, request: Request) -> Answer:
        """One request, there and back, with what befalls it."""
        remote, fault = self._remote, self._fault(request)
        number = remote.number(request)
        flight = remote.leaves(request) if request.writes else None
        if fault is not None:
            self._fate.met(fault)
        self._tell(remote.name, f"{request.method} {number or 'page'}{_what(request)}", fault)
        remote.busy[number] += 1
        try:
            await self._travels(request)
            answer = await self._answered(request, fault, flight)
            remote.hears(request, answer, fault)
            await self._travels(request)
            if flight is not None and answer.status == 200:
                flight.answered = self._loop.time()
            return answer
        finally:
            remote.busy[number] -= 1

    async def _travels(self, request: Request) -> None:
        """One way; calls overtake each other on both."""
        slow = self._on(Fault.SLOW) and self._chance.random() < (0.4 if request.path == LISTS else 0.2)
        await self._loop.after(self._chance.uniform(0.01, 9.0 if slow else 0.4))

    def _on(self, fault: Fault) -> bool:
        return self._fate.war and fault in self._fate.script.faults

    def _fault(self, request: Request) -> Fault | None:
        """The same draw whichever faults exist, so that one less leaves all else as it was."""
        if not self._fate.war:
            return None
        number = self._chance.randrange(100)
        for fault, share in _shares(request).items():
            number -= share
            if number < 0:
                return fault if self._fits(fault, request) else None
        return None

    def _fits(self, fault: Fault, request: Request) -> bool:
        if fault not in self._fate.script.faults:
            return False
        if fault is Fault.STALE:
            return self._remote.habits.versioned or is_walk(request)
        return not (fault is Fault.NOT_FOUND and request.path in (LISTS, JOBS))

    async def _answered(self, request: Request, fault: Fault | None, flight: Flight | None) -> Answer:
        remote = self._remote
        match fault:
            case Fault.DOWN:
                raise RemoteDown("connection refused")
            case Fault.LOST:
                await self._loop.after(self._chance.choice((0.5, 8.0)))
                raise Unclear("no answer in time")
            case Fault.LATE:
                self._land_later(request, flight)
                await self._loop.after(self._chance.choice((0.5, 8.0)))
                raise Unclear("no answer in time")
        if remote.counts():
            return _says(429)
        if fault in _STATUSES:
            return _says(_STATUSES[fault])
        if fault in _BODIES:
            return Answer(status=200, body=_BODIES[fault])
        if fault in (Fault.CIRCLES, Fault.DROPPED, Fault.UNFOUND):
            return self._lies(request, fault)
        return await self._done(request, fault, flight)

    async def _done(self, request: Request, fault: Fault | None, flight: Flight | None) -> Answer:
        """It is done there; who asked may not hear of it."""
        if fault is Fault.STALE:
            return self._stale(request)
        answer = self._remote.do(half_of(request) if fault is Fault.PARTLY else request, flight)
        match fault:
            case Fault.PARTLY if request.method == "POST":
                self._unclear(request, answer)
                return _says(500)
            case Fault.UNANSWERED:
                self._unclear(request, answer)
                await self._loop.after(self._chance.choice((0.5, 8.0)))
                raise Unclear("no answer in time")
            case Fault.FAILED_AFTER:
                self._unclear(request, answer)
                return _says(500)
            case Fault.CUT:
                self._unclear(request, answer)
                return replace(answer, body=answer.body[: len(answer.body) // 2])
            case _:
                return answer

    def _lies(self, request: Request, fault: Fault) -> Answer:
        """A page that says less than there is, or leads astray."""
        page = orjson.loads(self._remote.do(request, None).body)
        if fault is Fault.CIRCLES:
            asked, word = request.query.get("cursor"), "next_cursor"
            if is_walk(request):
                asked, word = request.body.get("starting_after"), "next_starting_after"
            return _json({**page, word: self._chance.choice(("0", asked or "0"))})
        if fault is Fault.UNFOUND:
            return _json({**page, "items": without_one(request, page)})
        return _json({**page, "items": [one for one in page["items"] if self._chance.random() < 0.6]})

    def _unclear(self, request: Request, answer: Answer) -> None:
        """It was done, and we do not know."""
        if request.writes and answer.status == 200:
            remote_id = self._remote.about(request, answer)
            self._remote.doubt(remote_id, self._doubt_s)
            self._remote.leaves_unclear(remote_id, self._remote.told(request))

    def _land_later(self, request: Request, flight: Flight | None) -> None:
        """Somewhere it hangs; it lands before it can no longer arrive, or never."""
        remote, number = self._remote, self._remote.number(request)
        for shown in remote.of(number):
            remote.doubt(shown.remote_id, self._doubt_s)
        if self._chance.random() < 0.75:
            remote.busy[number] += 1
            self._loop.call_later(self._chance.uniform(0.5, self._latest_s), self._land, request, number, flight)

    def _land(self, request: Request, number: str, flight: Flight | None) -> None:
        remote = self._remote
        remote.busy[number] -= 1
        self._tell(remote.name, f"{request.method} {number} {request.body}", "lands late")
        self._unclear(request, remote.do(request, flight))

    def _stale(self, request: Request) -> Answer:
        """From a replica that lags in what lists show; which there are is decided by other faults."""
        remote, then = self._remote, self._loop.time() - self._chance.uniform(1.0, 40.0)
        if isinstance(remote, RemoteWithLeads):
            return remote.as_it_was(request, then)
        past = next((lists for at, lists in reversed(remote.past) if at <= then), None)
        if past is None:
            return remote.do(request, None)
        remote.calls += 1
        replica = _Replica({one: past.get(one, shown) for one, shown in remote.lists.items()}, remote.habits.page)
        for one, shown in replica.lists.items():
            if shown != remote.lists[one]:
                remote.doubt(one, _DOUBT_S)
        return at_once(replica.exchange(request))


def _what(request: Request) -> str:
    """What it asks for, for stories."""
    if is_apart(request):
        return f" {request.path.rpartition('/')[2]} {request.body or ''}".rstrip()
    return f" {request.body}" if request.writes else f" {dict(request.query)}" if request.path == LISTS else ""


def _shares(request: Request) -> Mapping[Fault, int]:
    """How likely which fault befalls it."""
    if is_apart(request):
        return BULK if request.writes else ROWS if is_walk(request) else LOOKUP if is_lookup(request) else READ
    return WRITE if request.writes else PAGE if request.path == LISTS else READ


class _Replica(MemoryWire):
    """How it was."""

    def __init__(self, lists: Mapping[str, Shown], page: int) -> None:
        super().__init__((), page)
        self.lists = dict(lists)


def _says(status: int) -> Answer:
    return Answer(status=status, body=orjson.dumps({"error": {"message": f"status {status}"}}))


def _json(value: Any) -> Answer:
    return Answer(status=200, body=orjson.dumps(value))


#: How some remotes spell names.
SPELLINGS: tuple[Callable[[str], str], ...] = (
    str.lower,
    lambda name: " ".join(name.split()),
    lambda name: name[:10],
)


def spelling(chance: random.Random) -> Callable[[str], str]:
    """One of them."""
    return chance.choice(SPELLINGS)
