"""Whether anything was written since the last look, for pages that are open. A part of `View`.

It reads the ends of a few indexes, whatever the size of the database: a change of a copy leaves a change, an attempt or
an act of a person behind.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from models.tables.audit import AuditRow
from models.tables.ledger import RejectRow
from models.tables.remotes import RemoteRow
from models.tables.scans import ScanRow
from worker.store.upkeep import ATTEMPTS, CHANGES

_SCANS, _REMOTES = ScanRow.__table__, RemoteRow.__table__  # type: ignore[attr-defined]  # SQLModel hides it
_REJECTS, _AUDIT = RejectRow.__table__, AuditRow.__table__  # type: ignore[attr-defined]  # the same
#: Scans under way change in place; there is one a remote at most.
_LAST_SCANS = 20


class NewsView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def marks(self) -> Any:
        """Another value than before when something was written."""
        tables = (CHANGES, ATTEMPTS, _REJECTS, _AUDIT)
        ends = select(*(select(func.max(table.c.id)).scalar_subquery() for table in tables))
        states = select(_SCANS.c.id, _SCANS.c.state, _SCANS.c.pages, _SCANS.c.fence)
        scans = states.order_by(_SCANS.c.id.desc()).limit(_LAST_SCANS)
        remotes = select(_REMOTES.c.name, _REMOTES.c.paused).order_by(_REMOTES.c.name)
        return [self._connection.execute(query).all() for query in (ends, scans, remotes)]
