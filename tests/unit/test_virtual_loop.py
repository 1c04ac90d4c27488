"""The loop of simulations: what `asyncio` asks of it, and time that jumps."""

from __future__ import annotations

import asyncio

import pytest

from worker.simulation.clock import VirtualLoop, run_virtually


def test_time_jumps_from_timer_to_timer() -> None:
    """A virtual day takes no real one."""
    loop = VirtualLoop()

    async def a_day() -> float:
        await asyncio.gather(loop.sleep(3_600.0), loop.after(60.0), asyncio.sleep(86_400.0))
        return loop.time()

    assert run_virtually(a_day(), loop) == 86_400.0


def test_timers_of_one_moment_ring_in_the_order_in_which_they_were_set() -> None:
    """Whatever else was set and cancelled: the same seed tells the same story."""
    loop, rang = VirtualLoop(), list[int]()

    async def sets() -> None:
        others = [loop.call_at(5.0 + number / 1000, rang.append, -1) for number in range(300)]
        for number in range(50):
            loop.call_at(5.0, rang.append, number)
        for one in others:
            one.cancel()
        await asyncio.sleep(10.0)

    run_virtually(sets(), loop)
    assert list(range(50)) == rang


def test_what_is_cancelled_does_not_ring() -> None:
    """Neither a timer, nor what was to be called at once; and its moment is not waited for."""
    loop, rang = VirtualLoop(), list[str]()

    async def cancels() -> float:
        timer, at_once = loop.call_later(100.0, rang.append, "timer"), loop.call_soon(rang.append, "at once")
        timer.cancel()
        at_once.cancel()
        assert timer.cancelled()
        assert timer.when() == 100.0
        await asyncio.sleep(1.0)
        return loop.time()

    assert run_virtually(cancels(), loop) == 1.0
    assert [] == rang


def test_a_deadline_ends_what_takes_too_long() -> None:
    """`asyncio.timeout`, `wait_for` and tasks work as on any other loop."""
    loop = VirtualLoop()

    async def too_slow() -> float:
        sleeper = asyncio.create_task(asyncio.sleep(50.0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.0):
                await sleeper
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sleep(50.0), 3.0)
        assert sleeper.cancelled()
        return loop.time()

    assert run_virtually(too_slow(), loop) == 5.0


def test_to_wait_for_nobody_is_an_error() -> None:
    """Instead of hanging for ever."""
    loop = VirtualLoop()

    async def waits() -> None:
        await loop.create_future()

    with pytest.raises(RuntimeError, match="nobody has set a timer"):
        run_virtually(waits(), loop)


def test_tasks_that_are_left_are_cancelled_at_the_end() -> None:
    """Nobody goes on after the play."""
    loop, ended = VirtualLoop(), list[str]()

    async def goes_on() -> None:
        try:
            await asyncio.sleep(1_000.0)
        finally:
            ended.append("cancelled")

    async def leaves() -> asyncio.Task[None]:
        left = asyncio.create_task(goes_on())
        await asyncio.sleep(1.0)
        return left

    assert run_virtually(leaves(), loop).cancelled()
    assert ["cancelled"] == ended
    assert loop.is_closed()


def test_a_call_that_fails_ends_the_play() -> None:
    """Other loops log it and go on; here it is a bug of the play that nobody would see."""
    loop = VirtualLoop()

    async def plays() -> None:
        loop.call_later(1.0, dict[str, str]().pop, "nothing")
        await asyncio.sleep(10.0)

    with pytest.raises(KeyError):
        run_virtually(plays(), loop)


def test_an_error_that_nobody_asked_for_is_told_to_the_handler() -> None:
    """As `asyncio` promises."""
    loop, told = VirtualLoop(), list[str]()
    loop.set_exception_handler(lambda _loop, context: told.append(context["message"]))

    async def tells() -> None:
        loop.call_exception_handler({"message": "something"})
        await asyncio.sleep(0)

    run_virtually(tells(), loop)
    assert ["something"] == told
