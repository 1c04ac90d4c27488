"""`leadsync scan` and `leadsync scans`: what they print and how they end. No worker runs here; a test plays it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from models.scan import UNDER_WAY, Scan, ScanState, Trigger
from tests.support.commands import Command, Leadsync
from tests.support.waiting import wait_until
from worker.cli import scans as command
from worker.ports import Tx
from worker.store.sql import SqlStore

WHY = "of 20 known lists, 12 were changed there"


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One is enough here: nothing asks the database in a way of its own."""
    return sqlite_url


@pytest.fixture
def leadsync(command: Command) -> Leadsync:
    """The command, with remotes that are never called."""
    return command("crm", "lance")


def scanned(store: SqlStore, state: ScanState, **counts: Any) -> Scan:
    """A scan of the CRM that has come so far."""

    def work(tx: Tx) -> Scan:
        scan = tx.scans.latest("crm")
        if scan is None or scan.state not in UNDER_WAY:
            scan = tx.scans.open("crm", Trigger.SCHEDULE)
        after = replace(scan, state=state, ended_at=None if state in UNDER_WAY else tx.now, **counts)
        tx.scans.save(after)
        return after

    return store.run_now(work)


@contextmanager
def ending(store: SqlStore, state: ScanState, **counts: Any) -> Iterator[None]:
    """A worker that takes the next scan up and ends it so."""

    def work() -> None:
        wait_until(lambda: store.run_now(lambda tx: tx.scans.latest("crm")), what="a scan is begun")
        scanned(store, ScanState.READING, fence=1, pages=1)
        scanned(store, state, **counts)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_a_scan_is_begun_and_rung_for(leadsync: Leadsync) -> None:
    """Whoever asks again joins it."""
    text, document = leadsync("scan", "crm"), leadsync("scan", "crm", "--json")

    assert (0, 0) == (text.status, document.status)
    assert "scan 1 of crm is under way; leadsync scan crm --wait follows it\n" == text.out
    assert (1, "reading", "person", None) == tuple(document.json[key] for key in ("id", "state", "trigger", "ended_at"))


def test_an_unknown_remote_is_wrong_usage(leadsync: Leadsync) -> None:
    """With those that are known."""
    ran = leadsync("scan", "crn")
    assert (2, "") == (ran.status, ran.out)
    assert "there is no remote 'crn' in the settings; known: crm, lance" in ran.err


def test_a_paused_remote_is_not_scanned(leadsync: Leadsync) -> None:
    """One sentence with the next step."""
    leadsync("pause", "crm")
    ran = leadsync("scan", "crm", "--wait")
    assert (1, "") == (ran.status, ran.out)
    assert "crm is paused, so it is not scanned: paused by a person; next: leadsync resume crm" in ran.err


@pytest.mark.parametrize(
    ("state", "counts", "status"),
    [
        (ScanState.COMPLETE, {"lists": 20, "new": 3, "moved": 1, "missing": 1}, 0),
        (ScanState.COMPLETE, {"lists": 20, "drift": 2, "repaired": 2}, 3),
        (ScanState.COMPLETE, {"lists": 20, "missing": 1, "gone": 1}, 3),
        (ScanState.HELD, {"note": WHY, "drift": 12}, 3),
        (ScanState.INCOMPLETE, {"note": "access was lost: crm answered 401"}, 3),
    ],
)
def test_its_certificate_says_whether_a_person_must_look(
    leadsync: Leadsync, store: SqlStore, state: ScanState, counts: dict[str, Any], status: int
) -> None:
    """Complete and without drift: 0; anything else: 3. Progress goes to stderr."""
    with ending(store, state, **counts):
        ran = leadsync("scan", "crm", "--wait", "--json")

    assert (status, state) == (ran.status, ran.json["state"])
    assert counts == {key: ran.json[key] for key in counts}
    assert "leadsync: scan 1 of crm is reading" in ran.err


def test_a_certificate_as_text(leadsync: Leadsync, store: SqlStore) -> None:
    """All its counts, and what to do."""
    with ending(store, ScanState.HELD, note=WHY, pages=2, chain="0f1e", lists=20, drift=12):
        ran = leadsync("scan", "crm", "--wait")

    head = f"scan 1 of crm: held, {WHY}\n    pages    2\n    chain    0f1e\n    lists    20\n    new      0\n"
    assert ran.out.startswith(head)
    assert "next: see whether crm is as it should be; then leadsync scans release 1, or" in ran.out


def test_waiting_without_a_worker_says_so(leadsync: Leadsync, store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, and goes on waiting."""
    monkeypatch.setattr(command, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(time, "sleep", lambda _: scanned(store, ScanState.COMPLETE))
    ran = leadsync("scan", "crm", "--wait")

    assert 0 == ran.status
    assert 1 == ran.err.count("no worker takes scan 1 up: is one running? leadsync up starts all; waiting goes on")


def test_scans_are_listed_newest_first(leadsync: Leadsync, store: SqlStore) -> None:
    """By pages; exit status 3 when one is held."""
    for _ in range(3):
        scanned(store, ScanState.COMPLETE)
    first = leadsync("scans", "list", "--limit", "2", "--json")
    second = leadsync("scans", "list", "--limit", "2", "--after", first.json["next"], "--json")
    assert ([3, 2], [1]) == tuple([one["id"] for one in ran.json["items"]] for ran in (first, second))
    assert (0, None) == (second.status, second.json["next"])
    assert [] == leadsync("scans", "list", "--remote", "lance", "--json").json["items"]

    scanned(store, ScanState.HELD, note=WHY)
    held = leadsync("scans", "list")
    assert 3 == held.status
    assert "scan 4: see whether crm is as it should be; then leadsync scans release 4" in held.out


def test_status_shows_a_held_scan_with_the_next_step(leadsync: Leadsync, store: SqlStore) -> None:
    """And when the last complete one began."""
    assert None is leadsync("status", "--json").json["remotes"]["crm"]["last_complete_scan"]
    complete = scanned(store, ScanState.COMPLETE)
    scanned(store, ScanState.HELD, note=WHY)
    document, text = leadsync("status", "--json"), leadsync("status")

    crm = document.json["remotes"]["crm"]
    assert (3, 3) == (document.status, text.status)
    assert crm["last_complete_scan"][:19] == complete.started_at.isoformat()[:19]
    assert (2, WHY) == (crm["held_scan"]["id"], crm["held_scan"]["reason"])
    assert f"crm scan 2 is held: {WHY}; next: see whether crm is as it should be; then leadsync scans" in text.out
    assert None is document.json["remotes"]["lance"]["held_scan"]


def test_a_decision_says_first_how_many_lists_it_is_about(leadsync: Leadsync, store: SqlStore) -> None:
    """A script that decides about more than one list says --yes."""
    scanned(store, ScanState.HELD, note=WHY, drift=12, missing=1)
    asked = leadsync("scans", "release", "1")
    assert 2 == asked.status
    assert "12 lists will change to what it showed, 1 that it did not show will be looked for by id" in asked.err

    released = leadsync("scans", "release", "1", "--yes", "--json")
    assert (0, "taking") == (released.status, released.json["state"])
    assert f"released by a person: {WHY}" == released.json["note"]
    assert 1 == leadsync("scans", "release", "1", "--yes").status


def test_a_refused_scan_changes_nothing(leadsync: Leadsync, store: SqlStore) -> None:
    """Afterwards nothing is held."""
    scanned(store, ScanState.HELD, note=WHY, drift=12)
    ran = leadsync("scans", "refuse", "1", "--yes")
    assert (0, "scan 1 of crm is refused\n") == (ran.status, ran.out)
    assert 0 == leadsync("status").status


@pytest.mark.parametrize(("number", "status"), [("7", 1), ("0", 2), ("x", 2)])
def test_a_scan_that_is_not_there_cannot_be_decided(leadsync: Leadsync, number: str, status: int) -> None:
    """One sentence."""
    ran = leadsync("scans", "refuse", number, "--yes")
    assert (status, "") == (ran.status, ran.out)
    assert ran.err


def test_a_complete_scan_does_not_say_that_all_that_is_gone_is_parked(leadsync: Leadsync, store: SqlStore) -> None:
    """With `on_gone` unlink or recreate nothing is."""
    scanned(store, ScanState.COMPLETE, missing=1, gone=1)
    [row] = leadsync("scans", "list", "--json").json["items"]
    assert (
        "what is gone is parked, unless on_gone says otherwise: leadsync parked list --remote crm" == row["next_step"]
    )
