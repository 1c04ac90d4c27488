"""Questions about the database itself, for `worker.documents.doctor`: can it be used, what does its clock say.

Each raises `UsageError` or `Transient` with one sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection, false, func, select, text, update
from sqlalchemy.exc import DBAPIError

from models.lead_list import Standing
from worker.store.database import check_room, check_schema, explain, open_database
from worker.store.tables import COPIES, REMOTES

T = TypeVar("T")


class Health:
    """Asks one database."""

    def __init__(self, url: str) -> None:
        self._engine = open_database(url)
        #: Where it is, without a password.
        self.address = self._engine.url.render_as_string(hide_password=True)
        self.is_sqlite = self._engine.dialect.name == "sqlite"

    def check_answers(self) -> None:
        """It can be reached."""
        self._ask(lambda connection: connection.execute(text("SELECT 1")))

    def check_schema(self) -> None:
        """It has the newest schema."""
        check_schema(self._engine)

    def check_writable(self) -> None:
        """Rows can be written. No row is touched, but a read-only file or server refuses the statement all the same."""
        self._ask(lambda connection: connection.execute(update(REMOTES).where(false()).values(paused=False)))

    def check_room(self) -> None:
        """Its disk is not full."""
        check_room(self._engine)

    def journal_mode(self) -> str:
        """How SQLite keeps its journal."""
        return self._ask(lambda connection: str(connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()))

    def clock(self) -> datetime:
        """What time it is there. SQLite has no clock but this machine's."""
        if self.is_sqlite:
            return datetime.now(UTC)
        now: datetime = self._ask(lambda connection: connection.execute(text("SELECT clock_timestamp()")).scalar_one())
        return now.astimezone(UTC)

    def excluded(self) -> dict[str, int]:
        """Members that remotes cannot be told of. Copies that are in sync, nearly all of them, have none."""
        query = select(COPIES.c.remote, func.sum(COPIES.c.excluded).label("members"))
        query = query.where(COPIES.c.standing.in_([one.value for one in Standing if one is not Standing.IN_SYNC]))
        rows = self._ask(lambda connection: connection.execute(query.group_by(COPIES.c.remote)).all())
        return {row.remote: int(row.members) for row in sorted(rows) if row.members}

    def close(self) -> None:
        """Hang up."""
        self._engine.dispose()

    def _ask(self, question: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return question(connection)
        except DBAPIError as error:
            raise explain(error, self._engine) from None
