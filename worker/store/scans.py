"""Scans in the SQL store: their certificates, pages and findings. A part of `SqlTx`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, insert, select, update

from models.lead_list import GONE, PENDING, Absence
from models.scan import UNDER_WAY, Finding, Scan, ScanState, Trigger
from worker.store import codec
from worker.store.tables import COPIES, FINDINGS, LINKS, LISTS, PAGES, SCANS
from worker.store.totals import SqlTotals
from worker.store.writing import upsert

_UNDER_WAY = [state.value for state in UNDER_WAY]


def _latest(what: Any, remote: str) -> Select[Any]:
    """A held scan that a person lets go on may be older than one that has ended since."""
    first = (SCANS.c.state.in_(_UNDER_WAY).desc(), SCANS.c.id.desc())
    return select(what).where(SCANS.c.remote == remote).order_by(*first).limit(1)


class SqlScans:
    """Implements `Scans` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime, totals: SqlTotals) -> None:
        self._connection, self._now, self._totals = connection, now, totals

    def latest(self, remote: str) -> Scan | None:
        """See `Scans.latest`."""
        return self._one(_latest(SCANS, remote).with_for_update())

    def get(self, number: int) -> Scan | None:
        """See `Scans.get`."""
        return self._one(select(SCANS).where(SCANS.c.id == number).with_for_update())

    def last_complete(self, remote: str) -> Scan | None:
        """See `Scans.last_complete`."""
        complete = (SCANS.c.remote == remote, SCANS.c.state == ScanState.COMPLETE.value)
        return self._one(select(SCANS).where(*complete).order_by(SCANS.c.id.desc()).limit(1))

    def open(self, remote: str, trigger: Trigger) -> Scan:
        """See `Scans.open`."""
        scan = Scan(
            id=0, remote=remote, trigger=trigger, state=ScanState.READING, started_at=self._now, due_at=self._now
        )
        row = codec.scan_row(scan)
        del row["id"]
        [number] = self._connection.execute(insert(SCANS).returning(SCANS.c.id), [row]).scalars()
        return codec.read_scan(row | {"id": number})

    def save(self, scan: Scan) -> None:
        """See `Scans.save`."""
        self._connection.execute(update(SCANS).where(SCANS.c.id == scan.id).values(codec.scan_row(scan)))

    def supersede(self, remote: str) -> None:
        """See `Scans.supersede`."""
        held = (SCANS.c.remote == remote, SCANS.c.state == ScanState.HELD.value)
        for number in self._connection.execute(select(SCANS.c.id).where(*held)).scalars().all():
            self.forget(number)
        self._connection.execute(update(SCANS).where(*held).values(state=ScanState.SUPERSEDED.value))

    def add_page(self, scan: Scan, ids: Sequence[str]) -> None:
        """See `Scans.add_page`. A page that is read again, after a crash, takes its own place."""
        row = {"scan_id": scan.id, "number": scan.pages + 1, "cursor": scan.cursor, "ids": list(ids)}
        upsert(self._connection, PAGES, [row])
        self._totals.page(scan.remote)

    def cursors(self, number: int) -> set[str | None]:
        """See `Scans.cursors`."""
        return set(self._connection.execute(select(PAGES.c.cursor).where(PAGES.c.scan_id == number)).scalars())

    def shown(self, number: int) -> set[str]:
        """See `Scans.shown`."""
        pages = self._connection.execute(select(PAGES.c.ids).where(PAGES.c.scan_id == number)).scalars()
        return {one for ids in pages for one in ids}

    def find(self, number: int, findings: Sequence[Finding]) -> None:
        """See `Scans.find`."""
        upsert(self._connection, FINDINGS, [codec.finding_row(number, finding) for finding in findings])

    def count_findings(self, number: int) -> int:
        """See `Scans.count_findings`."""
        return self._count(select(func.count()).where(FINDINGS.c.scan_id == number))

    def findings(self, number: int, limit: int) -> list[Finding]:
        """See `Scans.findings`."""
        some = select(FINDINGS).where(FINDINGS.c.scan_id == number).order_by(FINDINGS.c.remote_id).limit(limit)
        return [codec.read_finding(row) for row in self._connection.execute(some)]

    def taken(self, number: int, ids: Collection[str]) -> None:
        """See `Scans.taken`."""
        mine = (FINDINGS.c.scan_id == number, FINDINGS.c.remote_id.in_(ids))
        self._connection.execute(delete(FINDINGS).where(*mine))

    def forget(self, number: int) -> None:
        """See `Scans.forget`."""
        for table in (PAGES, FINDINGS):
            self._connection.execute(delete(table).where(table.c.scan_id == number))

    def linked(self, remote: str, before: datetime) -> list[str]:
        """See `Scans.linked`."""
        known = (LINKS.c.remote == remote, LINKS.c.linked_at < before, ~LINKS.c.remote_id.startswith(PENDING))
        absent = (COPIES.c.remote == remote, COPIES.c.absent.is_not(None))
        doubts = self._connection.execute(select(COPIES.c.list_id, COPIES.c.absent).where(*absent)).all()
        gone = {number for number, why in doubts if set(why) == GONE}
        links = self._connection.execute(select(LINKS.c.remote_id, LINKS.c.list_id).where(*known)).all()
        return sorted(one for one, number in links if number not in gone)

    def lacking(self, remote: str, after: int, limit: int) -> list[int]:
        """See `Scans.lacking`."""
        there = exists().where(COPIES.c.list_id == LISTS.c.id, COPIES.c.remote == remote)
        some = select(LISTS.c.id).where(LISTS.c.id > after, ~there).order_by(LISTS.c.id).limit(limit)
        return list(self._connection.execute(some).scalars())

    def named(self, remote: str, name: str) -> list[str]:
        """See `Scans.named`."""
        same = (COPIES.c.remote == remote, COPIES.c.name_key == codec.name_key(name))
        here = (LINKS.c.list_id == COPIES.c.list_id) & (LINKS.c.remote == COPIES.c.remote)
        query = select(LINKS.c.remote_id).join(COPIES, here).where(*same).order_by(LINKS.c.remote_id)
        return list(self._connection.execute(query).scalars())

    def count_doubted(self, remote: str) -> int:
        """See `Scans.count_doubted`."""
        some = select(COPIES.c.absent).where(COPIES.c.remote == remote, COPIES.c.absent.is_not(None))
        return sum(absent == [Absence.NOT_LISTED] for absent in self._connection.execute(some).scalars())

    def count_gone(self, remote: str) -> None:
        """See `Scans.count_gone`."""
        newest = _latest(SCANS.c.id, remote).scalar_subquery()
        self._connection.execute(update(SCANS).where(SCANS.c.id == newest).values(gone=SCANS.c.gone + 1))

    # -- below here: how

    def _one(self, query: Select[Any]) -> Scan | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return codec.read_scan(dict(row)) if row else None

    def _count(self, query: Select[Any]) -> int:
        count: int = self._connection.execute(query).scalar_one()
        return count
