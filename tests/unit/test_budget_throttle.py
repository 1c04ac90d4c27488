"""One process's stream of tickets: coalescing, patience, cancellation, reports. On a clock that jumps."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from worker.errors import RedisAway
from worker.limits.base import BudgetState, Ending, Grant, Lane, Report, Wait, Window
from worker.limits.memory import MemoryBudget
from worker.limits.throttle import Throttle

T = TypeVar("T")


class _Jump(selectors.SelectSelector):
    """Instead of waiting, moves the loop's clock on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for something that will never come"
        # Past the timer, not just up to it: the loop's own resolution is coarser than a float's.
        self.now += timeout
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop on which an hour of waiting takes no time."""

    def __init__(self) -> None:
        self.jump = _Jump()
        super().__init__(self.jump)

    def time(self) -> float:
        return self.jump.now


class CountedBudget(MemoryBudget):
    """Keeps what it was asked, and can be out of reach."""

    def __init__(self, limit: int) -> None:
        super().__init__([Window(limit=limit, seconds=1.0)], 10.0, _time, lambda: 0.5)
        self.asked: list[tuple[Lane, int, int]] = []
        self.finished = 0
        self.away = False

    async def reserve(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Grant:
        self.asked.append((lane, want, len(reports)))
        await asyncio.sleep(0.001)  # Redis takes its time
        if self.away:
            raise RedisAway("Redis is away.")
        self.finished += 1
        return await super().reserve(lane, want, reports)

    async def used(self) -> int:
        return (await self.state()).used[1.0][0]


def _time() -> float:
    return asyncio.get_running_loop().time()


def run(test: Coroutine[Any, Any, T]) -> T:
    """The test, on a clock that jumps."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(test)


def pair(limit: int) -> tuple[CountedBudget, Throttle]:
    """A budget of so many calls a second, and a throttle over it."""
    budget = CountedBudget(limit)
    return budget, Throttle(budget, _time)


def answered(*tickets: str) -> list[Report]:
    """Good ends of these calls."""
    return [Report(ticket=ticket, ending=Ending.ANSWERED) for ticket in tickets]


def test_askers_share_one_call() -> None:
    """A hundred askers cost Redis one call, and each gets a ticket of its own."""

    async def story() -> None:
        budget, throttle = pair(100)
        grants = await asyncio.gather(*(throttle.take(Lane.LIVE) for _ in range(100)))
        assert [(Lane.LIVE, 100, 0)] == budget.asked
        assert 100 == len({ticket for grant in grants for ticket in grant.tickets})

    run(story())


def test_a_batch_gets_what_there_is() -> None:
    """Who wants many starts with some instead of waiting for all."""

    async def story() -> None:
        _, throttle = pair(10)
        assert 10 == len((await throttle.take(Lane.LIVE, 25)).tickets)

    run(story())


def test_first_come_first_served() -> None:
    """Places that come free go to those who wait longest."""

    async def story() -> None:
        _, throttle = pair(1)
        order: list[int] = []

        async def caller(number: int) -> None:
            (ticket,) = (await throttle.take(Lane.LIVE)).tickets
            order.append(number)
            throttle.give_back(answered(ticket)[0])

        await asyncio.gather(*map(caller, range(5)))
        assert [0, 1, 2, 3, 4] == order
        assert 4.0 <= _time() <= 4.1

    run(story())


def test_higher_lanes_go_first() -> None:
    """However late they came."""

    async def story() -> None:
        budget, throttle = pair(2)
        order: list[Lane] = []

        async def caller(lane: Lane) -> None:
            grant = await throttle.take(lane)
            order.append(lane)
            for report in answered(*grant.tickets):
                throttle.give_back(report)

        first = await throttle.take(Lane.SCAN, 2)
        callers = [asyncio.create_task(caller(lane)) for lane in (Lane.SCAN, Lane.RETRY, Lane.LIVE, Lane.LIVE)]
        await asyncio.sleep(0.1)
        for report in answered(*first.tickets):
            throttle.give_back(report)
        await asyncio.gather(*callers)
        assert [Lane.LIVE, Lane.LIVE] == order[:2]
        assert budget.asked[0][0] is Lane.SCAN

    run(story())


def test_a_stream_of_live_calls_does_not_keep_the_scan_waiting() -> None:
    """While there is budget for both, every lane is asked for in its turn."""

    async def story() -> None:
        _, throttle = pair(1000)

        async def flood() -> None:
            while True:
                await throttle.take(Lane.LIVE)

        floods = [asyncio.create_task(flood()) for _ in range(3)]
        await asyncio.sleep(0.01)
        async with asyncio.timeout(0.01):
            await throttle.take(Lane.SCAN)
        for task in floods:
            task.cancel()

    run(story())


def test_patience_over_means_no_ticket_and_the_reason() -> None:
    """Told at once, since waiting cannot help, together with when to come back."""

    async def story() -> None:
        budget, throttle = pair(1)
        await throttle.take(Lane.LIVE)
        before = _time()
        grant = await throttle.take(Lane.LIVE, patience_s=0.5)
        assert _time() - before < 0.01
        assert ((), Wait.BUDGET) == (grant.tickets, grant.why)
        assert 0.9 < grant.wait_s < 1.1
        calls = len(budget.asked)
        again = await throttle.take(Lane.LIVE, patience_s=0)
        assert ((), Wait.BUDGET) == (again.tickets, again.why)
        assert calls == len(budget.asked), "what is known already needs no call"

    run(story())


def test_patience_that_suffices_ends_in_a_ticket() -> None:
    """The place comes free in time."""

    async def story() -> None:
        _, throttle = pair(1)
        (ticket,) = (await throttle.take(Lane.LIVE)).tickets
        throttle.give_back(answered(ticket)[0])
        assert (await throttle.take(Lane.LIVE, patience_s=1.2)).tickets
        assert 1.0 < _time() < 1.1

    run(story())


def test_whose_patience_ends_first_is_served_first() -> None:
    """Somebody with a read that gets old passes those who can wait; the others keep their order."""

    async def story() -> None:
        _, throttle = pair(1)
        (ticket,) = (await throttle.take(Lane.LIVE)).tickets
        order: list[float | None] = []

        async def caller(patience_s: float | None) -> None:
            (taken,) = (await throttle.take(Lane.LIVE, patience_s=patience_s)).tickets
            order.append(patience_s)
            throttle.give_back(answered(taken)[0])

        callers = []
        for patience_s in (None, 60.0, 50.0, 3.0):
            callers.append(asyncio.create_task(caller(patience_s)))
            await asyncio.sleep(0)
        throttle.give_back(answered(ticket)[0])
        await asyncio.gather(*callers)
        assert [3.0, 50.0, 60.0, None] == order

    run(story())


def test_reports_ride_along_with_the_next_reserve() -> None:
    """They cost no call of their own while somebody asks."""

    async def story() -> None:
        budget, throttle = pair(100)
        tickets = (await throttle.take(Lane.LIVE, 5)).tickets
        for report in answered(*tickets):
            throttle.give_back(report)
        await throttle.take(Lane.LIVE)
        assert [(Lane.LIVE, 5, 0), (Lane.LIVE, 1, 5)] == budget.asked

    run(story())


def test_reports_go_out_alone_within_milliseconds() -> None:
    """And their wait for company is not charged: the window starts at the answer."""

    async def story() -> None:
        budget, throttle = pair(1)
        (ticket,) = (await throttle.take(Lane.LIVE)).tickets
        answer_at = _time()
        throttle.give_back(answered(ticket)[0])
        await asyncio.sleep(0.02)
        assert (Lane.SCAN, 0, 1) == budget.asked[-1]
        await asyncio.sleep(answer_at + 1.003 - _time())
        assert 0 == await budget.used()

    run(story())


@pytest.mark.parametrize("ending", [Ending.LIMITED, Ending.FAILED, Ending.UNKNOWN])
def test_bad_news_travels_at_once(ending: Ending) -> None:
    """Everybody else should stop now."""

    async def story() -> None:
        budget, throttle = pair(1)
        (ticket,) = (await throttle.take(Lane.LIVE)).tickets
        throttle.give_back(Report(ticket=ticket, ending=ending))
        await asyncio.sleep(0.002)
        assert 1 == budget.asked[-1][2]

    run(story())


@pytest.mark.parametrize("moment_s", [0.0, 0.0005])
def test_a_cancelled_caller_leaves_no_place_taken(moment_s: float) -> None:
    """Whether it has not been asked for yet, or is being asked for."""

    async def story() -> None:
        budget, throttle = pair(3)
        caller = asyncio.create_task(throttle.take(Lane.LIVE, 3))
        await asyncio.sleep(moment_s)
        caller.cancel()
        await asyncio.sleep(0.1)
        assert caller.cancelled()
        assert 0 == await budget.used()

    run(story())


def test_a_caller_cancelled_right_after_the_answer_gives_it_back() -> None:
    """Its tickets were there, but it never ran again to see them."""

    class Late(CountedBudget):
        caller: asyncio.Task[Grant]

        async def reserve(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Grant:
            grant = await super().reserve(lane, want, reports)
            asyncio.get_running_loop().call_soon(self.caller.cancel)
            return grant

    async def story() -> None:
        budget = Late(3)
        budget.caller = asyncio.create_task(Throttle(budget, _time).take(Lane.LIVE, 3))
        await asyncio.sleep(0.1)
        assert budget.caller.cancelled()
        assert (Lane.SCAN, 0, 3) == budget.asked[-1]
        assert 0 == await budget.used()

    run(story())


def test_when_redis_is_away_nobody_calls() -> None:
    """Everyone who waits is told; the next one asks anew."""

    async def story() -> None:
        budget, throttle = pair(10)
        budget.away = True
        outcomes = await asyncio.gather(*map(throttle.take, Lane), return_exceptions=True)
        assert [RedisAway] * 3 == list(map(type, outcomes))
        budget.away = False
        assert (await throttle.take(Lane.LIVE)).tickets

    run(story())


def test_reports_survive_redis_being_away() -> None:
    """They are handed in later, as old as they are by then, without asking Redis all the time."""

    async def story() -> None:
        budget, throttle = pair(10)
        tickets = (await throttle.take(Lane.LIVE, 4)).tickets
        budget.away = True
        for report in answered(*tickets):
            throttle.give_back(report)
        await asyncio.sleep(5.0)
        assert 2 == len(budget.asked)
        with pytest.raises(RedisAway):
            await throttle.flush()
        budget.away = False
        await throttle.flush()
        assert 0 == await budget.used()

    run(story())


def test_flush_waits_for_what_is_under_way() -> None:
    """After it, the loop may stop: every report has arrived."""

    async def story() -> None:
        budget, throttle = pair(10)
        for report in answered(*(await throttle.take(Lane.LIVE, 10)).tickets):
            throttle.give_back(report)
        waiting = asyncio.create_task(throttle.take(Lane.LIVE, patience_s=0))
        await asyncio.sleep(0.0005)  # the pump's own call carries the reports now
        await throttle.flush()
        assert len(budget.asked) == budget.finished
        await asyncio.sleep(1.003)
        assert 0 == await budget.used()
        assert () == (await waiting).tickets

    run(story())


def test_a_mistake_in_the_budget_reaches_the_caller() -> None:
    """Nobody waits for ever because of a bug."""

    class Broken:
        async def reserve(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Grant:
            raise ZeroDivisionError

        async def state(self) -> BudgetState:
            raise NotImplementedError

    async def story() -> None:
        throttle = Throttle(Broken(), _time)
        with pytest.raises(ZeroDivisionError):
            await throttle.take(Lane.LIVE)
        assert throttle._pump
        with pytest.raises(ZeroDivisionError):
            await throttle._pump

    run(story())


def test_a_long_pause_costs_no_calls() -> None:
    """The remote said an hour: whoever waits that long does not keep Redis busy."""

    async def story() -> None:
        budget, throttle = pair(10)
        (ticket,) = (await throttle.take(Lane.LIVE)).tickets
        throttle.give_back(Report(ticket=ticket, ending=Ending.LIMITED, retry_after_s=3600.0))
        await asyncio.sleep(0.01)
        before = len(budget.asked)
        assert (await throttle.take(Lane.LIVE)).tickets
        assert len(budget.asked) - before <= 3
        assert 3600.0 < _time() < 3600.1

    run(story())
