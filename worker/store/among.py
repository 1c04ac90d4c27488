"""Questions about many values: one bound array, so that a statement is compiled once. Used by the SQL store."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine

#: Values of one question where there may be a million.
_MANY = 10_000


@cache
def among(query: Select[Any], column: Any, *, postgres: bool) -> Select[Any]:
    """The query for those rows whose `column` is one of the values that are bound as `among`."""
    if postgres:
        return query.where(column == func.any(bindparam("among", type_=postgresql.ARRAY(column.type))))
    each = func.json_each(bindparam("among", type_=sqlite.JSON())).table_valued("value")
    return query.where(column.in_(select(each.c.value)))


def each(values: Collection[Any], kind: type[TypeEngine[Any]], *, postgres: bool) -> TableValuedAlias:
    """A table of these values, in the column `value`: one bound array too."""
    if postgres:
        array = bindparam("each", list(values), type_=postgresql.ARRAY(kind))
        return func.unnest(array).table_valued("value").render_derived()
    return func.json_each(bindparam("each", list(values), type_=sqlite.JSON())).table_valued("value")


def rows_among(
    connection: Connection, query: Select[Any], column: Any, values: Collection[Any], **binds: Any
) -> Iterable[Any]:
    """Its rows, some thousand values at a time; the order holds within those only."""
    statement = among(query, column, postgres=connection.dialect.name == "postgresql")
    listed = list(values)
    for start in range(0, len(listed), _MANY):
        yield from connection.execute(statement, {"among": listed[start : start + _MANY], **binds}).all()
