"""The rate budget of one remote in plain Python, on a clock handed in. Used by tests and the simulation.

It says what `budget.lua` says, with the same names; a test drives both through the same random histories.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from worker.limits.base import BudgetState, Ending, Grant, Lane, Report, Wait, Window
from worker.limits.rules import SECOND, Rules, Span, microseconds

#: Highest first; a lane's number is its place here.
LANES = tuple(Lane)


@dataclass(slots=True)
class _Learned:
    """What the hash in Redis holds; see `budget.lua`."""

    share: int
    last: int = 0
    share_at: int = 0
    paused_until: int = 0
    strikes: int = 0
    cut_after: int = 0
    failures: int = 0
    probe: int = 0
    probe_at: int = 0
    probes: int = 0
    waiting: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0))
    paid: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0))


class _Places:
    """Tickets, ordered by the last moment at which the remote can have counted their calls."""

    def __init__(self) -> None:
        self._counted: dict[int, int] = {}
        self._order: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._order)

    def put(self, ticket: int, counted: int) -> None:
        self.drop(ticket)
        self._counted[ticket] = counted
        insort(self._order, (counted, ticket))

    def drop(self, ticket: int) -> None:
        if (counted := self._counted.pop(ticket, None)) is not None:
            del self._order[bisect_left(self._order, (counted, ticket))]

    def forget(self, until: int) -> None:
        """Drop what was counted at or before `until`."""
        old = self._up_to(until)
        for _, ticket in self._order[:old]:
            del self._counted[ticket]
        del self._order[:old]

    def after(self, moment: int) -> int:
        return len(self._order) - self._up_to(moment)

    def counted_at(self, index: int) -> int:
        return self._order[index][0]

    def _up_to(self, moment: int) -> int:
        return bisect_right(self._order, (moment, math.inf))


class MemoryBudget:
    """A `Budget` for one event loop. The harmless twin of `RedisBudget`."""

    def __init__(
        self,
        windows: Sequence[Window],
        hold_s: float,
        now: Callable[[], float],
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._rules = Rules.of(windows, hold_s)
        self._now_s = now
        self._spread = spread
        self._learned = _Learned(share=self._rules.whole)
        self._places = _Places()

    async def reserve(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Grant:
        turn = self._turn()
        for report in reports:
            turn.take_in(report)
        return turn.grant(lane, want)

    async def state(self) -> BudgetState:
        return self._turn().state()

    def _turn(self) -> _Turn:
        return _Turn(self._rules, self._learned, self._places, round(self._now_s() * SECOND), self._spread())


class _Turn:
    """One run of the script: everything at one moment."""

    def __init__(self, rules: Rules, learned: _Learned, places: _Places, now: int, spread: float) -> None:
        self.rules, self.s, self.places = rules, learned, places
        self.now, self.spread = now, spread
        if now > learned.share_at:
            learned.share = min(rules.whole, learned.share + (now - learned.share_at) * rules.growth)
            learned.share_at = now

    def take_in(self, report: Report) -> None:
        """Hand in the end of one call."""
        ticket, counted = int(report.ticket), self.now - microseconds(report.age_s)
        retry_after = microseconds(report.retry_after_s or 0)
        if report.ending is Ending.UNSENT:
            self.places.drop(ticket)
        elif report.ending is not Ending.UNKNOWN:
            self.places.put(ticket, counted)
        if retry_after:
            self._pause(counted + retry_after)
        match report.ending:
            case Ending.ANSWERED:
                self._answered(ticket)
            case Ending.LIMITED:
                self._limited(ticket, retry_after)
            case Ending.FAILED | Ending.UNKNOWN:
                self._failed(ticket)
            case Ending.UNSENT:
                self._unsent(ticket)

    def grant(self, lane: Lane, want: int) -> Grant:
        """Take up to `want` places."""
        s, now, first, granted = self.s, self.now, 0, 0
        wait, why = self._closed()
        if why is None:
            allowed = min(want, 1) if self._open() else want
            granted = max(0, min(self._free(lane), allowed))
            if granted:
                first = self._take(lane, granted)
            if granted and self._open():
                s.probe, s.probe_at = first, now + self.rules.hold
            if granted < allowed:
                wait, why = self._until_place() or self._until_turn(lane), Wait.BUDGET
            elif granted < want:
                wait, why = s.probe_at - now, Wait.BREAKER
        # A probe under way may close the breaker at any moment.
        if why is Wait.BREAKER and s.probe:
            wait = min(wait, self.rules.look_again)
        if want:
            back_in = wait if why is Wait.BACKOFF else min(wait, self.rules.look_again)
            s.waiting[lane] = now + back_in + self.rules.waiting_slack if granted < want else 0
        tickets = tuple(str(first + i) for i in range(granted))
        return Grant(tickets=tickets, wait_s=wait / SECOND, why=why)

    def state(self) -> BudgetState:
        s, now = self.s, self.now
        return BudgetState(
            used={span.seconds: (self._used(span), self._limit(span)) for span in self.rules.spans},
            share=s.share / self.rules.whole,
            backoff_s=max(0, s.paused_until - now) / SECOND,
            breaker_s=max(0, s.probe_at - now) / SECOND if self._open() else None,
        )

    # Reports

    def _delay(self, step: int) -> int:
        curve = self.rules.first_delay * 2.0 ** min(step - 1, 30)
        return math.floor(min(self.rules.longest_delay, curve) * (0.5 + self.spread / 2))

    def _pause(self, until: int) -> None:
        self.s.paused_until = max(self.s.paused_until, until)
        self.s.share_at = max(self.s.share_at, self.s.paused_until)

    def _let_probe_out(self, at: int) -> None:
        self.s.probe, self.s.probe_at = 0, at

    def _is_news(self, ticket: int) -> bool:
        return ticket > self.s.cut_after

    def _failed(self, ticket: int) -> None:
        s = self.s
        s.failures += 1
        if s.failures == self.rules.failures_to_open or ticket == s.probe:
            s.probes += 1
            self._let_probe_out(self.now + self._delay(s.probes))

    def _answered(self, ticket: int) -> None:
        self.s.failures = self.s.probes = 0
        self._let_probe_out(0)
        if self._is_news(ticket):
            self.s.strikes = 0

    def _limited(self, ticket: int, retry_after: int) -> None:
        s = self.s
        if ticket == s.probe:
            self._let_probe_out(self.now)
        if not self._is_news(ticket):
            return
        s.cut_after = s.last
        s.strikes += 1
        s.share = max(self.rules.smallest_share, math.floor(s.share * self.rules.cut))
        if not retry_after:
            self._pause(self.now + self._delay(s.strikes))

    def _unsent(self, ticket: int) -> None:
        if ticket == self.s.probe:
            self._let_probe_out(self.now)

    # Places

    def _open(self) -> bool:
        return self.s.failures >= self.rules.failures_to_open

    def _closed(self) -> tuple[int, Wait | None]:
        """Why nobody may call now, and for how long."""
        if self.s.paused_until > self.now:
            return self.s.paused_until - self.now, Wait.BACKOFF
        if self._open() and self.s.probe_at > self.now:
            return self.s.probe_at - self.now, Wait.BREAKER
        return 0, None

    def _limit(self, span: Span) -> int:
        if span is not self.rules.spans[0] or self.s.share == self.rules.whole:
            return span.limit
        return max(1, min(span.limit, math.floor(self.s.share / self.rules.whole * self.rules.pace + 0.5)))

    def _used(self, span: Span) -> int:
        return self.places.after(self.now - span.length)

    def _free(self, lane: Lane) -> int:
        self.places.forget(self.now - self.rules.spans[-1].length)
        free = min(self._limit(span) - self._used(span) for span in self.rules.spans)
        free -= sum(self._owed(lower) for lower in LANES[LANES.index(lane) + 1 :] if self._waits(lower))
        return min(free, self._owed(lane)) if self._higher(lane) else free

    def _until_place(self) -> int:
        wait = 0
        for span in self.rules.spans:
            oldest = len(self.places) - self._limit(span)
            if oldest >= 0:
                counted = min(self.places.counted_at(oldest), self.now)
                wait = max(wait, counted + span.length - self.now)
        return wait

    def _take(self, lane: Lane, places: int) -> int:
        first = max(self.s.last + 1, self.now)
        for ticket in range(first, first + places):
            self.places.put(ticket, self.now + self.rules.hold)
        self.s.last = first + places - 1
        since = max(self.s.paid[lane], self.now - self.rules.trickle_saved * self._trickle())
        self.s.paid[lane] = min(self.now, since + places * self._trickle())
        return first

    # Lanes

    def _waits(self, lane: Lane) -> bool:
        return self.s.waiting[lane] > self.now

    def _higher(self, lane: Lane) -> int:
        """Until when a higher lane counts as waiting; 0 when none does."""
        return max(
            (self.s.waiting[h] for h in LANES[: LANES.index(lane)] if self._waits(h)),
            default=0,
        )

    def _trickle(self) -> int:
        return math.ceil(self.rules.trickle / (self.s.share / self.rules.whole))

    def _owed(self, lane: Lane) -> int:
        return min(self.rules.trickle_saved, (self.now - self.s.paid[lane]) // self._trickle())

    def _until_turn(self, lane: Lane) -> int:
        if not (higher := self._higher(lane)):
            return self.rules.yield_to_lane
        turn = min(higher, self.s.paid[lane] + self._trickle())
        return max(self.rules.yield_to_lane, turn - self.now)
