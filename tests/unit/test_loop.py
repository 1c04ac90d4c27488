"""The loop of a process: what waits goes on without it, and everything comes to an end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import wait_until
from worker.loop import Loop


@pytest.fixture
def loop() -> Iterator[Loop]:
    """One that waits for nothing."""
    loop = Loop(hold_s=0.0, at_once=2, limit_s=60.0)
    yield loop
    loop.close()


def test_what_waits_does_not_hold_up_what_comes_next(loop: Loop) -> None:
    """A push of a slow remote goes on while another remote is pushed, on the same loop."""
    answered = asyncio.Event()

    async def slow() -> None:
        await answered.wait()

    async def quick() -> str:
        return "done"

    async def answer() -> None:
        answered.set()

    loop.begin(slow())

    assert "done" == loop.run(quick())
    assert not loop.drain(0.0)
    loop.run(answer())
    assert loop.drain(10.0)


def test_what_is_done_at_once_was_waited_for() -> None:
    """So that a busy process takes nothing else meanwhile, and failures are its task's."""
    loop = Loop(hold_s=10.0)

    async def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loop.begin(bug())
    loop.close()


def test_a_later_failure_is_in_the_log(loop: Loop) -> None:
    """Nobody waits for it any more."""
    go = threading.Event()

    async def bug() -> None:
        await asyncio.to_thread(go.wait)
        raise ZeroDivisionError

    with capture_logs() as logs:
        loop.begin(bug())
        go.set()
        wait_until(lambda: logs, what="the failure is told")

    assert "task_failed" == logs[0]["event"]
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)


def test_a_full_process_waits_for_room(loop: Loop) -> None:
    """The third piece of work begins when one of two has ended."""
    ends = [threading.Event() for _ in range(3)]

    async def work(number: int) -> None:
        await asyncio.to_thread(ends[number].wait)

    begun = threading.Event()

    def begin_all() -> None:
        for number in range(3):
            loop.begin(work(number))
        begun.set()

    thread = threading.Thread(target=begin_all)
    thread.start()
    try:
        assert not begun.wait(0.05)
        ends[1].set()
        assert begun.wait(10.0)
    finally:
        for end in ends:
            end.set()
        thread.join()
    assert loop.drain(10.0)


def test_work_may_begin_other_work(loop: Loop) -> None:
    """It is not waited for, but it is at the end; a loop with enough to do takes no more."""
    answered = asyncio.Event()

    async def slow() -> None:
        await answered.wait()

    async def first() -> list[bool]:
        return [loop.go_on(slow) for _ in range(3)]

    async def answer() -> None:
        answered.set()

    assert [True, True, False] == loop.run(first())
    assert not loop.drain(0.0)
    loop.run(answer())
    assert loop.drain(10.0)


def test_nothing_goes_on_for_ever() -> None:
    """A bug that waits for nothing is ended, and told."""
    loop = Loop(hold_s=0.0, limit_s=0.01)

    async def stuck() -> None:
        await asyncio.Event().wait()

    with capture_logs() as logs:
        loop.begin(stuck())
        assert loop.drain(10.0)
        wait_until(lambda: logs, what="the end is told")
    loop.close()

    assert isinstance(logs[0]["exc_info"], TimeoutError)
