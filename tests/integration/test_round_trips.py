"""What events, patches, pages of a scan and ticks ask of database and Redis, counted: as much for many as for one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis

from tests.support.desk import desk_at
from tests.support.statements import statements
from tests.support.world import BATCH, TAKEOVER_S, World
from worker import scan_bell
from worker.limits.base import Lane, Window
from worker.limits.budget import RedisBudget, budget_client
from worker.limits.throttle import Throttle
from worker.scan_bell import ring_due_scans
from worker.store.sql import SqlStore
from worker.stream.redis_stream import RedisStream
from worker.sync import scan as scan_module
from worker.sync.intake import drain

#: Statements on SQLite, and how many more on PostgreSQL, whose clock is asked for in each transaction.
COUNTS = {
    "events of new lists": (9, 0),
    "events of known lists": (11, 1),
    "a round of patches": (19, 3),
    "a tick": (2, 2),
}


@pytest.fixture
def more(database_url: str) -> bool:
    """Whether the database's clock is asked for."""
    return database_url.startswith("postgresql")


def expected(what: str, *, more: bool) -> int:
    """The number that stands above."""
    count, extra = COUNTS[what]
    return count + more * extra


@contextmanager
def counted(found: list[int]) -> Iterator[None]:
    """Adds the number of statements inside the block."""
    with statements() as told:
        yield
    found.append(len(told))


def told(world: World, number: int, name: str) -> None:
    """The CRM tells of so many lists, each linked to one of Lance."""
    for n in range(number):
        world.put("lance", f"l{n}", name="old")
        world.tell("crm", world.put("crm", f"c{n}", name=f"{name} {n}"), data={"links": {"lance": f"l{n}"}})


@pytest.mark.parametrize("what", ["events of new lists", "events of known lists", "a round of patches"])
def test_a_batch_asks_as_often_as_one_event(store: SqlStore, what: str, *, more: bool) -> None:
    """One event and forty: the same statements, each for all of them."""
    found = list[int]()

    async def one_world(number: int) -> None:
        world = World(store=store, max_in_flight=64)
        world.put("crm", "warm", name="up")
        told(world, number, f"A{number}")
        with counted(found if what == "events of new lists" else []):
            await world.intake()
        await world.sync()
        told(world, number, f"B{number}")
        with counted(found if what == "events of known lists" else []):
            await world.intake()
        with counted(found if what == "a round of patches" else []):
            assert number == (await world.push("lance")).patched

    asyncio.run(one_world(1))
    store.run_now(_forget_all)
    asyncio.run(one_world(40))

    assert [expected(what, more=more)] * 2 == found


def _forget_all(tx: Any) -> None:
    for number in tx.upkeep.lists(0, 1_000):
        tx.drop(number, number)


def test_a_page_of_a_scan_asks_as_often_as_one_list(store: SqlStore) -> None:
    """Lists that are as they were cost nothing each."""
    found = list[int]()

    async def one_world(number: int) -> None:
        world = World(store=store)
        told(world, number, "A")
        await world.sync()
        with counted(found):
            await world.scan("crm")

    asyncio.run(one_world(1))
    store.run_now(_forget_all)
    asyncio.run(one_world(40))

    assert found[0] == found[1]


def test_all_lists_are_gone_through_once_for_those_that_are_missing(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once for each few of them: with 100,000 lists that was half the work of a scan."""
    monkeypatch.setattr(scan_module, "_BATCH", 2)

    async def scene() -> None:
        world = World(store=store)
        told(world, 12, "A")
        await world.sync()
        for n in range(6):
            del world.remotes["lance"].wire.lists[f"l{n}"]
        with statements() as asked:
            done = await world.scan("lance")
        assert (6, 6) == (done.missing, done.gone)
        assert 1 == len([one for one in asked if "linked_at <" in one])

    asyncio.run(scene())


def test_a_tick_asks_as_often_for_a_hundred_remotes_as_for_one(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch, *, more: bool
) -> None:
    """Which remotes have something due, and which scans are: one statement each."""
    monkeypatch.setattr(scan_bell, "ring", lambda *_: True)
    found = list[int]()
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        many = [*desk.runtime.settings.remotes]
        ring_due_scans(desk.runtime, many)
        store = desk.runtime.store
        ring_due_scans(desk.runtime, many)
        for remotes in (many[:1], many):
            with counted(found):
                store.run_now(lambda tx, some=tuple(remotes): tx.due_remotes(some))  # type: ignore[misc]  # mypy cannot infer such a lambda
                store.run_now(lambda tx, some=tuple(remotes): tx.scans.glance(some))  # type: ignore[misc]  # the same

    assert [expected("a tick", more=more)] * 2 == found


@contextmanager
def commands(redis: Redis) -> Iterator[dict[str, int]]:
    """Which commands the server was asked inside the block, and how often; those of this count left out."""
    redis.config_resetstat()
    found: dict[str, int] = {}
    yield found
    stats: dict[str, Any] = redis.info("commandstats")
    ours = {"info", "config|resetstat", "hello", "client|setinfo", "client|maint_notifications", "ping", "select"}
    for key, one in stats.items():
        name = key.removeprefix("cmdstat_")
        if name not in ours:
            found[name] = one["calls"]


@pytest.mark.parametrize("number", [1, 40])
def test_redis_is_asked_as_often_for_many_events_as_for_one(redis_url: str, number: int) -> None:
    """What an intake leaves behind, what others left, two reads that find nothing more, one acknowledgement."""
    with Redis.from_url(redis_url) as redis:
        world = World()
        for n in range(number):
            redis.xadd("s", {"event": world.event("crm", world.put("crm", f"c{n}", name="A"))})

        async def take_in() -> int:
            async with budget_client(redis_url) as client:
                stream = RedisStream(client, stream="s", group="g", consumer="c", life="one")
                return (await drain(stream, world.store, world.rules, batch=BATCH, takeover_s=TAKEOVER_S)).entries

        with commands(redis) as asked:
            assert number == asyncio.run(take_in())

    assert 1 == asked["xack"]
    assert sum(asked.values()) <= 12, asked


@pytest.mark.parametrize("number", [1, 40])
def test_one_reservation_a_batch(redis_url: str, number: int) -> None:
    """Tickets for all calls of a round at once; reports ride along with the next, or go together at the end."""

    async def take() -> None:
        async with budget_client(redis_url) as client:
            throttle = Throttle(RedisBudget(client, "crm", [Window(limit=100, seconds=1.0)], hold_s=10.0))
            assert number == len((await throttle.take(Lane.LIVE, number)).tickets)
            await throttle.flush()

    with Redis.from_url(redis_url) as redis:
        asyncio.run(take())
        with commands(redis) as asked:
            asyncio.run(take())

    assert {"evalsha": 1} == {name: count for name, count in asked.items() if name in {"eval", "evalsha"}}
