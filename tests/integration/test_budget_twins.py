"""Both forms of a rate budget behind one driver, and proof that they answer alike. The driver's other users are
`test_budget.py` and `test_budget_lanes.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator, Sequence

import orjson
import pytest
from redis.asyncio import Redis

from worker.limits import budget as budget_module
from worker.limits.base import Budget, BudgetState, Ending, Grant, Lane, Report, Window
from worker.limits.budget import RedisBudget, budget_client, script
from worker.limits.memory import MemoryBudget

SECOND = Window(limit=10, seconds=1.0)
#: Places are kept a thousandth longer than their window.
HELD_S = 1.001
HOLD_S = 20.0

#: In tests Redis' clock is a key that the test sets; nothing else in the script changes.
_TIME = "redis.call('TIME')"
_TEST_TIME = "cjson.decode(redis.call('GET', KEYS[1] .. ':clock'))"


class Driver:
    """A budget on a clock that only the test moves, without `await`."""

    def __init__(self, build: Callable[[Driver, Sequence[Window]], Budget], runner: asyncio.Runner) -> None:
        self.now = 1_000_000.0
        #: The middle of all jitter: delays come out at 0.75 of their curve.
        self.spread = 0.5
        self._build, self._runner = build, runner
        self._budget: Budget
        self.on(SECOND)

    def on(self, *windows: Window) -> None:
        """Start anew with other windows."""
        self._budget = self._build(self, windows)

    def wait(self, seconds: float) -> None:
        self.now = round(self.now + seconds, 6)

    def ask(self, want: int = 1, lane: Lane = Lane.LIVE, reports: Sequence[Report] = ()) -> Grant:
        return self._runner.run(self._budget.reserve(lane, want, reports))

    def end(self, ending: Ending, *tickets: str, age_s: float = 0.0, retry_after_s: float | None = None) -> None:
        reports = [Report(ticket=t, ending=ending, age_s=age_s, retry_after_s=retry_after_s) for t in tickets]
        self.ask(0, reports=reports)

    def call(self, ending: Ending, retry_after_s: float | None = None) -> None:
        """One call that takes no time."""
        (ticket,) = self.ask().tickets
        self.end(ending, ticket, retry_after_s=retry_after_s)

    def state(self) -> BudgetState:
        return self._runner.run(self._budget.state())

    def used(self) -> tuple[int, int]:
        return self.state().used[1.0]


def _in_memory(driver: Driver, windows: Sequence[Window]) -> Budget:
    return MemoryBudget(windows, HOLD_S, lambda: driver.now, lambda: driver.spread)


class _TurnedClock(RedisBudget):
    """Its Redis has a clock that is set before each call."""

    def __init__(self, driver: Driver, redis: Redis, windows: Sequence[Window]) -> None:
        super().__init__(redis, "crm", windows, HOLD_S, spread=lambda: driver.spread)
        self.driver, self.redis = driver, redis
        source = script()
        assert source.count(_TIME) == 1
        self._script = redis.register_script(source.replace(_TIME, _TEST_TIME))

    async def _ask(self, lane: Lane, want: int, reports: Sequence[Report]) -> budget_module._Answer:
        clock = divmod(round(self.driver.now * 1_000_000), 1_000_000)
        await self.redis.set(self._keys[0] + ":clock", orjson.dumps(clock))
        return await super()._ask(lane, want, reports)


@contextlib.contextmanager
def driven(form: str, request: pytest.FixtureRequest) -> Iterator[Driver]:
    """A driver of the memory twin or of Redis."""
    with asyncio.Runner() as runner:
        if form == "memory":
            yield Driver(_in_memory, runner)
        else:
            with _on_redis(request.getfixturevalue("redis_url"), runner) as driver:
                yield driver


async def _empty(redis: Redis) -> None:
    await redis.flushdb()


@contextlib.contextmanager
def _on_redis(url: str, runner: asyncio.Runner) -> Iterator[Driver]:
    redis = budget_client(url)

    def build(driver: Driver, windows: Sequence[Window]) -> Budget:
        runner.run(_empty(redis))
        return _TurnedClock(driver, redis, windows)

    try:
        yield Driver(build, runner)
    finally:
        runner.run(redis.aclose())


def _happening(chance: random.Random, tickets: list[str]) -> tuple[float, Lane, int, list[Report]]:
    """Something that may come next; time stands still, creeps or leaps."""
    reports = [
        Report(
            ticket=tickets.pop(chance.randrange(len(tickets))),
            ending=chance.choices(list(Ending), weights=[6, 3, 1, 2, 2])[0],
            age_s=chance.choice([0.0, chance.random()]),
            retry_after_s=chance.choice([None, None, None, 0.0, 2.5]),
        )
        for _ in range(min(len(tickets), chance.randint(0, 6)))
    ]
    nap = chance.choice([0.0, 0.001, chance.random(), chance.random() * 8])
    return nap, chance.choice(list(Lane)), chance.choice([0, 1, 1, 2, 5, 30]), reports


@pytest.mark.parametrize("seed", range(25))
def test_redis_and_memory_answer_alike(seed: int, redis_url: str) -> None:
    """Through random histories, the same tickets, waits and states to the last microsecond."""
    chance = random.Random(seed)
    windows = [Window(limit=chance.randint(1, 40), seconds=s) for s in chance.sample([0.2, 1.0, 7.0], k=2)]
    with asyncio.Runner() as runner, _on_redis(redis_url, runner) as redis:
        memory = Driver(_in_memory, runner)
        for twin in (memory, redis):
            twin.on(*windows)
        tickets: list[str] = []
        for step in range(150):
            nap, lane, want, reports = _happening(chance, tickets)
            spread = chance.random()
            for twin in (memory, redis):
                twin.wait(nap)
                twin.spread = spread
            grant = memory.ask(want, lane, reports)
            assert grant == redis.ask(want, lane, reports), step
            assert memory.state() == redis.state(), step
            tickets.extend(grant.tickets)
