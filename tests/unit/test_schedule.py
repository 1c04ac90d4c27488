"""When a remote is scanned, how many nudges one scan answers, and what a person may decide about a held scan."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from models.scan import Scan, ScanState, Trigger
from tests.support.heart import NOON
from worker.errors import NotPossible
from worker.ports import RemoteState
from worker.store.memory import MemoryStore
from worker.sync.schedule import ask, begin, decide, due, held

EVERY_S = 900.0


class Plan:
    """One remote, and a clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = MemoryStore(lambda: self.now)

    def due(self, *, nudged: bool = False) -> Trigger | None:
        """Whether somebody should see to it now."""
        return self.store.run_now(lambda tx: due(tx, "crm", every_s=EVERY_S, nudged=nudged))

    def begun(self) -> Scan:
        """The scan that is under way now."""
        return self.store.run_now(lambda tx: begin(tx, "crm", Trigger.SCHEDULE))

    def save(self, scan: Scan) -> Scan:
        """As it is."""
        self.store.run_now(lambda tx: tx.scans.save(scan))
        return scan

    def ended(self, state: ScanState = ScanState.COMPLETE, after_s: float = 0.0) -> Scan:
        """A scan that took so long."""
        scan = self.begun()
        self.wait(after_s)
        return self.save(replace(scan, state=state, ended_at=self.now, lease_until=None))

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def pause(self) -> None:
        """Nobody calls the remote."""
        state = RemoteState(paused=True, cause="paused by a person", next_step="leadsync resume crm")
        self.store.run_now(lambda tx: tx.set_remote_state("crm", state))


@pytest.fixture
def plan() -> Plan:
    """Nothing was ever scanned."""
    return Plan()


def test_a_remote_that_was_never_scanned_is_due(plan: Plan) -> None:
    """And not once more while that scan waits for its turn."""
    assert plan.due() is Trigger.SCHEDULE
    assert plan.begun() == plan.begun()


def test_scans_follow_each_other_in_the_time_that_is_set(plan: Plan) -> None:
    """From one beginning to the next."""
    plan.ended(after_s=100)
    plan.wait(EVERY_S - 101)
    assert plan.due() is None
    plan.wait(1)
    assert plan.due() is Trigger.SCHEDULE


def test_a_nudge_begins_a_scan_before_its_time(plan: Plan) -> None:
    """A storm of them begins one in five seconds at most."""
    plan.ended()
    assert plan.due(nudged=True) is None
    plan.wait(4.9)
    assert plan.due(nudged=True) is None
    plan.wait(0.1)
    assert plan.due(nudged=True) is Trigger.NUDGE
    assert plan.due(nudged=False) is None


def test_nudged_scans_leave_nine_tenths_of_the_time_to_others(plan: Plan) -> None:
    """What takes 20 seconds rests for 180."""
    plan.ended(after_s=20)
    plan.wait(179)
    assert plan.due(nudged=True) is None
    plan.wait(1)
    assert plan.due(nudged=True) is Trigger.NUDGE


def test_a_scan_under_way_is_rung_for_when_nobody_has_it(plan: Plan) -> None:
    """Not while a worker holds it, nor before it may go on."""
    scan = plan.begun()
    plan.save(replace(scan, lease_until=NOON + timedelta(seconds=45)))
    assert plan.due(nudged=True) is None
    plan.wait(45)
    assert plan.due() is Trigger.SCHEDULE
    plan.save(replace(scan, due_at=plan.now + timedelta(seconds=8)))
    assert plan.due() is None


def test_a_paused_remote_is_left_alone(plan: Plan) -> None:
    """Neither schedule nor nudge nor person scans it."""
    plan.pause()
    assert plan.due(nudged=True) is None
    with pytest.raises(NotPossible, match=r"crm is paused.*paused by a person; next: leadsync resume crm"):
        plan.store.run_now(lambda tx: ask(tx, "crm"))


def test_a_person_joins_the_scan_under_way(plan: Plan) -> None:
    """One at a time."""
    assert plan.begun() == plan.store.run_now(lambda tx: ask(tx, "crm"))


def test_a_held_scan_goes_on_when_a_person_lets_it(plan: Plan) -> None:
    """Even though later scans have ended early since; it keeps in mind why it was held."""
    scan = plan.save(replace(plan.ended(ScanState.HELD), note="of 20 known lists, 12 were changed there"))
    plan.ended(ScanState.INCOMPLETE)
    decided = plan.store.run_now(lambda tx: decide(tx, scan.id, release=True))
    assert (decided.state, decided.ended_at) == (ScanState.TAKING, None)
    assert decided.note == "released by a person: of 20 known lists, 12 were changed there"
    assert plan.store.run_now(lambda tx: tx.scans.latest("crm")) == decided


def test_a_held_scan_can_be_refused(plan: Plan) -> None:
    """Once."""
    scan = plan.ended(ScanState.HELD)
    assert plan.store.run_now(lambda tx: decide(tx, scan.id, release=False)).state is ScanState.REFUSED
    with pytest.raises(NotPossible, match=f"scan {scan.id} of crm is not held, it is refused"):
        plan.store.run_now(lambda tx: held(tx, scan.id))


def test_a_held_scan_waits_while_a_later_one_looks(plan: Plan) -> None:
    """That one will judge anew."""
    scan = plan.ended(ScanState.HELD)
    plan.begun()
    with pytest.raises(NotPossible, match="is under way and will judge anew"):
        plan.store.run_now(lambda tx: decide(tx, scan.id, release=True))


def test_what_was_never_there_cannot_be_decided(plan: Plan) -> None:
    """A number that was mistyped."""
    with pytest.raises(NotPossible, match="there is no scan 7; leadsync scans list"):
        plan.store.run_now(lambda tx: decide(tx, 7, release=True))
