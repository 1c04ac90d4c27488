"""Which lead lists people ask for, and in which order. A part of `View`.

Pages are cut by keys: a page costs the same wherever it is, and each order is read from an index. A list that has no
key in an order (no name, or nothing that is not in sync) comes after all that have one, in the order of numbers;
downwards too.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Select, exists, func, literal, select, text, tuple_, union_all

from models.lead_list import Standing
from models.values import replace
from worker.store.codec import name_key
from worker.store.tables import COPIES, LISTS, WANTED

#: A list stands where its most urgent copy stands.
MOST_URGENT_FIRST: Final = (Standing.PARKED, Standing.CONFLICT, Standing.DUE, Standing.EXCLUDED, Standing.IN_SYNC)


class Sort(enum.StrEnum):
    """In which order lists come."""

    NUMBER = "number"  #: as they became known
    NAME = "name"  #: by the wanted name, whatever case and spacing
    STANDING = "standing"  #: the most urgent first
    AGE = "age"  #: what has not been in sync for longest first


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which lead lists are meant; everything that is given must hold."""

    #: Those with a copy there; together with standings, with a copy there that stands so.
    remote: str | None = None
    #: Part of the name that one of its copies shows, whatever case and spacing.
    name: str | None = None
    #: Those of which people hold all, or one copy.
    on_hold: bool = False
    #: These only, when it is known by now which show that name.
    lists: frozenset[int] | None = None


ANY_LIST: Final = ListFilter()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a list stands in an order."""

    number: int
    #: None where it has none in this order.
    key: str | None = None


START: Final = Place(0)

#: Copies of one name or remote that are looked up by number; PostgreSQL would read all copies again for each standing.
_FEW: Final = 1_000

#: What makes a select of so many rows, and whether each has a key.
_Part = tuple[Callable[[int], Select[Any]], bool]
#: Lists that have no key in an order.
_WITHOUT: Final[dict[Sort, tuple[Any, ...]]] = {
    Sort.NUMBER: (),
    Sort.NAME: (~exists().where(WANTED.c.list_id == LISTS.c.id, WANTED.c.name_key.is_not(None)),),
    Sort.AGE: (~exists().where(COPIES.c.list_id == LISTS.c.id, COPIES.c.since.is_not(None)),),
}


class ListView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def page(
        self, sort: Sort, limit: int, after: Place, which: ListFilter, standings: Collection[Standing], *, down: bool
    ) -> list[Place]:
        """The places of the next lists: at most `limit`, one more when there is a next page."""
        if which.name is not None:
            which = replace(which, lists=self._few(_shows(COPIES, which.name)))
        if which.remote is not None and which.lists is None and not standings:
            few = self._few(COPIES.c.remote == which.remote)
            which = which if few is None else replace(which, remote=None, lists=few)
        if which.lists == frozenset():
            return []
        found = list[Place]()
        for some, keyed in self._parts(sort, after, which, standings, down=down):
            rows = self._connection.execute(some(limit + 1 - len(found)))
            found += [Place(row.list_id, _text(row.key) if keyed else None) for row in rows]
            if len(found) > limit:
                break
        return found

    def _parts(
        self, sort: Sort, after: Place, which: ListFilter, standings: Collection[Standing], *, down: bool
    ) -> Iterator[_Part]:
        """One after another until a page is full; those with a key first."""
        if sort is Sort.STANDING:
            yield from self._by_standing(after, which, standings, down=down)
            return
        keyed = sort is not Sort.NUMBER and (after == START or after.key is not None)
        if keyed:
            query, column = _by_name(after, down=down) if sort is Sort.NAME else _by_age(after, down=down)
            yield query.where(*meant(column, which, standings)).limit, True
        begin = 0 if keyed else after.number
        beyond = partial(_beyond, number=begin, down=down)
        numbers = select(LISTS.c.id.label("list_id")).where(
            *beyond(LISTS.c.id), *_WITHOUT[sort], *meant(LISTS.c.id, which, standings, beyond)
        )
        yield numbers.order_by(_way(LISTS.c.id, down=down)).limit, False

    def _by_standing(
        self, after: Place, which: ListFilter, standings: Collection[Standing], *, down: bool
    ) -> Iterator[_Part]:
        """All of one standing, then all of the next; the copies of each remote come out of their index in order."""
        remotes, other = self._remotes(), COPIES.alias("other")
        order = MOST_URGENT_FIRST[::-1] if down else MOST_URGENT_FIRST
        begin = order.index(Standing(after.key)) if after.key else 0
        for place, standing in enumerate(order[begin:] if remotes else ()):
            urgent = [one.value for one in MOST_URGENT_FIRST[: MOST_URGENT_FIRST.index(standing)]]
            # Counted and not `NOT EXISTS`, for which PostgreSQL would read all copies, and not only this page's.
            more_urgent = select(func.count()).where(other.c.list_id == COPIES.c.list_id, other.c.standing.in_(urgent))
            beyond = partial(_beyond, number=0 if place else after.number, down=down)
            same = select(COPIES.c.list_id, COPIES.c.standing.label("key")).where(
                COPIES.c.standing == standing.value,
                *beyond(COPIES.c.list_id),
                more_urgent.scalar_subquery() == 0,
                *meant(COPIES.c.list_id, which, standings, beyond),
            )
            yield partial(_merged, [same.where(COPIES.c.remote == remote) for remote in remotes], down=down), True

    def _few(self, condition: Any) -> frozenset[int] | None:
        """Lists with such a copy: none but these are looked at, in whatever order. None when there are so many that a
        page of them is soon found.
        """
        some = select(COPIES.c.list_id).where(condition).limit(_FEW + 1)
        found = self._connection.execute(some).scalars().all()
        return None if len(found) > _FEW else frozenset(found)

    def _remotes(self) -> list[str]:
        """Those that have copies: each found from the end of the one before, not by reading all copies."""
        first = select(func.min(COPIES.c.remote).label("remote")).cte("remotes", recursive=True)
        later = select(func.min(COPIES.c.remote)).where(COPIES.c.remote > first.c.remote).scalar_subquery()
        each = first.union_all(select(later).where(first.c.remote.is_not(None)))
        found = self._connection.execute(select(each.c.remote).where(each.c.remote.is_not(None)))
        return list(found.scalars())


def _way(column: Any, *, down: bool) -> Any:
    return column.desc() if down else column.asc()


def _beyond(column: Any, number: int, *, down: bool) -> list[Any]:
    """0 is before the first, whichever that is."""
    if not down:
        return [column > number]
    return [column < number] if number else []


def _merged(parts: list[Select[Any]], rows: int, *, down: bool) -> Select[Any]:
    """The first rows of several selects of one order: of each part no more are read."""
    firsts = [part.order_by(_way(COPIES.c.list_id, down=down)).limit(rows).subquery() for part in parts]
    together = union_all(*map(select, firsts)).subquery()
    return select(together).distinct().order_by(_way(together.c.list_id, down=down)).limit(rows)


def _keyed(query: Select[Any], key: Any, number: Any, after: tuple[Any, int] | None, *, down: bool) -> Select[Any]:
    """In the order of its keys, from beyond a place."""
    if after is not None:
        here, there = tuple_(key, number), tuple_(*after)
        query = query.where(here < there if down else here > there)
    return query.order_by(_way(key, down=down), _way(number, down=down))


def _by_name(after: Place, *, down: bool) -> tuple[Select[Any], Any]:
    query = select(WANTED.c.list_id, WANTED.c.name_key.label("key")).where(WANTED.c.name_key.is_not(None))
    place = None if after.key is None else (after.key, after.number)
    return _keyed(query, WANTED.c.name_key, WANTED.c.list_id, place, down=down), WANTED.c.list_id


def _by_age(after: Place, *, down: bool) -> tuple[Select[Any], Any]:
    """By the copy that was the first not to be in sync."""
    other = COPIES.alias("other")
    sooner = tuple_(other.c.since, other.c.remote) < tuple_(COPIES.c.since, COPIES.c.remote)
    query = select(COPIES.c.list_id, COPIES.c.since.label("key")).where(
        COPIES.c.since.is_not(None), ~exists().where(other.c.list_id == COPIES.c.list_id, sooner)
    )
    since = None if after.key is None else literal(datetime.fromisoformat(after.key), COPIES.c.since.type)
    place = None if since is None else (since, after.number)
    return _keyed(query, COPIES.c.since, COPIES.c.list_id, place, down=down), COPIES.c.list_id


def meant(
    column: Any,
    which: ListFilter,
    standings: Collection[Standing],
    beyond: Callable[[Any], list[Any]] = lambda _: [],
) -> list[Any]:
    """As conditions on the numbers of lists in `column`. A lead list without any copy is none of them.

    Where only numbers `beyond` a place are asked for, that is said of their copies too: PostgreSQL would else read
    those of all lists before it.
    """
    some, conditions = COPIES.alias("some"), list[Any]()
    of_remote = [] if which.remote is None else [some.c.remote == which.remote]
    if standings:
        stand = some.c.standing.in_([standing.value for standing in standings])
        conditions.append(column.in_(select(some.c.list_id).where(stand, *of_remote, *beyond(some.c.list_id))))
    elif of_remote:
        # Many lists have a copy there: each is looked up, or SQLite would collect all copies for one page.
        conditions.append(exists().where(some.c.list_id == column, *of_remote, *beyond(some.c.list_id)))
    if which.on_hold:
        # A hold may be left of a list that has no copy any more.
        conditions += [_held(column), *_with_copy(column, some, beyond)]
    if which.lists is not None:
        conditions.append(column.in_(which.lists))
    elif which.name is not None:
        named = COPIES.alias("named")
        conditions.append(column.in_(select(named.c.list_id).where(_shows(named, which.name))))
    return conditions or _with_copy(column, some, beyond)


def _held(column: Any) -> Any:
    """Spelled as in the partial index, which then tells all of them."""
    if column.table is LISTS:
        return text("lead_lists.holds IS NOT NULL")
    held = LISTS.alias("held")
    return column.in_(select(held.c.id).where(text("held.holds IS NOT NULL")))


def _with_copy(column: Any, some: Any, beyond: Callable[[Any], list[Any]]) -> list[Any]:
    return [] if column.table is COPIES else [exists().where(some.c.list_id == column, *beyond(some.c.list_id))]


def _shows(copies: Any, name: str) -> Any:
    return copies.c.name_key.contains(name_key(name), autoescape=True)


def _text(key: Any) -> str:
    return key.isoformat() if isinstance(key, datetime) else str(key)
