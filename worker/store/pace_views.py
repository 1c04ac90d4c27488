"""What people ask about the pace: the calls of the last hour. A part of `View`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from worker.store.ledger_views import LATE, first_row
from worker.store.tables import ATTEMPTS


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, as far as the pace is concerned."""

    id: int
    at: datetime
    action: str
    status: int | None
    lag_ms: float | None


class PaceView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def calls(self, begin: datetime, end: datetime, first: int | None = None) -> list[Call]:
        """Those that were begun from `begin` on, before `end`; whoever knows it says the `first` number to look at."""
        if first is None:
            first = first_row(self._connection, ATTEMPTS, begin - LATE)
        columns = (ATTEMPTS.c.id, ATTEMPTS.c.at, ATTEMPTS.c.action, ATTEMPTS.c.status, ATTEMPTS.c.lag_ms)
        query = select(*columns).where(
            ATTEMPTS.c.id >= first,
            ATTEMPTS.c.at >= begin,
            ATTEMPTS.c.at < end,
        )
        return [Call(*row) for row in self._connection.execute(query)]
