"""What people ask about held fields: conflicts, and removals that the brake stopped. A part of `View`.

A field may be held by several copies of its list; it is one decision all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, select

from models.lead_list import Field
from worker.ports import RemoteKey
from worker.store.tables import COPIES, LINKS


@dataclass(frozen=True, slots=True)
class HeldFilter:
    """Which held fields are meant; everything that is given must hold."""

    #: Held by this remote's copy.
    remote: str | None = None
    field: Field | None = None


class HeldView:
    """What a snapshot knows of held fields."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lists(self, which: HeldFilter, limit: int, after: int = 0) -> list[int]:
        """Numbers of lists that hold such a field: at most `limit`, one more when there is a next page."""
        query = select(COPIES.c.list_id).distinct().where(COPIES.c.list_id > after, *_held(which))
        return list(self._connection.execute(query.order_by(COPIES.c.list_id).limit(limit + 1)).scalars())

    def fields(self, which: HeldFilter) -> list[tuple[RemoteKey, Field]]:
        """Every such field once, by a copy that holds it."""
        query = (
            select(COPIES.c.list_id, COPIES.c.remote, COPIES.c.held, LINKS.c.remote_id)
            .join(LINKS, and_(LINKS.c.list_id == COPIES.c.list_id, LINKS.c.remote == COPIES.c.remote))
            .where(*_held(which))
            .order_by(COPIES.c.list_id, COPIES.c.remote)
        )
        found: dict[tuple[int, Field], RemoteKey] = {}
        for row in self._connection.execute(query):
            for field in map(Field, row.held):
                if which.field in (None, field):
                    found.setdefault((row.list_id, field), (row.remote, row.remote_id))
        return [(key, field) for (_, field), key in found.items()]


def _held(which: HeldFilter) -> list[Any]:
    conditions: list[Any] = [COPIES.c.held.is_not(None)]
    if which.remote is not None:
        conditions.append(COPIES.c.remote == which.remote)
    if which.field is not None:
        conditions.append(_shown_at(which.field).is_not(None))
    return conditions


def _shown_at(field: Field) -> Any:
    """When the held value was shown; NULL where the field is not held."""
    return COPIES.c.held[(field.value, 1)].as_string()
