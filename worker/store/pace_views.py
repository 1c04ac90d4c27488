"""What people ask about the pace: the calls of the last hour. A part of `View`.

Calls have no index by time, which every push would pay for: their numbers grow with it, so the first one of an hour is
found by halving.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from worker.store.upkeep import ATTEMPTS

#: A call is noted when it has ended, so those that began later may stand before it; no call takes so long.
_LATE: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt, as far as the pace is concerned."""

    at: datetime
    action: str
    status: int | None
    lag_ms: float | None


class PaceView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def calls(self, begin: datetime, end: datetime) -> list[Call]:
        """Those that were begun from `begin` on, before `end`."""
        columns = (ATTEMPTS.c.at, ATTEMPTS.c.action, ATTEMPTS.c.status, ATTEMPTS.c.lag_ms)
        query = select(*columns).where(
            ATTEMPTS.c.id >= self._first(begin - _LATE), ATTEMPTS.c.at >= begin, ATTEMPTS.c.at < end
        )
        return [Call(*row) for row in self._connection.execute(query)]

    def _first(self, begin: datetime) -> int:
        """A number before which there are only earlier calls, but for some that were noted late."""
        low, high = self._connection.execute(select(func.min(ATTEMPTS.c.id), func.max(ATTEMPTS.c.id))).one()
        if low is None:
            return 0
        while low < high:
            middle = (low + high) // 2
            found = select(ATTEMPTS.c.at).where(ATTEMPTS.c.id >= middle).order_by(ATTEMPTS.c.id).limit(1)
            at = self._connection.execute(found).scalar_one()
            low, high = (middle + 1, high) if at < begin else (low, middle)
        return int(low)
