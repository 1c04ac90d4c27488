"""What people ask about parked copies as a whole: how many there are of each cause. A part of `View`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, literal_column, select

from models.lead_list import Standing
from worker.store.tables import COPIES

_CAUSE = COPIES.c.parked["cause"].as_string()
#: Spelled out, or its index could not be used.
IS_PARKED = COPIES.c.standing == literal_column(f"'{Standing.PARKED.value}'")
_NEXT_STEP = COPIES.c.parked["next_step"].as_string()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedGroup:
    """Parked copies of one remote with the same cause."""

    remote: str
    cause: str
    next_step: str
    copies: int
    #: Since when the first of them has not been in sync.
    since: datetime | None


class ParkedView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def groups(self, limit: int) -> list[ParkedGroup]:
        """The largest first, one more than `limit` when there are more."""
        number = func.count().label("copies")
        query = (
            select(
                COPIES.c.remote,
                _CAUSE.label("cause"),
                func.min(_NEXT_STEP).label("next_step"),
                number,
                func.min(COPIES.c.since).label("since"),
            )
            .where(IS_PARKED)
            .group_by(COPIES.c.remote, _CAUSE)
            .order_by(number.desc(), COPIES.c.remote, _CAUSE)
            .limit(limit + 1)
        )
        return [
            ParkedGroup(remote=row.remote, cause=row.cause, next_step=row.next_step, copies=row.copies, since=row.since)
            for row in self._connection.execute(query)
        ]
