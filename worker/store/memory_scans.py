"""Scans in the in-memory store: the twin of `worker.store.scans`. A part of `MemoryTx`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from operator import attrgetter

from models.lead_list import GONE, PENDING, Absence, Copy, LeadList
from models.scan import UNDER_WAY, Finding, Quiet, Scan, ScanState, Trigger
from models.values import replace
from worker.parts import Glance
from worker.ports import RemoteKey
from worker.store.codec import key_of, name_key
from worker.store.memory_tables import Tables


class MemoryScans:
    """Implements `Scans`."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables, self._now = tables, now

    def latest(self, remote: str) -> Scan | None:
        """See `Scans.latest`."""
        newest = None
        for scan in reversed(self._tables.scans.values()):
            if scan.remote == remote:
                if scan.state in UNDER_WAY:
                    return scan
                newest = newest or scan
        return newest

    def glance(self, remotes: Collection[str]) -> dict[str, Glance]:
        """See `Scans.glance`."""
        return {name: self._glance(self.latest(name)) for name in remotes}

    def _glance(self, scan: Scan | None) -> Glance:
        if scan is None:
            return Glance(None)
        if scan.state not in UNDER_WAY:
            return Glance(scan.started_at)
        free = scan.lease_until is None or scan.lease_until <= self._now
        return Glance(scan.started_at, under_way=True, waits=free and scan.due_at <= self._now)

    def get(self, number: int) -> Scan | None:
        """See `Scans.get`."""
        return self._tables.scans.get(number)

    def last_complete(self, remote: str) -> Scan | None:
        """See `Scans.last_complete`."""
        mine = (scan for scan in self._tables.scans.values() if scan.remote == remote)
        return self._last(scan for scan in mine if scan.state is ScanState.COMPLETE)

    def open(self, remote: str, trigger: Trigger) -> Scan:
        """See `Scans.open`."""
        number = max(self._tables.scans, default=0) + 1
        state = ScanState.READING
        scan = Scan(id=number, remote=remote, trigger=trigger, state=state, started_at=self._now, due_at=self._now)
        self._tables.scans[number] = scan
        return scan

    def save(self, scan: Scan) -> None:
        """See `Scans.save`."""
        self._tables.scans[scan.id] = scan

    def supersede(self, remote: str) -> None:
        """See `Scans.supersede`."""
        for scan in list(self._tables.scans.values()):
            if scan.remote == remote and scan.state is ScanState.HELD:
                self._tables.scans[scan.id] = replace(scan, state=ScanState.SUPERSEDED)
                self.forget(scan.id)

    def add_page(self, scan: Scan, ids: Sequence[str]) -> None:
        """See `Scans.add_page`."""
        self._tables.pages[scan.id, scan.pages + 1] = (scan.cursor, tuple(ids))

    def was_read(self, number: int, cursor: str) -> bool:
        """See `Scans.was_read`."""
        return any(scan == number and at == cursor for (scan, _), (at, _) in self._tables.pages.items())

    def shown(self, number: int) -> set[str]:
        """See `Scans.shown`."""
        return {one for (scan, _), (_, ids) in self._tables.pages.items() if scan == number for one in ids}

    def find(self, number: int, findings: Sequence[Finding]) -> None:
        """See `Scans.find`."""
        self._tables.findings.update({(number, finding.shown.remote_id): finding for finding in findings})

    def count_findings(self, number: int) -> int:
        """See `Scans.count_findings`."""
        return sum(scan == number for scan, _ in self._tables.findings)

    def findings(self, number: int, limit: int) -> list[Finding]:
        """See `Scans.findings`."""
        mine = sorted(key for key in self._tables.findings if key[0] == number)
        return [self._tables.findings[key] for key in mine[:limit]]

    def taken(self, number: int, ids: Collection[str]) -> None:
        """See `Scans.taken`."""
        for one in ids:
            self._tables.findings.pop((number, one), None)

    def forget(self, number: int) -> None:
        """See `Scans.forget`."""
        self._tables.pages = {key: page for key, page in self._tables.pages.items() if key[0] != number}
        self._tables.findings = {key: one for key, one in self._tables.findings.items() if key[0] != number}

    def linked(self, remote: str, before: datetime) -> list[str]:
        """See `Scans.linked`."""
        mine = (key for key in self._tables.links if key[0] == remote and not key[1].startswith(PENDING))
        there = (key for key in mine if self._tables.lists[self._tables.links[key]].copies[remote].absent != GONE)
        return sorted(key[1] for key in there if self._tables.linked_at[key] < before)

    def lacking(self, remote: str, after: int, limit: int) -> list[int]:
        """See `Scans.lacking`."""
        mine = sorted(n for n, one in self._tables.lists.items() if remote not in one.copies and n > after)
        return mine[:limit]

    def quiet(self, remote: str, ids: Collection[str]) -> dict[str, Quiet]:
        """See `Scans.quiet`."""
        known = self._shown_as(remote, ids)
        return {
            one: Quiet(there.kind, copy.seen, copy.hidden, copy.tally, frozenset(there.wanted))
            for one, (there, copy) in known.items()
            if not (copy.look or copy.look_members or copy.intent or copy.held or copy.abandoned or copy.absent)
        }

    def countable(self, remote: str, ids: Collection[str]) -> list[str]:
        """See `Scans.countable`."""
        known = self._shown_as(remote, ids)
        return [one for one, (_, copy) in known.items() if copy.tally is not None and not copy.look_members]

    def named(self, remote: str, name: str) -> list[str]:
        """See `Scans.named`."""
        copies = (one.copies[remote] for one in self._tables.lists.values() if remote in one.copies)
        return sorted(copy.remote_id for copy in copies if key_of(copy) == name_key(name))

    def count_doubted(self, remote: str) -> int:
        """See `Scans.count_doubted`."""
        copies = (one.copies[remote] for one in self._tables.lists.values() if remote in one.copies)
        return sum(copy.absent == {Absence.NOT_LISTED} for copy in copies)

    def found_gone(self, remote: str, remote_id: str) -> None:
        """See `Scans.found_gone`."""
        latest = self.latest(remote)
        if latest is not None:
            self.save(replace(latest, gone=latest.gone + 1))
        self._tables.gone[remote, remote_id] = self._now

    def gone_since(self, keys: Collection[RemoteKey]) -> dict[RemoteKey, datetime]:
        """See `Scans.gone_since`."""
        return {key: self._tables.gone[key] for key in keys if key in self._tables.gone}

    def _shown_as(self, remote: str, ids: Collection[str]) -> dict[str, tuple[LeadList, Copy]]:
        numbers = {one: self._tables.links[remote, one] for one in ids if (remote, one) in self._tables.links}
        lists = {one: self._tables.lists[number] for one, number in numbers.items()}
        return {one: (there, there.copies[remote]) for one, there in lists.items()}

    def _last(self, scans: Iterable[Scan]) -> Scan | None:
        return max(scans, key=attrgetter("id"), default=None)
