"""What a tick asks about all remotes at once, on all three stores: as each of them would be asked alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from models.scan import Scan, ScanState, Trigger
from tests.support.heart import list_of
from tests.support.stores import RunsNow, due_copy, saved
from worker.parts import Glance
from worker.ports import DueCount, RemoteState, Tx
from worker.sync.schedule import due, ripe

NAMES = ("crm", "instantly", "lance", "nobody")


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def glance(store: RunsNow) -> dict[str, Glance]:
    """Of all remotes."""
    found: dict[str, Glance] = store.run_now(lambda tx: tx.scans.glance(NAMES))
    return found


def put_scan(store: RunsNow, change: Callable[[Tx, Scan], Scan], remote: str = "crm") -> Scan:
    """A new one, changed."""

    def work(tx: Tx) -> Scan:
        scan = change(tx, tx.scans.open(remote, Trigger.SCHEDULE))
        tx.scans.save(scan)
        return scan

    return store.run_now(work)


def complete(tx: Tx, scan: Scan) -> Scan:
    """It has ended."""
    return replace(scan, state=ScanState.COMPLETE, ended_at=tx.now)


def test_remotes_with_something_due(store: RunsNow) -> None:
    """Those that `count_due` finds something for, in order; not those that are paused, nor those that nobody knows."""
    for remote, seconds in {"lance": -1.0, "crm": -1.0, "instantly": 3_600.0}.items():
        [copy] = due_copy(seconds).copies.values()
        saved(store, list_of(replace(copy, remote=remote)))

    found = store.run_now(lambda tx: (tx.due_remotes(NAMES), [tx.count_due(one, 1) for one in NAMES]))
    store.run_now(lambda tx: tx.set_remote_state("crm", RemoteState(paused=True)))

    assert (["crm", "lance"], [DueCount(1), DueCount(), DueCount(1), DueCount()]) == found
    assert ["lance"] == store.run_now(lambda tx: tx.due_remotes(NAMES))
    assert [] == store.run_now(lambda tx: tx.due_remotes([]))


def test_scans_at_a_glance(store: RunsNow) -> None:
    """None yet, ended, held and let go on again, in hand, and waiting for a worker."""
    assert dict.fromkeys(NAMES, Glance(None)) == glance(store)
    held = put_scan(store, lambda _, scan: replace(scan, state=ScanState.HELD))
    last = put_scan(store, complete)
    assert Glance(last.started_at) == glance(store)["crm"]

    store.run_now(lambda tx: tx.scans.save(replace(held, state=ScanState.TAKING, due_at=tx.now)))
    assert Glance(held.started_at, under_way=True, waits=True) == glance(store)["crm"]

    leased = put_scan(store, lambda tx, scan: replace(scan, lease_until=tx.now + timedelta(hours=1)), "lance")
    assert Glance(leased.started_at, under_way=True) == glance(store)["lance"]
    assert {} == store.run_now(lambda tx: tx.scans.glance([]))


def test_ripe_remotes_are_those_that_may_be_due(store: RunsNow) -> None:
    """For each remote that is due, alone, the look at all of them says so too."""
    put_scan(store, complete)
    put_scan(store, lambda tx, scan: replace(scan, lease_until=tx.now - timedelta(seconds=1)), "instantly")
    put_scan(store, lambda tx, scan: replace(complete(tx, scan), started_at=tx.now - timedelta(hours=2)), "lance")
    every_s = dict.fromkeys(NAMES, 3_600.0)

    def work(tx: Tx) -> tuple[list[str], list[str]]:
        alone = [one for one in NAMES if due(tx, one, every_s=every_s[one], nudged=False)]
        return sorted(alone), ripe(tx, every_s, ())

    alone, together = store.run_now(work)

    assert ["instantly", "lance", "nobody"] == alone == together
    assert [*NAMES] == store.run_now(lambda tx: ripe(tx, every_s, {"crm"}))
