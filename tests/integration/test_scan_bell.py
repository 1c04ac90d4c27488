"""Scans that are due are begun and rung for, with nudges in a real Redis and scans in real databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from models.scan import Scan, ScanState, Trigger
from tests.support.desk import Desk, desk_at
from worker import scan_bell
from worker.celery_app import TaskName
from worker.notes import nudges
from worker.ports import RemoteState, Tx
from worker.scan_bell import ring_due_scans
from worker.sync.schedule import begin

REMOTES = ("crm", "instantly", "lance")


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    """Three remotes, nothing scanned yet."""
    with desk_at(database_url, redis_url, *REMOTES) as desk:
        yield desk


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Remotes whose scans were rung for; no message is sent."""
    found = list[str]()

    def ring(_redis: object, task: TaskName, remote: str) -> None:
        assert task is TaskName.SCAN
        found.append(remote)

    monkeypatch.setattr(scan_bell, "ring", ring)
    return found


def nudge(desk: Desk, value: str = "one") -> None:
    """A webhook of Instantly came."""
    desk.runtime.bells.set(nudges.key("instantly"), value)


def latest(desk: Desk) -> Scan:
    """Instantly's."""
    found = desk.runtime.store.run_now(lambda tx: tx.scans.latest("instantly"))
    assert found is not None
    return found


def ended(desk: Desk, seconds_ago: float) -> None:
    """Instantly's scan has ended."""
    scan = latest(desk)

    def work(tx: Tx) -> None:
        then = tx.now - timedelta(seconds=seconds_ago)
        tx.scans.save(replace(scan, state=ScanState.COMPLETE, started_at=then, ended_at=then))

    desk.runtime.store.run_now(work)


def test_first_scans_are_begun_and_rung_for(desk: Desk, rung: list[str]) -> None:
    """Of each remote one; a second tick rings again, and begins none."""
    ring_due_scans(desk.runtime, REMOTES)
    ring_due_scans(desk.runtime, REMOTES)

    assert [*REMOTES, *REMOTES] == rung
    assert list(REMOTES) == sorted(scan.remote for scan in desk.views.look(lambda view: view.scans.newest(None, 10)))


def test_a_nudge_begins_a_scan_which_takes_it_away(desk: Desk, rung: list[str]) -> None:
    """One scan answers all that came before it."""
    ring_due_scans(desk.runtime, ["instantly"])
    ended(desk, seconds_ago=60)
    nudge(desk)
    rung.clear()
    ring_due_scans(desk.runtime, ["instantly"])

    assert ["instantly"] == rung
    assert Trigger.NUDGE is latest(desk).trigger
    assert not desk.runtime.bells.exists(nudges.key("instantly"))


def test_a_nudge_too_soon_is_kept(desk: Desk, rung: list[str]) -> None:
    """For the tick that comes when the gap has passed."""
    ring_due_scans(desk.runtime, ["instantly"])
    ended(desk, seconds_ago=1)
    nudge(desk)
    rung.clear()
    ring_due_scans(desk.runtime, ["instantly"])
    assert [] == rung
    assert desk.runtime.bells.exists(nudges.key("instantly"))


def test_a_nudge_while_pages_are_read_is_kept(desk: Desk, rung: list[str]) -> None:
    """What it is about may be on a page that was read already."""
    ring_due_scans(desk.runtime, ["instantly"])
    desk.runtime.store.run_now(lambda tx: tx.scans.save(replace(latest_in(tx), fence=1)))
    nudge(desk)
    ring_due_scans(desk.runtime, ["instantly"])

    assert ["instantly", "instantly"] == rung
    assert desk.runtime.bells.exists(nudges.key("instantly"))


def test_a_nudge_that_came_since_is_kept(desk: Desk) -> None:
    """Only the one that was read is taken away."""
    nudge(desk, "new")
    nudges.take(desk.runtime.bells, "instantly", b"old")
    assert {"instantly": b"new"} == nudges.read(desk.runtime.bells, REMOTES)


def test_a_paused_remote_keeps_its_nudge(desk: Desk, rung: list[str]) -> None:
    """It is scanned when it is resumed."""
    desk.runtime.store.run_now(lambda tx: tx.set_remote_state("instantly", RemoteState(paused=True)))
    nudge(desk)
    ring_due_scans(desk.runtime, REMOTES)

    assert ["crm", "lance"] == rung
    assert desk.runtime.bells.exists(nudges.key("instantly"))


def test_many_at_once_begin_one_scan(desk: Desk) -> None:
    """Two beats, two workers, a person and the web: harmless."""
    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(lambda _: _begin(desk), range(16)))
    assert {begun[0]} == set(begun)


def latest_in(tx: Tx) -> Scan:
    """Instantly's, within a transaction."""
    found = tx.scans.latest("instantly")
    assert found is not None
    return found


def _begin(desk: Desk) -> int:
    return desk.runtime.store.run_now(lambda tx: begin(tx, "instantly", Trigger.PERSON)).id
