"""Stores for tests: opened, filled and looked into. Used by the tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from models.lead_list import (
    Field,
    LeadList,
    Standing,
)
from models.ledger import Attempt, Change, ChangeKind
from tests.support.heart import NOON, at, copy_of, list_of
from tests.support.world import World
from worker.ports import Every, Tx
from worker.store.database import open_database, upgrade
from worker.store.sql import SqlStore

T = TypeVar("T")


NAME = Field.NAME


class RunsNow(Protocol):
    """Both stores, for callers without a loop."""

    def run_now(self, work: Callable[[Any], T]) -> T: ...


@contextmanager
def opened(url: str) -> Iterator[SqlStore]:
    """A store on an upgraded database."""
    engine = open_database(url)
    upgrade(engine)
    with closing(SqlStore(engine)) as store:
        yield store


def numbered(lead_list: LeadList, number: int) -> LeadList:
    """With a number, and with remote ids that no other list has."""
    named = {name: replace(copy, remote_id=f"{name}-{number}") for name, copy in lead_list.copies.items()}
    return replace(lead_list, id=number, copies=named)


def saved(store: RunsNow, lead_list: LeadList) -> LeadList:
    """A new list in the store."""

    def work(tx: Tx) -> LeadList:
        made = numbered(lead_list, tx.create([lead_list.kind])[0])
        tx.save([(None, made)])
        return made

    return store.run_now(work)


def resaved(store: RunsNow, before: LeadList, after: LeadList) -> LeadList:
    """Saved, and read back."""
    store.run_now(lambda tx: tx.save([(before, after)]))
    return loaded(store, after.id)


def loaded(store: RunsNow, number: int) -> LeadList:
    """A list as the store has it, with all members."""
    lists: dict[int, LeadList] = store.run_now(lambda tx: tx.load([number], {number: Every.MEMBER}))
    return lists[number]


def due_copy(seconds: float = -1, **changes: Any) -> LeadList:
    """A list whose copy on lance is due since then."""
    due = {"standing": Standing.DUE, "due_at": datetime.now(UTC) + timedelta(seconds=seconds)}
    return list_of(replace(copy_of("lance", {NAME: "A"}), **{**due, **changes}), wanted={NAME: "B"})


def change(old: object, new: object, sequence: int | None = None) -> Change:
    """A row for the ledger of changes."""
    return Change(
        kind=ChangeKind.WANTED, field=NAME, old=old, new=new, origin="crm", stamp=at(0, sequence), cause="event e1"
    )


def attempt(number: int) -> Attempt:
    """A row for the ledger of attempts."""
    return Attempt(
        list_id=number,
        remote="lance",
        action="patch",
        lane="live",
        at=NOON,
        sent={"name": "B", "members_added": ["p1"]},
        status=None,
        outcome="unclear",
        note="no answer",
        duration_ms=1.5,
        lag_ms=None,
    )


def rows(store: RunsNow, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    assert isinstance(store, SqlStore)
    with store._engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


async def drained(world: World) -> None:
    """Take in all that was told."""
    await world.intake()
