"""The ledger: the history of one list, and row by row in pages for whoever takes it elsewhere. A part of `View`.

The ledger has no index by time, which every push would pay for: numbers grow with it, so the first row of a moment is
found by halving.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Table, func, select

from models.lead_list import Field, Stamp
from models.ledger import Attempt, Change, ChangeKind
from worker.store.tables import ATTEMPTS, CHANGES

#: A row is noted when what it tells has ended, so those that began later may stand before it; nothing takes so long.
LATE: Final = timedelta(minutes=3)


class LedgerTable(enum.StrEnum):
    """Which rows."""

    CHANGES = "changes"  #: what was agreed, and why
    ATTEMPTS = "attempts"  #: what was called, and what came back


_TABLES: Final = {LedgerTable.CHANGES: CHANGES, LedgerTable.ATTEMPTS: ATTEMPTS}
#: The remote that a row is about: where a change came from, or which one was called.
_REMOTE: Final = {LedgerTable.CHANGES: CHANGES.c.origin, LedgerTable.ATTEMPTS: ATTEMPTS.c.remote}


@dataclass(frozen=True, slots=True)
class Past:
    """One row of a list's history."""

    at: datetime
    entry: Change | Attempt


def columns(table: LedgerTable) -> list[str]:
    """The names of what each row holds, in order."""
    return [column.name for column in _TABLES[table].columns]


def first_row(connection: Connection, table: Table, begin: datetime) -> int:
    """A number before which there are only rows of earlier moments, but for some that were noted late."""
    low, high = connection.execute(select(func.min(table.c.id), func.max(table.c.id))).one()
    if low is None:
        return 0
    while low < high:
        middle = (low + high) // 2
        found = select(table.c.at).where(table.c.id >= middle).order_by(table.c.id).limit(1)
        at = connection.execute(found).scalar_one()
        low, high = (middle + 1, high) if at < begin else (low, middle)
    return int(low)


class LedgerView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def before(self, table: LedgerTable, since: datetime) -> int:
        """The number after which rows of that moment and later ones stand."""
        return first_row(self._connection, _TABLES[table], since - LATE) - 1

    def last(self, table: LedgerTable) -> int:
        """The number of the newest row."""
        return int(self._connection.execute(select(func.max(_TABLES[table].c.id))).scalar_one() or 0)

    def rows(
        self, table: LedgerTable, limit: int, *, after: int, last: int, since: datetime | None, remote: str | None
    ) -> list[dict[str, Any]]:
        """The next ones after a number and up to another, in order."""
        source = _TABLES[table]
        query = select(source).where(source.c.id > after, source.c.id <= last)
        if since is not None:
            query = query.where(source.c.at >= since)
        if remote is not None:
            query = query.where(_REMOTE[table] == remote)
        found = self._connection.execute(query.order_by(source.c.id).limit(limit))
        return [dict(row) for row in found.mappings()]

    def history(self, list_id: int, limit: int) -> list[Past]:
        """The last `limit` changes and attempts, newest last."""
        changes, attempts = (self._last(table, list_id, limit) for table in (CHANGES, ATTEMPTS))
        past = [Past(row.at, _attempt(row)) for row in attempts] + [Past(row.at, _change(row)) for row in changes]
        return sorted(past, key=lambda one: one.at)[-limit:]

    def _last(self, table: Table, list_id: int, limit: int) -> Sequence[Any]:
        query = select(table).where(table.c.list_id == list_id).order_by(table.c.id.desc()).limit(limit)
        return self._connection.execute(query).all()[::-1]


def _change(row: Any) -> Change:
    return Change(
        kind=ChangeKind(row.kind),
        field=Field(row.field) if row.field else None,
        old=row.old,
        new=row.new,
        origin=row.origin,
        stamp=Stamp(row.stamp, int(row.sequence) if row.sequence else None),
        cause=row.cause,
    )


def _attempt(row: Any) -> Attempt:
    return Attempt(
        list_id=row.list_id,
        remote=row.remote,
        action=row.action,
        lane=row.lane,
        at=row.at,
        sent=row.sent,
        status=row.status,
        outcome=row.outcome,
        note=row.note,
        duration_ms=row.duration_ms,
        lag_ms=row.lag_ms,
    )
