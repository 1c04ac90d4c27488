"""Many remotes share few processes: one that answers late holds up nobody, and is not cut off when workers end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, sqlite_url: str) -> Iterator[Stack]:
    """Two lists are linked everywhere, and one worker process does all."""
    settings = {"LEADSYNC_REMOTES__LANCE__TIMEOUT_S": "30"}
    with running_stack(tmp_path / "data", redis_url, sqlite_url, settings=settings) as running:
        running.seed(2)
        running.start("worker", "--concurrency", "1")
        running.start("beat")
        running.link_all()
        running.wait_linked()
        running.wait_scanned()
        yield running


def patches(stack: Stack, kind: str) -> list[dict[str, Any]]:
    """Calls that change something there, answered or not."""
    return [call for call in stack.simulators[kind].calls() if call["method"] == "PATCH"]


def slow_and_busy(stack: Stack, latency_s: float) -> None:
    """Lance has one PATCH under way, and answers seconds later."""
    stack.simulators["lance"].switch(latency_s=latency_s)
    stack.rename(0, "First")
    wait_until(lambda: patches(stack, "lance"), deadline_s=60, what="the slow one is told")


def test_a_slow_remote_does_not_hold_the_only_process(stack: Stack) -> None:
    """Events are taken in and the other remote is told while the slow one has not answered yet."""
    slow_and_busy(stack, 20.0)  # far longer than the others take, also on a busy machine

    stack.rename(1, "Second")
    wait_until(lambda: len(patches(stack, "instantly")) == 2, deadline_s=60, what="the other one is told")

    assert patches(stack, "lance")[0]["answered"] is None


def test_a_worker_that_ends_waits_for_answers(stack: Stack) -> None:
    """Asked to end while a call is under way, it ends after the answer, and its outcome is known."""
    slow_and_busy(stack, 5.0)  # shorter than a worker is waited for

    worker, _ = stack.processes
    worker.send_signal(signal.SIGTERM)

    assert 0 == worker.wait(60)
    [call] = patches(stack, "lance")
    assert 200 == call["status"]
    copies = stack.status()["copies"]
    assert copies["total"] == copies["in_sync"]
