"""The promise of the rate budget: no strict sliding window at the remote ever sees more than its limit."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.limits.base import Ending, Lane, Report, Window
from worker.limits.memory import MemoryBudget

HOLD_S = 3.0

windows = st.lists(
    st.builds(
        lambda limit, seconds: Window(limit=limit, seconds=seconds),
        st.integers(1, 12),
        st.sampled_from([0.1, 0.5, 1.0, 2.5]),
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda window: window.seconds,
)


@dataclass(slots=True)
class Workers:
    """Workers that call as fast as they may, with every bad luck between reserving and reporting."""

    budget: MemoryBudget
    chance: random.Random
    slowest_s: float
    now: float = 0.0
    #: When the remote counted each call.
    counted: list[float] = field(default_factory=list)
    events: list[tuple[float, int, Lane, tuple[Report, ...]]] = field(default_factory=list)
    order: itertools.count[int] = field(default_factory=itertools.count)

    def later(self, seconds: float, lane: Lane, *reports: Report) -> None:
        heapq.heappush(self.events, (self.now + seconds, next(self.order), lane, reports))

    async def run(self, workers: int, steps: int) -> None:
        for _ in range(workers):
            self.later(0.0, self.chance.choice(list(Lane)))
        for _ in range(steps):
            self.now, _, lane, reports = heapq.heappop(self.events)
            grant = await self.budget.reserve(lane, self.chance.randint(1, 4), reports)
            for ticket in grant.tickets:
                self.call(ticket, lane)
            if not grant.tickets:
                assert grant.wait_s > 0, "a worker that is refused must be told when to come back"
                self.later(grant.wait_s, lane)
            elif not self.events:
                self.later(HOLD_S, lane)

    def call(self, ticket: str, lane: Lane) -> None:
        """Send, be counted somewhere before the answer, and report late; or never be heard of again."""
        chance = self.chance
        ending = chance.choices(list(Ending), weights=[20, 1, 1, 2, 2])[0]
        if ending is Ending.UNSENT:
            return self.later(chance.random(), lane, Report(ticket=ticket, ending=ending))
        if ending is Ending.UNKNOWN:
            self.counted.append(self.now + chance.random() * HOLD_S)
            if chance.random() < 0.5:  # the worker was killed
                return self.later(HOLD_S, lane)
            return self.later(chance.random() * HOLD_S, lane, Report(ticket=ticket, ending=ending))
        answer = chance.random() * self.slowest_s
        late = chance.choice([0.0, 0.0, 0.01, 1.0])
        self.counted.append(self.now + chance.choice([0.0, chance.random(), 1.0]) * answer)
        self.later(answer + late, lane, Report(ticket=ticket, ending=ending, age_s=late))
        return None


def most_seen(counted: Sequence[float], seconds: float) -> int:
    """The fullest strict sliding window."""
    moments, most, start = sorted(counted), 0, 0
    for end, moment in enumerate(moments):
        while moments[start] <= moment - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


@given(windows=windows, seed=st.integers(0, 2**32), workers=st.integers(1, 16), slowest_s=st.floats(0.0, HOLD_S))
@settings(deadline=None)
def test_no_strict_window_sees_more_than_its_limit(
    windows: list[Window], seed: int, workers: int, slowest_s: float
) -> None:
    """Wherever the remote counts between send and answer; with calls lost, unsent, unclear, reported late."""
    chance = random.Random(seed)
    crowd: Workers
    budget = MemoryBudget(windows, HOLD_S, lambda: crowd.now, chance.random)
    crowd = Workers(budget, chance, slowest_s)
    asyncio.run(crowd.run(workers, steps=300))
    for window in windows:
        assert most_seen(crowd.counted, window.seconds) <= window.limit, window
