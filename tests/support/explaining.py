"""How a database answers what production asks it: each statement with its plan. For tests and benches of growth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

#: What reads a table from end to end. SQLite says so of small ones in memory too, which are no tables of ours.
_WHOLE = {
    "sqlite": re.compile(r"SCAN (\w+)(?! USING (?:COVERING )?INDEX)\b(?! VIRTUAL)"),
    "postgresql": re.compile(r"Seq Scan on (\w+)"),
}
_ASKS = re.compile(r"\s*(SELECT|UPDATE|DELETE|WITH)\b", re.IGNORECASE)


@dataclass
class Asked:
    """Statements in their order, with what was bound to them."""

    engine: Engine
    statements: list[tuple[str, Any]] = field(default_factory=list)

    def plans(self, *, if_large: bool = False) -> list[str]:
        """How each would be answered now; or, on PostgreSQL, if its tables were so large that any index is better."""
        with self.engine.connect() as connection:
            if if_large and self.engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            return [self._plan(connection, statement, bound) for statement, bound in self.statements]

    def read_whole(self, *tables: str, if_large: bool = False) -> list[str]:
        """Plans that read one of these tables from end to end, in no order of an index."""
        whole = _WHOLE[self.engine.dialect.name]
        return [plan for plan in self.plans(if_large=if_large) if {*whole.findall(plan)} & {*tables}]

    def _plan(self, connection: Connection, statement: str, bound: Any) -> str:
        how = "EXPLAIN QUERY PLAN" if self.engine.dialect.name == "sqlite" else "EXPLAIN"
        rows = connection.exec_driver_sql(f"{how} {statement}", bound).all()
        return "\n".join(str(row[-1]) for row in rows)


@contextmanager
def asked(engine: Engine) -> Iterator[Asked]:
    """What this engine is asked inside the block; rows that are only put there are left out."""
    told = Asked(engine)

    def executed(_c: Any, _cursor: Any, statement: str, bound: Any, _context: Any, many: bool) -> None:  # noqa: FBT001 - SQLAlchemy's signature
        if _ASKS.match(statement):
            told.statements.append((statement, bound[0] if many else bound))

    event.listen(engine, "after_cursor_execute", executed)
    try:
        yield told
    finally:
        event.remove(engine, "after_cursor_execute", executed)
