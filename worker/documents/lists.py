"""The documents of `leadsync lists`, `parked list` and `rejects list`: one page each."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from models.lead_list import Standing, Waiting
from worker.documents.holds import HoldDocument, holds_of, line_of
from worker.documents.remotes import Brakes, ask_budgets
from worker.errors import UsageError
from worker.store.list_views import ANY_LIST, MOST_URGENT_FIRST, START, ListFilter, Place, Sort
from worker.store.views import Listed, ListedCopy, ParkedCopy, ParkedFilter, RejectedEntry, Views
from worker.wiring import Runtime

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PageDocument(Generic[T]):
    """Part of a list; `next` is what `--after` takes, null on the last page."""

    items: list[T]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyLine:
    """One copy of a listed lead list."""

    id: str
    standing: Standing
    #: Why a due copy has not been pushed yet.
    waiting: Waiting | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLine:
    """One lead list."""

    id: int
    name: str | None
    kind: str | None
    copies: dict[str, CopyLine]
    #: That of its most urgent copy.
    standing: Standing
    #: Since when the first of its copies has not been in sync.
    since: datetime | None
    #: What people hold of it: nothing is written there until it is released.
    holds: list[HoldDocument]
    #: What a person can do, when there is something.
    next_step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedLine:
    """One parked copy."""

    list_id: int
    remote: str
    id: str
    name: str | None
    cause: str
    next_step: str
    since: datetime | None


async def lists(
    runtime: Runtime,
    views: Views,
    standings: Collection[Standing],
    *,
    limit: int,
    after: str | None,
    which: ListFilter = ANY_LIST,
    sort: Sort = Sort.NUMBER,
    down: bool = False,
) -> PageDocument[ListLine]:
    """Lead lists in an order, or `down` it; with `standings`, those with a copy that stands so."""
    start = _place(after, sort)
    budgets = await ask_budgets(runtime)
    listed, states = await asyncio.to_thread(
        views.look, lambda view: (view.lists(standings, limit, start, which, sort, down=down), view.remote_states())
    )
    brakes = Brakes(frozenset(runtime.settings.remotes), states, budgets)
    return as_page(listed, limit, lambda one: _line(one, brakes), lambda one: _cursor(one.place))


async def parked(views: Views, which: ParkedFilter, *, limit: int, after: str | None) -> PageDocument[ParkedLine]:
    """Copies that only a person can move on."""
    number, colon, remote = (after or "0:").partition(":")
    if not colon or not remote.isprintable():
        raise _bad_cursor(after)
    start = (cursor_number(number), remote)
    found = await asyncio.to_thread(views.look, lambda view: view.parked(which, limit, start))
    return as_page(found, limit, _parked_line, lambda one: f"{one.list_id}:{one.remote}")


async def rejects(views: Views, *, limit: int, after: str | None) -> PageDocument[RejectedEntry]:
    """Entries of the stream that could not be taken in."""
    start = cursor_number(after)
    found = await asyncio.to_thread(views.look, lambda view: view.rejects(limit, start))
    return as_page(found, limit, lambda one: one, lambda one: str(one.id))


def overall(standings: Collection[Standing]) -> Standing:
    """Where a list stands as a whole."""
    return min(standings, key=MOST_URGENT_FIRST.index, default=Standing.IN_SYNC)


def is_braked(one: ListLine) -> bool:
    """The brake holds one of its copies: a person decides."""
    return any(copy.waiting is Waiting.BRAKE for copy in one.copies.values())


def link_step(copies: dict[str, str], configured: Collection[str]) -> str | None:
    """What to do about a list that is known on one remote only."""
    others = sorted(set(configured) - set(copies))
    if len(copies) != 1 or not others:
        return None
    [(remote, remote_id)] = copies.items()
    names = [shlex.quote(f"{remote}:{remote_id}"), *(f"{other}:ID" for other in others)]
    return f"not linked: leadsync link {' '.join(names)}"


def _line(one: Listed, brakes: Brakes) -> ListLine:
    names = {copy.remote: copy.remote_id for copy in one.copies}
    return ListLine(
        id=one.id,
        name=one.name,
        kind=one.kind,
        copies={copy.remote: _copy_line(copy, brakes) for copy in one.copies},
        standing=overall([copy.standing for copy in one.copies]),
        since=min((c.since for c in one.copies if c.since and c.standing is not Standing.IN_SYNC), default=None),
        holds=holds_of(one.holds),
        next_step=line_of(one.holds, names.items()) or link_step(names, brakes.configured),
    )


def _copy_line(copy: ListedCopy, brakes: Brakes) -> CopyLine:
    due = copy.standing is Standing.DUE
    waiting = brakes.waiting(copy.remote, copy.waiting, in_flight=copy.in_flight) if due else None
    return CopyLine(id=copy.remote_id, standing=copy.standing, waiting=waiting)


def _parked_line(one: ParkedCopy) -> ParkedLine:
    return ParkedLine(
        list_id=one.list_id,
        remote=one.remote,
        id=one.remote_id,
        name=one.name,
        cause=one.cause,
        next_step=one.next_step,
        since=one.since,
    )


def as_page(found: Sequence[R], limit: int, as_line: Callable[[R], T], cursor: Callable[[R], str]) -> PageDocument[T]:
    """`found` holds one more than `limit` when there is a next page."""
    shown = found[:limit]
    return PageDocument([as_line(one) for one in shown], cursor(shown[-1]) if len(found) > limit else None)


def cursor_number(cursor: str | None) -> int:
    """Where a page of numbered rows begins; 0 for the first."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise _bad_cursor(cursor)
    return int(cursor)


def _cursor(place: Place) -> str:
    return str(place.number) if place.key is None else f"{place.number}:{place.key}"


def _place(cursor: str | None, sort: Sort) -> Place:
    """The way back. A cursor of another order is none of this one."""
    if cursor is None:
        return START
    number, colon, key = cursor.partition(":")
    place = Place(cursor_number(number), key if colon else None)
    try:
        match sort:
            case Sort.AGE if colon:
                datetime.fromisoformat(key).astimezone(UTC)
            case Sort.STANDING:
                Standing(key)
    except (ValueError, OverflowError):
        raise _bad_cursor(cursor) from None
    if "\0" in key or (colon and sort is Sort.NUMBER):
        raise _bad_cursor(cursor)
    return place


def _bad_cursor(cursor: str | None) -> UsageError:
    return UsageError(f"--after: expected the cursor that the page before ended with, got {cursor!r}")
