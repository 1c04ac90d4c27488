"""What only real databases do: many at once, the ledger, and how much is asked of them."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import StatementError

from models.lead_list import (
    Field,
    Seen,
)
from tests.support.heart import at, list_of
from tests.support.stores import attempt, change, drained, due_copy, loaded, opened, rows, saved
from tests.support.world import World
from worker.ports import Tx
from worker.store.database import open_database
from worker.store.sql import SqlStore, SqlTx
from worker.store.views import Views
from worker.sync.push import claim

T = TypeVar("T")


NAME = Field.NAME


@pytest.fixture
def sql(database_url: str) -> Iterator[SqlStore]:
    """A store on SQLite, and one on PostgreSQL."""
    with opened(database_url) as store:
        yield store


class TestDatabases:
    """What only real databases do."""

    def test_the_ledger(self, sql: SqlStore) -> None:
        """Changes and attempts in their order; they follow a list into another, and outlive it."""
        one, two = saved(sql, list_of()), saved(sql, list_of())

        def work(tx: Tx) -> None:
            tx.note(one.id, [change(None, "A"), change(["p1"], [], sequence=10**29)])
            tx.note(two.id, [change(True, False)])
            tx.attempted([attempt(one.id), attempt(two.id)])
            tx.drop(one.id, two.id)

        sql.run_now(work)
        assert [(two.id, "wanted", "name", sequence) for sequence in (None, str(10**29), None)] == rows(
            sql, "SELECT list_id, kind, field, sequence FROM changes ORDER BY id"
        )
        assert [(two.id, "patch", None, "unclear")] * 2 == rows(
            sql, "SELECT list_id, action, status, outcome FROM attempts ORDER BY id"
        )

    def test_naive_times_are_refused(self, sql: SqlStore) -> None:
        """They are always a mistake."""
        with pytest.raises(StatementError, match="a time without a zone"):
            saved(sql, due_copy(due_at=datetime(2026, 3, 1, 12)))  # noqa: DTZ001 - that is the point

    def test_values_stay_out_of_errors(self, sql: SqlStore) -> None:
        """An error of the database says nothing of what people wrote."""
        with pytest.raises(StatementError) as error:
            saved(sql, due_copy(due_at=datetime(2026, 3, 1, 12), seen={NAME: Seen("secret", at(0))}))  # noqa: DTZ001 - the point
        assert "secret" not in str(error.value)

    def test_the_loop_is_not_blocked(self, sql: SqlStore) -> None:
        """Transactions run in a thread, and several callers can wait for them."""

        async def scene() -> list[int]:
            return list(await asyncio.gather(*(sql.run(lambda tx: len(tx.create([None]))) for _ in range(8))))

        assert [1] * 8 == asyncio.run(scene())

    def test_two_claimers_never_get_the_same_copy(self, sql: SqlStore, database_url: str) -> None:
        """Eight claimers at once: each copy goes to exactly one, under one new fence."""
        numbers = [saved(sql, due_copy()).id for _ in range(40)]
        start = threading.Barrier(8)

        def claimer(_: int) -> list[int]:
            with closing(SqlStore(open_database(database_url))) as own:
                start.wait()
                mine: list[int] = []
                while taken := own.run_now(lambda tx: claim(tx, World().door("lance"), World().rules, 3)[0]):
                    mine += [one.list_id for one in taken]
                return mine

        with ThreadPoolExecutor(8) as threads:
            claimed = Counter(number for mine in threads.map(claimer, range(8)) for number in mine)
        assert dict.fromkeys(numbers, 1) == claimed
        assert {1} == {loaded(sql, number).copies["lance"].fence for number in numbers}

    def test_a_new_list_is_made_once(self, sql: SqlStore, database_url: str) -> None:
        """Two workers hear of the same new list in the same moment: one list, and what both heard is there."""
        start = threading.Barrier(6)

        def heard(number: int) -> None:
            with closing(SqlStore(open_database(database_url))) as own:
                world = World(store=own)
                shown = world.put("crm", name=f"A{number}")
                owner = {"fields": {"owner": "u1"}} if number == 0 else {"fields": {"name": f"A{number}"}}
                world.tell("crm", shown, data=owner)
                start.wait()
                asyncio.run(drained(world))

        with ThreadPoolExecutor(6) as threads:
            list(threads.map(heard, range(6)))
        numbers = sql.run_now(lambda tx: tx.find([("crm", "1")]))
        (held,) = sql.run_now(lambda tx: tx.load(numbers.values())).values()
        assert {Field.OWNER, NAME} == set(held.wanted)
        assert [(1,)] == rows(sql, "SELECT count(*) FROM lead_lists")

    def test_intake_and_push_of_the_same_lists_do_not_block_each_other(self, sql: SqlStore, database_url: str) -> None:
        """Two intakes and two pushes on the same lists, all at once: nobody deadlocks, nothing is lost."""
        world = World(store=sql)
        asyncio.run(_ten_lists(world))
        start = threading.Barrier(4)

        def work(number: int) -> None:
            with closing(SqlStore(open_database(database_url))) as own:
                mine = World(store=own)
                mine.remotes, mine.wires, mine.tickets = world.remotes, world.wires, world.tickets
                start.wait()
                asyncio.run(_edits(mine) if number % 2 else _pushes(mine))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))
        asyncio.run(_pushes(world))
        shown = [world.shown("lance", str(n)).fields[NAME] for n in range(10)]
        assert [world.shown("crm", str(n)).fields[NAME] for n in range(10)] == shown
        assert 0 == world.wires["lance"].overlaps


async def _ten_lists(world: World) -> None:
    for number in map(str, range(10)):
        world.put("lance", number, name="A")
        world.tell("crm", world.put("crm", number, name="A"), data={"links": {"lance": number}})
    await world.sync()


async def _edits(world: World) -> None:
    for turn in range(5):
        for number in map(str, range(10)):
            world.tell("crm", world.put("crm", number, name=f"B{turn}"))
        await world.intake()


async def _pushes(world: World) -> None:
    for _ in range(15):
        await world.push("lance")
        await asyncio.sleep(0.005)


# How much is asked of the database


class Statements:
    """Counts what is sent."""

    def __init__(self, engine: Engine) -> None:
        self.sent: list[str] = []
        event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(("BEGIN", "SELECT clock_timestamp")):
            self.sent.append(statement)

    def taken(self) -> int:
        sent, self.sent = self.sent, []
        return len(sent)


class TestStatements:
    """The number of statements does not grow with the size of a batch."""

    @pytest.mark.parametrize("events", [1, 20, 500])
    def test_of_intake(self, sql: SqlStore, events: int) -> None:
        """New lists, edits of name and members, and a replay of them."""
        world = World(store=sql)
        statements = Statements(sql._engine)
        told = [_told(world, number, "A", ["p1"]) for number in range(events)]
        edits = [_told(world, number, "B", ["p2", "p3"]) for number in range(events)]
        find, load, create, write = 1, 5, 1 if sql._engine.dialect.name == "postgresql" else 2, 5
        gone = 1  # whether the new ones are known to be gone
        assert find + gone + create + write == _cost(world, statements, told)
        assert find + load + write - 1 == _cost(world, statements, edits)  # no link
        excluded = 1  # of members that are known: where they cannot be told of
        assert find + load + excluded == _cost(world, statements, edits)  # nothing is written

    @pytest.mark.parametrize("lists", [1, 16])
    def test_of_push(self, sql: SqlStore, lists: int) -> None:
        """16 PATCHes cost as many statements as one: count, claim, settle."""
        world = World(store=sql)
        asyncio.run(_due(world, lists))
        statements = Statements(sql._engine)
        pushed = asyncio.run(world.push("lance"))
        paused, load, counted = 1, 4, 1
        look = paused + counted
        claimed = paused + 1 + load + 1 + counted  # which are due; copies
        settled = load + 1 + 2 + paused + counted  # all members, as the CRM's protocol shows them; copies, attempts
        assert (lists, look + claimed + settled) == (pushed.patched, statements.taken())


def _told(world: World, number: int, name: str, added: list[str]) -> bytes:
    data = {"fields": {"name": name}, "members_added": added}
    return world.event("crm", world.put("crm", str(number), name=name), data=data)


def _cost(world: World, statements: Statements, events: list[bytes]) -> int:
    for one in events:
        world.log.add(one)
    statements.taken()
    asyncio.run(drained(world))
    return statements.taken()


async def _due(world: World, lists: int) -> None:
    for number in map(str, range(lists)):
        world.put("lance", number, name="A")
        world.tell("crm", world.put("crm", number, name="A"), data={"links": {"lance": number}})
    await world.sync()
    for number in map(str, range(lists)):
        world.tell("crm", world.put("crm", number, name="B"))
    await world.intake()


def test_linked_is_the_same_on_every_store(sql: SqlStore) -> None:
    """The whole way over a real database: two remotes, one edit, one PATCH, in sync."""

    async def scene() -> None:
        world = World(store=sql)
        world.put("lance", name="A", members=["p1"])
        world.tell("crm", world.put("crm", name="A", members=["p2"]), data={"links": {"lance": "1"}})
        await world.sync()
        world.tell("crm", world.put("crm", name="B"))
        await world.sync()
        assert [{"members_added": ["p2"]}, {"name": "B"}] == world.patches("lance")
        assert [{"members_added": ["p1"]}] == world.patches("crm")

    asyncio.run(scene())


def test_a_transaction_is_forgotten_when_it_ends(sql: SqlStore) -> None:
    """A part of it that held it would keep all that it has loaded until the collector comes, which is seldom."""
    gone: list[weakref.ref[SqlTx]] = []
    gc.disable()
    try:
        sql.run_now(lambda tx: gone.append(weakref.ref(tx)))
        assert gone[0]() is None
    finally:
        gc.enable()


def test_pages_have_one_process_each(postgres_url: str) -> None:
    """Of PostgreSQL's: what a page counts must not take the processors from pushing."""
    engine = open_database(postgres_url)
    views = Views(engine)
    ask = text("SHOW max_parallel_workers_per_gather")

    assert "0" == views.look(lambda view: view._connection.execute(ask).scalar_one())
    views.close()
