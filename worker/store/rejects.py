"""Rejects in the SQL store: what it takes to put them back into the stream. Used by `worker.sync.operate`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.exc import DBAPIError

from models.audit import Action
from worker.store.audit import SqlAudit
from worker.store.database import explain
from worker.store.tables import REJECTS

T = TypeVar("T")


class SqlRejects:
    """Implements `worker.sync.operate.Rejects`: what it takes to put rejected events back into the stream."""

    def __init__(self, engine: Engine, who: str = "") -> None:
        """`who` is the person in whose name that is done."""
        self._engine, self._who = engine, who

    def events(self, ids: Collection[int]) -> dict[int, str]:
        """See `Rejects.events`."""
        return self._run(lambda tx: {row.id: row.event for row in tx.execute(select(REJECTS).where(_one_of(ids)))})

    def forget(self, ids: Collection[int]) -> None:
        """See `Rejects.forget`."""
        self._run(lambda tx: self._forget(tx, ids))

    def close(self) -> None:
        """Hang up."""
        self._engine.dispose()

    def _forget(self, connection: Connection, ids: Collection[int]) -> None:
        audit = SqlAudit(connection, datetime.now(UTC))
        audit.who = self._who
        for row in connection.execute(select(REJECTS).where(_one_of(ids)).order_by(REJECTS.c.id)):
            audit.note(Action.REJECT, f"reject {row.id}", {"reason": row.reason}, {})
        audit.write()
        connection.execute(delete(REJECTS).where(_one_of(ids)))

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            raise explain(error, self._engine) from None


def _one_of(ids: Collection[int]) -> Any:
    return REJECTS.c.id.in_(ids)
