"""Whether anything was written since the last look, for pages that are open. A part of `View`.

It reads the ends of a few indexes, whatever the size of the database: a change of a copy leaves a change, an attempt or
an act of a person behind.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from worker.store.tables import ALERTS, ATTEMPTS, AUDIT, CHANGES, REJECTS, REMOTES, SCANS

#: Scans under way change in place; there is one a remote at most.
_LAST_SCANS = 20


class NewsView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def marks(self) -> Any:
        """Another value than before when something was written."""
        tables = (CHANGES, ATTEMPTS, REJECTS, AUDIT, ALERTS)
        ends = select(*(select(func.max(table.c.id)).scalar_subquery() for table in tables))
        states = select(SCANS.c.id, SCANS.c.state, SCANS.c.pages, SCANS.c.fence)
        scans = states.order_by(SCANS.c.id.desc()).limit(_LAST_SCANS)
        remotes = select(REMOTES.c.name, REMOTES.c.paused).order_by(REMOTES.c.name)
        return [self._connection.execute(query).all() for query in (ends, scans, remotes)]
