"""What is replaced in a scan to break it on purpose. Used by `mutants.py`."""

from __future__ import annotations

from typing import Any

from models.lead_list import Absence
from models.scan import ScanState
from models.values import replace
from worker.ports import Every
from worker.sync.gone import not_found


def nothing_held(_old: Any) -> Any:
    """What is to be held goes on."""
    return lambda _self, _tx, scan, _why: replace(scan, state=ScanState.TAKING)


def thrown_away(old: Any) -> Any:
    """What a scan finds is thrown away instead of taken in."""

    def take(self: Any, tx: Any, scan: Any) -> Any:
        for finding in tx.scans.findings(scan.id, 100):
            tx.scans.taken(scan.id, [finding.shown.remote_id])
        return old(self, tx, scan)

    return take


def gone_unasked(old: Any) -> Any:
    """Whatever a complete scan did not show counts as answered with 404."""

    def doubt(self: Any, tx: Any, scan: Any) -> Any:
        shown = tx.scans.shown(scan.id)
        missing = [(self._remote, one) for one in tx.scans.linked(self._remote, scan.started_at) if one not in shown]
        numbers = set(tx.find(missing).values())
        for one in tx.load(numbers, dict.fromkeys(numbers, Every.MEMBER)).values():
            unlisted = replace(one.copies[self._remote], absent=frozenset({Absence.NOT_LISTED}))
            self._save(tx, [(one, *not_found(one, unlisted, self._rules, tx.now)[:2])])
        return old(self, tx, scan)

    return doubt


def believed_early(old: Any) -> Any:
    """Where a scan ends early, what it had not read yet is not there."""

    def end(self: Any, tx: Any, scan: Any, state: ScanState, note: str = "") -> Any:
        early = state is ScanState.INCOMPLETE and scan.state is ScanState.READING
        return self._judge(tx, scan) if early else old(self, tx, scan, state, note)

    return end
