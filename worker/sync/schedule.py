"""Schedule: when a remote is scanned, and what people decide about a scan that is held.

Called by the CLI, and by tick and web through `worker.scan_bell`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from models.audit import Action
from models.scan import UNDER_WAY, Scan, ScanState, Trigger
from models.values import replace
from worker.errors import NotKnown, NotPossible
from worker.parts import Glance
from worker.ports import Tx

#: A nudged scan takes at most this share of the time: senders of webhooks do not know what a scan costs.
_NUDGED_SHARE = 0.1
_NUDGE_GAP = timedelta(seconds=5)


def begin(tx: Tx, remote: str, trigger: Trigger) -> Scan:
    """The scan that is under way, or a new one."""
    latest = tx.scans.latest(remote)
    return latest if latest is not None and latest.state in UNDER_WAY else tx.scans.open(remote, trigger)


def ripe(tx: Tx, every_s: Mapping[str, float], nudged: Collection[str]) -> list[str]:
    """The remotes for which `due` may have an answer, by one look at all of them."""

    def is_ripe(remote: str, last: Glance) -> bool:
        if last.under_way:
            return last.waits
        return last.started_at is None or last.started_at + timedelta(seconds=every_s[remote]) <= tx.now

    glance = tx.scans.glance(every_s)
    return sorted(remote for remote, last in glance.items() if remote in nudged or is_ripe(remote, last))


def due(tx: Tx, remote: str, *, every_s: float, nudged: bool) -> Trigger | None:
    """Whether a worker should see to this remote now, and why. A paused remote is left alone."""
    if tx.remote_state(remote).paused:
        return None
    latest = tx.scans.latest(remote)
    if latest is not None and latest.state in UNDER_WAY:
        free = latest.lease_until is None or latest.lease_until <= tx.now
        return latest.trigger if free and latest.due_at <= tx.now else None
    if latest is None or latest.started_at + timedelta(seconds=every_s) <= tx.now:
        return Trigger.SCHEDULE
    # While a person is asked about the last one, a nudge would only ask again, under another number.
    nudged = nudged and latest.state is not ScanState.HELD
    return Trigger.NUDGE if nudged and _nudged_from(latest) <= tx.now else None


def _nudged_from(latest: Scan) -> datetime:
    ended = latest.ended_at or latest.started_at
    return ended + max(_NUDGE_GAP, (ended - latest.started_at) * (1 / _NUDGED_SHARE - 1))


def ask(tx: Tx, remote: str) -> Scan:
    """The scan that a person wants now: the one that is under way, or a new one. Raises `NotPossible`."""
    state = tx.remote_state(remote)
    if state.paused:
        raise NotPossible(f"{remote} is paused, so it is not scanned: {state.cause}; next: {state.next_step}")
    scan = begin(tx, remote, Trigger.PERSON)
    tx.audit.note(Action.SCAN, remote, {}, {"scan": scan.id})
    return scan


def held(tx: Tx, number: int) -> Scan:
    """A scan that waits for a person. Raises `NotPossible` for any other."""
    scan = tx.scans.get(number)
    if scan is None:
        raise NotKnown(f"there is no scan {number}; leadsync scans list shows what there is")
    if scan.state is not ScanState.HELD:
        raise NotPossible(f"scan {number} of {scan.remote} is not held, it is {scan.state}")
    return scan


def decide(tx: Tx, number: int, *, release: bool) -> Scan:
    """A person lets a held scan go on, or refuses what it found. Raises `NotPossible`."""
    scan = held(tx, number)
    if release:
        other = tx.scans.latest(scan.remote)
        if other is not None and other.state in UNDER_WAY:
            raise NotPossible(f"scan {other.id} of {scan.remote} is under way and will judge anew; wait for its end")
        note = f"released by a person: {scan.note}"
        decided = replace(scan, state=ScanState.TAKING, note=note, ended_at=None, due_at=tx.now)
    else:
        decided = replace(scan, state=ScanState.REFUSED, note=f"refused by a person: {scan.note}")
        tx.scans.forget(scan.id)
    tx.scans.save(decided)
    action, target = Action.RELEASE if release else Action.REFUSE, f"scan {scan.id} of {scan.remote}"
    tx.audit.note(action, target, {"state": scan.state, "note": scan.note}, {"state": decided.state})
    return decided
