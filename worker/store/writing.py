"""Rows into tables, many in one statement. Used by the SQL store and its parts.

Functions, not methods of a transaction: a part that held one would make a circle, and everything that a transaction
has loaded would stay in memory until the collector comes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import JSON, Column, Connection, Select, String, Table, Text, bindparam, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite

from models.tables.types import RowsDocument
from worker.store.rows import Rows

#: Rows that PostgreSQL is given in one statement: a list may have a million members.
_ROWS = 10_000


def insert(connection: Connection, table: Table, rows: Rows) -> None:
    """New rows, which name the same columns."""
    _write(connection, table, rows, upsert=False)


def upsert(connection: Connection, table: Table, rows: Rows) -> None:
    """Rows by their primary keys, new or in the place of old ones."""
    _write(connection, table, rows, upsert=True)


def insert_of(connection: Connection, table: Table) -> Any:
    """The statement, in the database's own dialect: it may say what becomes of a row that is there already."""
    return (postgresql if _is_postgres(connection) else sqlite).insert(table)


def _write(connection: Connection, table: Table, rows: Rows, *, upsert: bool) -> None:
    """PostgreSQL gets thousands as one document: it would be told row by row."""
    if not rows:
        return
    postgres = _is_postgres(connection)
    statement = _write_into(table, tuple(rows[0]), postgres=postgres, upsert=upsert)
    if not postgres:
        connection.execute(statement, rows)
        return
    for start in range(0, len(rows), _ROWS):
        connection.execute(statement, {"given": rows[start : start + _ROWS]})


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


@cache
def _write_into(table: Table, names: tuple[str, ...], *, postgres: bool, upsert: bool) -> Any:
    statement = (postgresql if postgres else sqlite).insert(table)
    if postgres:
        statement = statement.from_select(names, _given(table, names))
    if not upsert:
        return statement
    keys = [column.name for column in table.primary_key]
    rest = {name: statement.excluded[name] for name in names if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)


def _given(table: Table, names: tuple[str, ...]) -> Select[Any]:
    """The rows of one document, read by PostgreSQL. Text without its length: too long is an error, not cut."""
    types = {name: Text() if isinstance(table.c[name].type, String) else table.c[name].type for name in names}
    rows = func.json_to_recordset(cast(bindparam("given", type_=RowsDocument()), JSON))
    given = rows.table_valued(*(Column(name, kind) for name, kind in types.items()), name="given")
    return select(given.render_derived(with_types=True))
