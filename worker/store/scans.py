"""Scans in the SQL store: their certificates, pages and findings. A part of `SqlTx`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Select,
    String,
    bindparam,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    update,
)

from models.lead_list import GONE, PENDING, Absence
from models.scan import UNDER_WAY, Finding, Quiet, Scan, ScanState, Trigger
from worker.parts import Glance
from worker.store import codec
from worker.store.among import among, each, rows_among
from worker.store.tables import COPIES, FINDINGS, GONE_LISTS, LINKS, LISTS, PAGES, SCANS, WANTED
from worker.store.totals import SqlTotals
from worker.store.writing import upsert

_UNDER_WAY = frozenset(state.value for state in UNDER_WAY)
_GONE_SINCE = select(GONE_LISTS)
# Built once: to build a statement costs more than to run it.
_WAS_READ = select(exists().where(PAGES.c.scan_id == bindparam("number"), PAGES.c.cursor == bindparam("cursor")))
_TAKEN = delete(FINDINGS).where(
    FINDINGS.c.scan_id == bindparam("number"), FINDINGS.c.remote_id.in_(bindparam("ids", expanding=True))
)


_OTHER = SCANS.alias("other")
# Spelled as in the partial index, or the planners would read all scans that a remote ever had.
_OTHER_UNDER_WAY = text("other.state IN ('reading', 'taking', 'checking')")


def _latest(remote: Any) -> ColumnElement[int]:
    """Its number. A held scan that a person lets go on may be older than one that has ended since."""
    mine = _OTHER.c.remote == remote
    under_way = select(_OTHER.c.id).where(mine, _OTHER_UNDER_WAY).correlate_except(_OTHER).scalar_subquery()
    newest = select(func.max(_OTHER.c.id)).where(mine).correlate_except(_OTHER).scalar_subquery()
    return func.coalesce(under_way, newest)


@cache
def _linked(*, postgres: bool) -> CTE:
    """The links of some lists on a remote. Looked up first: SQLite would begin with all copies there."""
    links = select(LINKS).where(LINKS.c.remote == bindparam("remote"))
    return among(links, LINKS.c.remote_id, postgres=postgres).cte("linked").prefix_with("MATERIALIZED")


@cache
def _countable(*, postgres: bool) -> Select[Any]:
    links = _linked(postgres=postgres)
    copy = (COPIES.c.list_id == links.c.list_id) & (COPIES.c.remote == links.c.remote)
    unread = COPIES.c.tally.is_not(None), ~COPIES.c.look_members
    return select(links.c.remote_id).join(COPIES, copy).where(*unread)


@cache
def _quiet(*, postgres: bool) -> Select[Any]:
    links = _linked(postgres=postgres)
    copy = (COPIES.c.list_id == links.c.list_id) & (COPIES.c.remote == links.c.remote)
    in_question = (COPIES.c.intent, COPIES.c.held, COPIES.c.abandoned, COPIES.c.absent)
    return (
        select(links.c.remote_id, LISTS.c.kind, COPIES.c.seen, COPIES.c.hidden, COPIES.c.tally, WANTED.c.fields)
        .join(COPIES, copy)
        .join(LISTS, LISTS.c.id == links.c.list_id)
        .join(WANTED, WANTED.c.list_id == links.c.list_id)
        .where(~COPIES.c.look, ~COPIES.c.look_members, *(one.is_(None) for one in in_question))
    )


class SqlScans:
    """Implements `Scans` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime, totals: SqlTotals) -> None:
        self._connection, self._now, self._totals = connection, now, totals
        self._postgres = connection.dialect.name == "postgresql"

    def latest(self, remote: str) -> Scan | None:
        """See `Scans.latest`."""
        return self._one(select(SCANS).where(SCANS.c.id == _latest(remote)).with_for_update())

    def glance(self, remotes: Collection[str]) -> dict[str, Glance]:
        """See `Scans.glance`."""
        if not remotes:
            return {}
        name = each(remotes, String, postgres=self._postgres)
        at_hand = name.outerjoin(SCANS, SCANS.c.id == _latest(name.c.value))
        moments = (SCANS.c.started_at, SCANS.c.state, SCANS.c.due_at, SCANS.c.lease_until)
        rows = self._connection.execute(select(name.c.value, *moments).select_from(at_hand))
        return {row.value: self._glance(row) for row in rows}

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

    def was_read(self, number: int, cursor: str) -> bool:
        """See `Scans.was_read`."""
        return bool(self._connection.execute(_WAS_READ, {"number": number, "cursor": cursor}).scalar())

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
        self._connection.execute(_TAKEN, {"number": number, "ids": list(ids)})

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

    def quiet(self, remote: str, ids: Collection[str]) -> dict[str, Quiet]:
        """See `Scans.quiet`."""
        query = _quiet(postgres=self._postgres)
        rows = self._connection.execute(query, {"remote": remote, "among": list(ids)})
        return {row.remote_id: codec.read_quiet(row) for row in rows}

    def countable(self, remote: str, ids: Collection[str]) -> list[str]:
        """See `Scans.countable`."""
        query = _countable(postgres=self._postgres)
        return list(self._connection.execute(query, {"remote": remote, "among": list(ids)}).scalars())

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

    def found_gone(self, remote: str, remote_id: str) -> None:
        """See `Scans.found_gone`."""
        self._connection.execute(update(SCANS).where(SCANS.c.id == _latest(remote)).values(gone=SCANS.c.gone + 1))
        upsert(self._connection, GONE_LISTS, [{"remote": remote, "remote_id": remote_id, "at": self._now}])

    def gone_since(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
        """See `Scans.gone_since`."""
        ids = {remote_id for _, remote_id in keys}
        rows = rows_among(self._connection, _GONE_SINCE, GONE_LISTS.c.remote_id, ids) if ids else ()
        return {(row.remote, row.remote_id): row.at for row in rows if (row.remote, row.remote_id) in keys}

    # -- below here: how

    def _glance(self, row: Any) -> Glance:
        if row.state not in _UNDER_WAY:
            return Glance(row.started_at)
        free = row.lease_until is None or row.lease_until <= self._now
        return Glance(row.started_at, under_way=True, waits=free and row.due_at <= self._now)

    def _one(self, query: Select[Any]) -> Scan | None:
        row = self._connection.execute(query).mappings().one_or_none()
        return codec.read_scan(dict(row)) if row else None

    def _count(self, query: Select[Any]) -> int:
        count: int = self._connection.execute(query).scalar_one()
        return count
