"""Scans by real processes: what no event told of is found, and a killed worker's scan goes on where it stood."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.process import kill_tree
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

#: Twenty pages of Instantly.
LISTS = 2_000


@pytest.fixture
def stack(tmp_path: Path, sqlite_url: str) -> Iterator[Stack]:
    """SQLite, and a Redis of its own data folder, as on one machine; nobody sends a webhook."""
    from worker.embedded import embedded_redis

    with embedded_redis(tmp_path / "redis") as redis, running_stack(tmp_path / "data", redis.url, sqlite_url) as stack:
        yield stack


def test_edits_that_nobody_told_of_are_found_by_the_next_scan(stack: Stack) -> None:
    """
    One edit on each remote, directly; after its scan the other two show the same, by one write each.
    """
    stack.seed(3)
    stack.start("worker", "--concurrency", "2")
    stack.start("beat")
    stack.link_all()
    stack.wait_linked()
    stack.wait_scanned()
    for remote in stack.simulators.values():
        remote.forget_calls()

    for n, (kind, remote) in enumerate(stack.simulators.items()):
        remote.edit(stack.ids[kind][n], name=f"From {kind}")
        status, certificate = stack.scan(kind)
        told = [certificate[key] for key in ("state", "lists", "drift", "repaired", "gone")]
        assert (status, told) == (3, ["complete", 3, 1, 1, 0])
        wait_until(stack.all_equal, deadline_s=10, what=f"{kind}'s edit is everywhere", told=stack.told)

    writes = {kind: remote.summary()["calls"].get("PATCH", 0) for kind, remote in stack.simulators.items()}
    assert {"crm": 2, "instantly": 2, "lance": 2} == writes
    assert [0, 0, 0] == [stack.scan(kind)[0] for kind in stack.simulators]


def test_a_killed_scan_is_completed_by_the_next_worker(stack: Stack) -> None:
    """
    Killed with SIGKILL in the middle of many slow pages, twice; no page that was taken in is read again, and no list
    is reported missing or gone.
    """
    instantly = stack.simulators["instantly"]
    instantly.seed([{"name": f"List {n}", "kind": "person"} for n in range(LISTS)])
    instantly.switch(latency_s=0.3)
    stack.start("beat")
    for _ in range(2):
        worker, before = stack.start("worker", "--concurrency", "1"), _pages(stack)
        wait_until(partial(_read, stack, before + 4), deadline_s=60, what="some pages are read")
        kill_tree(worker.pid)
        worker.wait()
    killed_at = _pages(stack)
    assert killed_at < LISTS / 100
    stack.start("worker", "--concurrency", "1")

    status, certificate = stack.scan("instantly")

    assert (status, certificate["state"], certificate["lists"], certificate["new"]) == (0, "complete", LISTS, LISTS)
    assert (certificate["missing"], certificate["gone"], certificate["drift"]) == (0, 0, 0)
    assert _pages(stack) <= LISTS / 100 + 3  # those in flight at a kill are read again; and perhaps an empty last one
    assert stack.status()["copies"]["in_sync"] == LISTS


def _read(stack: Stack, pages: int) -> bool:
    return _pages(stack) >= pages


def _pages(stack: Stack) -> int:
    return int(stack.simulators["instantly"].summary()["calls"].get("GET", 0))
