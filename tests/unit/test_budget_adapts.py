"""A remote that allows less than it says: others use its limit too, or it was cut. On a clock that jumps."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.limits.base import Ending, Lane, Report, Window
from worker.limits.memory import MemoryBudget

ROUND_TRIP_S = 0.05


@dataclass(slots=True)
class Load:
    """Full load on a strict remote whose limit per second, left for us, changes with time."""

    limit_at: Callable[[float], int]
    now: float = 0.0
    served: deque[float] = field(default_factory=deque)
    #: (when, whether refused)
    calls: list[tuple[float, bool]] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        chance = random.Random(7)
        windows = [Window(limit=100, seconds=1.0), Window(limit=6000, seconds=60.0)]
        budget = MemoryBudget(windows, 10.0, lambda: self.now, chance.random)
        order = itertools.count()
        events: list[tuple[float, int, Report | None]] = [(0.0, next(order), None)]
        while self.now < seconds:
            self.now, _, report = heapq.heappop(events)
            grant = await budget.reserve(Lane.LIVE, 0 if report else 10, [report] if report else [])
            for ticket in grant.tickets:
                ending = Ending.LIMITED if self.refuses() else Ending.ANSWERED
                answer_at = self.now + chance.uniform(0.5, 1.0) * ROUND_TRIP_S
                heapq.heappush(events, (answer_at, next(order), Report(ticket=ticket, ending=ending)))
            if report is None:
                heapq.heappush(events, (self.now + max(grant.wait_s, 0.005), next(order), None))

    def refuses(self) -> bool:
        while self.served and self.served[0] <= self.now - 1.0:
            self.served.popleft()
        refused = len(self.served) >= self.limit_at(self.now)
        if not refused:
            self.served.append(self.now)
        self.calls.append((self.now, refused))
        return refused

    def share_refused(self, start: float, end: float) -> float:
        seen = [refused for moment, refused in self.calls if start <= moment < end]
        return sum(seen) / len(seen)

    def rate(self, start: float, end: float) -> float:
        return sum(not refused for moment, refused in self.calls if start <= moment < end) / (end - start)


def test_it_learns_a_halved_limit_and_its_return() -> None:
    """After a minute hardly any call is refused, most of what is left is used, and all of it within a minute."""
    load = Load(lambda now: 50 if 30 <= now < 210 else 100)
    asyncio.run(load.run(300.0))
    assert load.share_refused(0, 30) == 0
    assert load.share_refused(90, 210) < 0.01
    assert load.rate(90, 210) > 0.7 * 50
    assert load.rate(270, 300) > 0.9 * load.rate(5, 30)
