"""The whole of leadsync as its users run it: bare XADD in, one PATCH out, whatever is killed on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.support.process import kill_tree
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

#: `KILL_TEST_EVENTS=100000` is the size of the promise; the default keeps CI short.
EVENTS = int(os.environ.get("KILL_TEST_EVENTS", "3000"))
#: Workers that are killed all the time still take in what is told: no more than so many events wait.
_BACKLOG = 2_000


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[Stack]:
    """Simulators and servers; no leadsync process yet."""
    with running_stack(tmp_path / "data", redis_url, database_url) as running:
        yield running


@pytest.mark.parametrize("workers", [1, 4])
def test_one_event_becomes_one_patch_with_the_changed_field(stack: Stack, workers: int) -> None:
    """
    A bare XADD from another program leads to one PATCH for each other remote, holding only what changed.
    """
    stack.seed(3)
    for _ in range(workers):
        stack.start("worker", "--concurrency", "1")
    stack.start("beat")
    stack.link_all()
    stack.wait_linked()

    stack.rename(1, "Renamed in the CRM")

    wait_until(stack.all_equal, deadline_s=20, what="all remotes show the new name")
    patches = {
        kind: [(call["method"], call["body"]) for call in remote.calls() if call["method"] != "GET"]
        for kind, remote in stack.simulators.items()
    }
    one = [("PATCH", {"name": "Renamed in the CRM"})]
    assert {"crm": [], "instantly": one, "lance": one} == patches


def test_killed_workers_lose_and_double_nothing(stack: Stack) -> None:
    """
    While events pour into three partitions, workers are killed with SIGKILL again and again; at the end every copy
    is as wanted, nothing is left in the stream, and no list was ever written by two pushes at once.
    """
    stack.env["LEADSYNC_EVENTS__PARTITIONS"] = "3"
    chance = Random(20261122)
    lists = 100
    stack.seed(lists)
    stack.link_all()
    workers = [stack.start("worker", "--concurrency", "1") for _ in range(4)]
    stack.start("beat")

    kills, next_kill = 0, _soon(chance)
    for n in range(EVENTS):
        stack.rename(chance.randrange(lists), f"Name {n}")
        if n % _BACKLOG == 0:
            wait_until(lambda: stack.unfinished() < _BACKLOG, deadline_s=120, what="workers keep up", told=stack.told)
        if n % (EVENTS // 12) == EVENTS // 24 or time.monotonic() > next_kill:
            victim = chance.randrange(len(workers))
            kill_tree(workers[victim].pid)
            workers[victim].wait()
            workers[victim] = stack.start("worker", "--concurrency", "1")
            kills, next_kill = kills + 1, _soon(chance)
            time.sleep(chance.random())  # so that kills meet work at every stage
    killed_at = time.monotonic()

    def settled() -> bool:
        return stack.all_equal() and stack.unfinished() == 0 and _in_sync(stack)

    wait_until(settled, deadline_s=90, what="every copy is as wanted", told=stack.told)
    took_s = time.monotonic() - killed_at
    print(f"{EVENTS:,} events, {kills} workers killed, recovered {took_s:.1f} s after the last")  # noqa: T201 - shown with -s
    overlaps = {kind: remote.summary()["overlaps"] for kind, remote in stack.simulators.items()}
    assert {"crm": 0, "instantly": 0, "lance": 0} == overlaps


def _soon(chance: Random) -> float:
    """When the next worker is killed, whatever was told by then."""
    return time.monotonic() + chance.uniform(2.0, 5.0)


def _in_sync(stack: Stack) -> bool:
    copies = stack.status()["copies"]
    return bool(copies["total"] == copies["in_sync"])
