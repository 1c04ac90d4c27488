"""Turns a `Budget` into a stream of tickets for one process. Used by push and scan, one per remote.

Askers are coalesced into one reserve call per lane, and the ends of calls ride along with the next one.
Built from asyncio alone, so that it also runs on a virtual-time loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from worker.errors import RedisAway
from worker.limits.base import Budget, Ending, Grant, Lane, Report, Wait

_NEVER, _NEVER_SOON = math.inf, -math.inf

#: Reports wait this long for company. Their age is counted, so waiting wastes no budget.
_GATHER_S = 0.005
#: Places come free one by one; asking for each of them would only cost Redis calls.
_SHORTEST_NAP_S = 0.002
#: Another process may give back its place at any moment, so nobody sleeps longer than this. Only the pause
#: after a 429 never gets shorter.
_LONGEST_NAP_S = 1.0
#: Timers may fire a hair early. A clock that only moves with timers would then never pass the rest.
_BLINK_S = 1e-6

#: What the others should hear at once.
_URGENT = frozenset({Ending.LIMITED, Ending.FAILED, Ending.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """One caller of `take`, waiting."""

    want: int
    #: On our clock; infinite for a caller who waits for ever.
    patience_until: float
    answer: asyncio.Future[Grant]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """What a lane was told last; times on our clock."""

    why: Wait | None = None
    #: Until then asking again cannot succeed.
    until: float = _NEVER_SOON
    ask_again_at: float = _NEVER_SOON


class Throttle:
    """Hands out tickets as the budget allows. Belongs to one event loop."""

    def __init__(self, budget: Budget, now: Callable[[], float] = time.monotonic) -> None:
        """`now` runs at the pace of the loop's own clock."""
        self._budget = budget
        self._now = now
        self._asks: dict[Lane, deque[_Ask]] = {lane: deque() for lane in Lane}
        self._refused = dict.fromkeys(Lane, _Refusal())
        self._reports: deque[tuple[float, Report]] = deque()
        self._flush_at = _NEVER
        self._news = asyncio.Event()
        self._one_call = asyncio.Lock()
        self._pump: asyncio.Task[None] | None = None

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """Wait for one to `want` tickets; without `patience_s`, for as long as it takes.

        Whose patience ends first is served first. As soon as it is clear that none can come in time, answers with
        none, why, and when to come back.
        Raises `RedisAway`. The tickets of a cancelled caller go back unused.
        """
        until = _NEVER if patience_s is None else self._now() + patience_s
        if self._refused[lane].ask_again_at > until:
            return self._refusal(lane)
        ask = _Ask(want=want, patience_until=until, answer=asyncio.get_running_loop().create_future())
        self._put(lane, ask)
        self._wake()
        try:
            return await ask.answer
        except asyncio.CancelledError:
            # Perhaps the answer was set before the cancellation, and nobody will ever see it.
            if ask.answer.done() and not ask.answer.cancelled() and not ask.answer.exception():
                self._unsent(ask.answer.result().tickets)
            raise

    def give_back(self, report: Report) -> None:
        """Report the end of a call. Goes out with the next reserve, or within milliseconds."""
        now = self._now()
        self._reports.append((now, report))
        self._flush_at = min(self._flush_at, now if report.ending in _URGENT else now + _GATHER_S)
        self._wake()

    async def flush(self) -> None:
        """Hand in all reports now: at the end of a use case, before the loop stops. Raises `RedisAway`."""
        async with self._one_call:
            if self._reports:
                await self._call(Lane.SCAN, 0)

    def _unsent(self, tickets: Sequence[str]) -> None:
        for ticket in tickets:
            self.give_back(Report(ticket=ticket, ending=Ending.UNSENT))

    def _put(self, lane: Lane, ask: _Ask) -> None:
        asks = self._asks[lane]
        asks.insert(bisect_right(asks, ask.patience_until, key=lambda other: other.patience_until), ask)

    def _wake(self) -> None:
        self._news.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run(), name="throttle")

    async def _run(self) -> None:
        """Do what is next, until nobody waits and nothing is to be reported."""
        try:
            while (next_at := self._next_at()) < _NEVER:
                self._news.clear()
                if (nap := next_at - self._now()) > 0:
                    await self._nap(max(nap, _BLINK_S))
                else:
                    await self._round()
        except Exception as error:
            for ask in self._everyone():
                ask.answer.set_exception(error)
            if not isinstance(error, RedisAway):
                raise

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()

    def _next_at(self) -> float:
        asking = (self._refused[lane].ask_again_at for lane in Lane if self._waiting(lane))
        return min((self._flush_at, *asking))

    def _waiting(self, lane: Lane) -> list[_Ask]:
        """Who waits in this lane; forgets those who were answered or cancelled."""
        asks = self._asks[lane]
        while asks and asks[0].answer.done():
            asks.popleft()
        return [ask for ask in asks if not ask.answer.done()]

    def _everyone(self) -> list[_Ask]:
        return [ask for lane in Lane for ask in self._waiting(lane)]

    async def _round(self) -> None:
        """Ask once for each lane whose time has come, highest first; with none, only report."""
        now = self._now()
        lanes = [lane for lane in Lane if self._refused[lane].ask_again_at <= now and self._waiting(lane)]
        for lane in lanes:
            wanted = sum(ask.want for ask in self._waiting(lane))
            self._share_out(lane, await self._reserve(lane, wanted))
        if not lanes:
            await self._reserve(Lane.SCAN, 0)

    def _share_out(self, lane: Lane, grant: Grant) -> None:
        """Serve them in their order; then send away who will not wait long enough."""
        left = grant.tickets
        self._refused[lane] = self._refusal_of(grant)
        for ask in self._waiting(lane):
            if left:
                ask.answer.set_result(replace(grant, tickets=left[: ask.want]))
                left = left[ask.want :]
            elif self._refused[lane].until > ask.patience_until:
                ask.answer.set_result(self._refusal(lane))
        self._unsent(left)  # of callers who were cancelled meanwhile

    def _refusal_of(self, grant: Grant) -> _Refusal:
        if grant.why is None:
            return _Refusal()
        now = self._now()
        longest = math.inf if grant.why is Wait.BACKOFF else _LONGEST_NAP_S
        nap = min(max(grant.wait_s, _SHORTEST_NAP_S), longest)
        return _Refusal(why=grant.why, until=now + grant.wait_s, ask_again_at=now + nap)

    def _refusal(self, lane: Lane) -> Grant:
        refused = self._refused[lane]
        return Grant(wait_s=max(0.0, refused.until - self._now()), why=refused.why)

    async def _reserve(self, lane: Lane, want: int) -> Grant:
        async with self._one_call:
            return await self._call(lane, want)

    async def _call(self, lane: Lane, want: int) -> Grant:
        """Ask the budget and hand in all reports; keeps those that may not have arrived."""
        reports, self._reports, self._flush_at = self._reports, deque(), _NEVER
        now = self._now()
        aged = [replace(report, age_s=report.age_s + now - since) for since, report in reports]
        try:
            return await self._budget.reserve(lane, want, aged)
        except BaseException:
            self._reports.extendleft(reversed(reports))
            raise
