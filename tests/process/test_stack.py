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

#: `KILL_TEST_EVENTS=20000` is the size of the promise; the default keeps CI short.
EVENTS = int(os.environ.get("KILL_TEST_EVENTS", "3000"))


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

    for n in range(EVENTS):
        stack.rename(chance.randrange(lists), f"Name {n}")
        if n % (EVENTS // 12) == EVENTS // 24:
            victim = chance.randrange(len(workers))
            kill_tree(workers[victim].pid)
            workers[victim].wait()
            workers[victim] = stack.start("worker", "--concurrency", "1")
            time.sleep(chance.random())  # so that kills meet work at every stage
    killed_at = time.monotonic()

    def settled() -> bool:
        return stack.all_equal() and stack.unfinished() == 0 and _in_sync(stack)

    wait_until(settled, deadline_s=90, what="every copy is as wanted", told=stack.told)
    print(f"recovered {time.monotonic() - killed_at:.1f} s after the last kill")  # noqa: T201 - shown with -s
    overlaps = {kind: remote.summary()["overlaps"] for kind, remote in stack.simulators.items()}
    assert {"crm": 0, "instantly": 0, "lance": 0} == overlaps


def _in_sync(stack: Stack) -> bool:
    copies = stack.status()["copies"]
    return bool(copies["total"] == copies["in_sync"])
