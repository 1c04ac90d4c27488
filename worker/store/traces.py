"""Traces in the SQL store: for a day, what made a list's copies differ. A part of `SqlTx`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, func, select

from models.lead_list import Field
from worker.parts import TRACED_FOR, Trace
from worker.store.tables import TRACES
from worker.store.writing import insert


class SqlTraces:
    """Implements `Traces` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection, self._now = connection, now

    def keep(self, traces: Sequence[Trace]) -> None:
        """See `Traces.keep`."""
        self._connection.execute(delete(TRACES).where(TRACES.c.at < self._now - TRACED_FOR))
        insert(
            self._connection,
            TRACES,
            [
                {
                    "list_id": one.list_id,
                    "at": self._now,
                    "field": one.field and one.field.value,
                    "traceparent": one.traceparent,
                }
                for one in traces
            ],
        )

    def of(self, since: Mapping[int, datetime], most: int) -> dict[int, list[Trace]]:
        """See `Traces.of`."""
        if not since:
            return {}
        place = func.row_number().over(partition_by=TRACES.c.list_id, order_by=TRACES.c.id.desc()).label("place")
        known = select(TRACES, place).where(TRACES.c.list_id.in_(since), TRACES.c.at >= min(since.values())).subquery()
        newest = select(known).where(known.c.place <= most).order_by(known.c.id.desc())
        found: dict[int, list[Trace]] = {}
        for row in self._connection.execute(newest):
            if row.at >= since[row.list_id]:
                trace = Trace(row.list_id, Field(row.field) if row.field else None, row.traceparent)
                found.setdefault(row.list_id, []).append(trace)
        return found
