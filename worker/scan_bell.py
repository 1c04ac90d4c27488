"""Begins the scans that are due, and rings for them. Called by the tick, and by the web the moment a nudge comes.

Any number of callers at once do what one would do: the database opens one scan a remote, and rings coalesce.
"""

from __future__ import annotations

from collections.abc import Iterable

from models.scan import Scan
from worker.celery_app import TaskName
from worker.dispatch import ring
from worker.notes import nudges
from worker.ports import Tx
from worker.sync.schedule import begin, due, ripe
from worker.wiring import Runtime


def ring_due_scans(runtime: Runtime, remotes: Iterable[str]) -> None:
    """See to these remotes. A nudge whose time has not come stays for a later look."""
    known = {remote: runtime.settings.remotes[remote] for remote in sorted(remotes)}
    nudged = nudges.read(runtime.bells, known)

    def work(tx: Tx) -> list[Scan]:
        every_s = {name: remote.scan_every_s for name, remote in known.items()}
        some = ripe(tx, every_s, nudged)  # of a hundred remotes hardly any, so each of those may be asked about
        why = {name: due(tx, name, every_s=every_s[name], nudged=name in nudged) for name in some}
        return [begin(tx, name, trigger) for name, trigger in why.items() if trigger is not None]

    for scan in runtime.store.run_now(work):
        if scan.remote in nudged and not scan.fence:  # nobody reads it yet: it will see what the nudge was about
            nudges.take(runtime.bells, scan.remote, nudged[scan.remote])
        ring(runtime.bells, TaskName.SCAN, scan.remote)
