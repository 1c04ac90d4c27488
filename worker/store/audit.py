"""The audit in the SQL store: `SqlAudit` is a part of `SqlTx`, `AuditView` a part of `View`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from models.audit import Action, Audited
from worker.store.tables import AUDIT

#: As long as their columns.
_LONGEST_WHO, _LONGEST_TARGET = 200, 700


class SqlAudit:
    """Implements `Audit` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection, self._now = connection, now
        self.who = ""
        self._rows: list[dict[str, Any]] = []

    def note(self, what: Action, target: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """See `Audit.note`."""
        row = {"at": self._now, "who": self.who[:_LONGEST_WHO], "what": what.value, "target": target[:_LONGEST_TARGET]}
        self._rows.append({**row, "before": before, "after": after})

    def write(self) -> None:
        """All in one statement, before the transaction ends."""
        if self._rows:
            self._connection.execute(insert(AUDIT), self._rows)
            self._rows = []


class AuditView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def newest(self, limit: int, before: int | None = None) -> list[Audited]:
        """The newest first, one more than `limit` when there are more."""
        query = select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit + 1)
        rows = self._connection.execute(query if before is None else query.where(AUDIT.c.id < before))
        return [
            Audited(
                id=row.id,
                at=row.at,
                who=row.who,
                what=Action(row.what),
                target=row.target,
                before=row.before,
                after=row.after,
            )
            for row in rows
        ]
