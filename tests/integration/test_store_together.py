"""Shared commits of SQLite: who waits at the same moment is served in one transaction, and fails alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from models.lead_list import Kind
from tests.support.waiting import wait_until
from worker.ports import RemoteState, Tx
from worker.store.sql import SqlStore

#: PostgreSQL shares commits by itself, and its threads begin at once.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def pause(name: str) -> Callable[[Tx], str]:
    """A piece of work."""

    def work(tx: Tx) -> str:
        tx.set_remote_state(name, RemoteState(paused=True))
        return name

    return work


def fail(tx: Tx) -> str:
    """Writes, and then finds out that it must not."""
    tx.create([Kind.PERSON])
    tx.set_remote_state("two", RemoteState(paused=True))
    raise ValueError("no")


@asynccontextmanager
async def busy(store: SqlStore) -> AsyncIterator[None]:
    """Somebody else is first in the meantime: whoever comes waits."""
    held, free = threading.Event(), threading.Event()

    def first(_tx: Tx) -> None:
        held.set()
        free.wait(10)

    ahead = asyncio.ensure_future(store.run(first))
    await asyncio.to_thread(held.wait, 10)
    yield
    await asyncio.sleep(0)
    free.set()
    await ahead


async def all_at_once(store: SqlStore, *works: Callable[[Tx], Any]) -> list[Any]:
    """They wait together behind one that was first."""
    async with busy(store):
        waiting = [asyncio.ensure_future(store.run(work)) for work in works]
    return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
def commits(store: SqlStore) -> list[int]:
    """One number for each commit since."""
    counted = list[int]()
    event.listen(store._engine, "commit", lambda _connection: counted.append(1))
    return counted


def is_sqlite(store: SqlStore) -> bool:
    """PostgreSQL shares its commits by itself."""
    return store._engine.dialect.name == "sqlite"


def test_a_hundred_share_a_commit(store: SqlStore, commits: list[int]) -> None:
    """And each has its own answer."""
    names = [f"remote{n}" for n in range(100)]

    assert names == asyncio.run(all_at_once(store, *map(pause, names)))
    assert all(store.run_now(lambda tx, name=name: tx.remote_state(name).paused) for name in names)  # type: ignore[misc]  # mypy cannot infer such a lambda
    if is_sqlite(store):
        assert len(commits) - len(names) <= 10  # one, and a few more where the machine was slow


def test_what_fails_is_undone_alone(store: SqlStore) -> None:
    """Its neighbours in the same transaction are kept."""
    one, error, three = asyncio.run(all_at_once(store, pause("one"), fail, pause("three")))

    assert ("one", "three") == (one, three)
    assert isinstance(error, ValueError)
    paused = store.run_now(lambda tx: [tx.remote_state(name).paused for name in ("one", "two", "three")])
    assert [True, False, True] == paused
    assert {} == store.run_now(lambda tx: tx.load([1]))


@on_sqlite
def test_a_lost_commit_is_done_again_one_by_one(store: SqlStore) -> None:
    """When the shared transaction fails as a whole, nothing of it has happened, and each is tried by itself."""
    lost = list[Engine]()

    def lose(connection: Any) -> None:
        if len(lost) < 2:  # the first commit belongs to whoever was ahead
            lost.append(connection.engine)
            if len(lost) == 2:
                raise OperationalError("COMMIT", None, Exception("disk I/O error"))

    event.listen(store._engine, "commit", lose)

    assert ["one", "two"] == asyncio.run(all_at_once(store, pause("one"), pause("two")))
    assert store.run_now(lambda tx: tx.remote_state("one").paused and tx.remote_state("two").paused)


@on_sqlite
def test_who_is_cancelled_in_time_never_begins(store: SqlStore) -> None:
    """As for any other transaction: whole, or not at all."""

    async def scene() -> None:
        async with busy(store):
            late = asyncio.ensure_future(store.run(pause("late")))
            await asyncio.sleep(0)
            late.cancel()
        await store.run(pause("next"))

    asyncio.run(scene())

    wait_until(lambda: store.run_now(lambda tx: tx.remote_state("next").paused), what="the next is done")
    assert not store.run_now(lambda tx: tx.remote_state("late").paused)
