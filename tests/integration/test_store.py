"""The store's contract: one class of tests on memory, SQLite and PostgreSQL. And what only real databases do."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from sqlalchemy.exc import DataError, StatementError

from models.lead_list import (
    SCALARS,
    Abandoned,
    Copy,
    Field,
    Intent,
    Kind,
    LeadList,
    Member,
    Parked,
    Presence,
    Seen,
    Spelling,
    Stamp,
    Standing,
    Value,
    Waiting,
    Wanted,
)
from models.ledger import Attempt, Change, ChangeKind
from models.patch import Patch
from tests.support.heart import NOON, at, copy_of, list_of
from tests.support.world import World
from worker.errors import Transient, UsageError
from worker.ports import DueCount, Every, Reject, RemoteState, Tx
from worker.store import database
from worker.store.database import check_schema, open_database, upgrade
from worker.store.memory import MemoryStore
from worker.store.sql import SqlStore
from worker.sync.push import claim

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


@pytest.fixture
def sql(database_url: str) -> Iterator[SqlStore]:
    """A store on SQLite, and one on PostgreSQL."""
    with opened(database_url) as store:
        yield store


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[RunsNow]:
    """All three."""
    if request.param == "memory":
        yield MemoryStore(lambda: datetime.now(UTC))
    else:
        with opened(request.getfixturevalue(f"{request.param}_url")) as store:
            yield store


# Values of every kind

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
ids = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-11))])
moments = st.datetimes(datetime(1990, 1, 1), datetime(2190, 1, 1), timezones=zones)  # noqa: DTZ001 - zones are given
stamps = st.builds(Stamp, moments, st.none() | st.integers(0, 10**30 - 1))
values: st.SearchStrategy[Value] = st.none() | st.booleans() | texts
remotes = st.sampled_from(["crm", "lance", "instantly"])
scalars = st.sampled_from(SCALARS)


def some(values: st.SearchStrategy[Any], names: st.SearchStrategy[Any] = scalars) -> st.SearchStrategy[Any]:
    """Up to three fields with these values."""
    return st.dictionaries(names, values, max_size=3)


patches = st.builds(Patch, some(values), st.frozensets(ids, max_size=2), st.frozensets(ids, max_size=2))
copies = st.builds(
    Copy,
    remote=remotes,
    remote_id=st.just("replaced"),
    seen=some(st.builds(Seen, values, stamps), st.sampled_from(Field)),
    hidden=st.frozensets(st.sampled_from(Field)),
    spelling=some(st.builds(Spelling, values, values, st.booleans())),
    held=some(st.builds(Seen, values, stamps)),
    abandoned=some(
        st.builds(Abandoned, values, moments, st.frozensets(ids, max_size=2), st.frozensets(ids, max_size=2)),
        st.sampled_from(Field),
    ),
    look=st.booleans(),
    standing=st.sampled_from(Standing),
    waiting=st.none() | st.sampled_from(Waiting),
    due_at=st.none() | moments,
    since=st.none() | moments,
    tries=st.integers(0, 2**31 - 1),
    parked=st.none() | st.builds(Parked, texts, texts, texts),
    fence=st.integers(0, 2**60),
    lease_until=st.none() | moments,
    intent=st.none() | st.builds(Intent, patches, moments),
)
members = st.builds(
    Member, st.booleans(), st.dictionaries(remotes, st.builds(Presence, st.booleans(), stamps)), st.booleans()
)
lead_lists = st.builds(
    LeadList,
    kind=st.none() | st.sampled_from(Kind),
    wanted=some(st.builds(Wanted, values, stamps, remotes)),
    copies=st.lists(copies, max_size=3).map(lambda many: {copy.remote: copy for copy in many}),
    members=st.dictionaries(ids, members, max_size=4),
)


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


class TestStore:
    """What every store does."""

    @given(lead_list=lead_lists)
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_saved_is_loaded(self, store: RunsNow, lead_list: LeadList) -> None:
        """Any list comes back as it went in, moments included, whatever their zone."""
        made = saved(store, lead_list)
        assert made == loaded(store, made.id)

    @given(before=lead_lists, after=lead_lists)
    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_changed_is_loaded(self, store: RunsNow, before: LeadList, after: LeadList) -> None:
        """Any list can become any other; a kind stays once it is known, and members are never forgotten."""
        first = saved(store, before)
        kind = before.kind or after.kind
        then = replace(numbered(after, first.id), kind=kind, members={**first.members, **after.members})
        store.run_now(lambda tx: tx.save([(first, then)]))
        assert then == loaded(store, first.id)

    def test_find(self, store: RunsNow) -> None:
        """Known links by their key, over several remotes; unknown ones are left out."""
        one, two = saved(store, list_of(copy_of("crm"), copy_of("lance"))), saved(store, list_of(copy_of("crm")))
        keys = [("crm", f"crm-{one.id}"), ("lance", f"lance-{one.id}"), ("crm", f"crm-{two.id}"), ("crm", "no")]
        assert dict(zip(keys[:3], (one.id, one.id, two.id), strict=True)) == store.run_now(lambda tx: tx.find(keys))
        assert {} == store.run_now(lambda tx: tx.find([]))

    def test_create_many(self, store: RunsNow) -> None:
        """Numbers in the order of what was asked for."""
        kinds = [Kind.PERSON, None, Kind.COMPANY]
        numbers = store.run_now(lambda tx: tx.create(kinds))
        assert kinds == [loaded(store, number).kind for number in numbers]
        assert [] == store.run_now(lambda tx: tx.create([]))

    def test_unlink(self, store: RunsNow) -> None:
        """A copy that is left out on saving is let go, and its key is free again."""
        one = saved(store, list_of(copy_of("crm"), copy_of("lance"), wanted={NAME: "A"}))
        left = replace(one, copies={"crm": one.copies["crm"]})
        store.run_now(lambda tx: tx.save([(one, left)]))
        assert left == loaded(store, one.id)
        key = ("lance", f"lance-{one.id}")
        assert {} == store.run_now(lambda tx: tx.find([key]))
        other = saved(store, list_of())
        moved = replace(other, copies={"lance": replace(copy_of("lance"), remote_id=key[1])})
        store.run_now(lambda tx: tx.save([(other, moved)]))
        assert {key: other.id} == store.run_now(lambda tx: tx.find([key]))

    def test_a_copy_can_get_another_id(self, store: RunsNow) -> None:
        """A list was made anew on the remote: the old key is free."""
        one = saved(store, list_of(copy_of("crm")))
        anew = replace(one, copies={"crm": replace(one.copies["crm"], remote_id="anew")})
        store.run_now(lambda tx: tx.save([(one, anew)]))
        assert anew == loaded(store, one.id)
        keys = [("crm", "anew"), ("crm", f"crm-{one.id}")]
        assert {keys[0]: one.id} == store.run_now(lambda tx: tx.find(keys))

    def test_drop_into_another(self, store: RunsNow) -> None:
        """Copies and members move with the list that is kept; the dropped one leaves nothing behind."""
        kept = saved(store, list_of(copy_of("crm"), wanted={NAME: "A"}))
        gone = saved(store, replace(list_of(copy_of("lance")), members={"p1": Member(True)}))

        def work(tx: Tx) -> LeadList:
            tx.note(gone.id, [change("x", "y")])
            tx.attempted([attempt(gone.id)])
            joined = replace(kept, copies={**kept.copies, **gone.copies}, members=gone.members)
            tx.drop(gone.id, kept.id)
            tx.save([(kept, joined)])
            return joined

        joined = store.run_now(work)
        assert joined == loaded(store, kept.id)
        assert {} == store.run_now(lambda tx: tx.load([gone.id]))
        key = ("lance", f"lance-{gone.id}")
        assert {key: kept.id} == store.run_now(lambda tx: tx.find([key]))

    def test_only_the_members_that_matter_are_loaded(self, store: RunsNow) -> None:
        """Those that differ and those that were named, list by list; all of them only when asked."""
        crowd = {"agreed": Member(True), "differing": Member(True, differs=True), "named": Member(True)}
        one, two = (saved(store, replace(list_of(), members=crowd)) for _ in range(2))
        numbers = [one.id, two.id]

        def names(asked: dict[int, Any]) -> list[set[str]]:
            lists = store.run_now(lambda tx: tx.load(numbers, asked))
            return [set(lists[number].members) for number in numbers]

        assert [{"differing"}, {"differing"}] == names({})
        assert [{"differing", "named"}, {"differing", "agreed"}] == names({one.id: {"named"}, two.id: ["agreed", "no"]})
        assert [set(crowd), {"differing"}] == names({one.id: Every.MEMBER, two.id: set()})

    def test_a_number_is_never_given_twice(self, store: RunsNow) -> None:
        """Calls in flight and the ledger know lists by it: the newest list's number is not free when it is dropped."""
        one, two = saved(store, list_of()), saved(store, list_of())
        store.run_now(lambda tx: tx.drop(two.id, one.id))
        assert two.id < saved(store, list_of()).id

    def test_unknown_lists_are_not_loaded(self, store: RunsNow) -> None:
        """A number that is no list's is left out."""
        one = saved(store, list_of())
        assert {one.id} == set(store.run_now(lambda tx: tx.load([one.id, 999_999])))
        assert {} == store.run_now(lambda tx: tx.load([]))

    def test_first_tries_first_then_by_time(self, store: RunsNow) -> None:
        """Due copies of one remote, in order, up to a limit."""
        ages = [(0, -1), (0, -9), (3, -99), (0, -5)]
        one, nine, retried, five = (saved(store, due_copy(age, tries=tries)).id for tries, age in ages)
        assert [nine, five, one, retried] == store.run_now(lambda tx: tx.due("lance", 9))
        assert [nine, five] == store.run_now(lambda tx: tx.due("lance", 2))
        assert [] == store.run_now(lambda tx: tx.due("crm", 9))

    @pytest.mark.parametrize(
        ("ready", "changes"),
        [
            (True, {}),
            (True, {"lease_until": datetime.now(UTC) - timedelta(seconds=1)}),
            (False, {"lease_until": datetime.now(UTC) + timedelta(seconds=600)}),
            (False, {"due_at": datetime.now(UTC) + timedelta(seconds=600)}),
            (False, {"standing": Standing.PARKED}),
            (False, {"standing": Standing.CONFLICT, "due_at": None}),
            (False, {"standing": Standing.IN_SYNC, "due_at": None}),
        ],
        ids=["due", "lease over", "leased", "later", "parked", "conflict", "in sync"],
    )
    def test_what_is_due(self, store: RunsNow, ready: bool, changes: dict[str, Any]) -> None:  # noqa: FBT001
        """Standing due, its time has come, and nobody holds it."""
        one = saved(store, due_copy(**changes))
        assert ([one.id] if ready else []) == store.run_now(lambda tx: tx.due("lance", 9))
        assert int(ready) == store.run_now(lambda tx: tx.count_due("lance", 9)).live

    def test_count_due(self, store: RunsNow) -> None:
        """By lane, up to a limit, and when the next one comes."""
        soon, lease = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (600, 300))
        for tries in (0, 0, 2):
            saved(store, due_copy(tries=tries))
        assert DueCount(2, 1, None) == store.run_now(lambda tx: tx.count_due("lance", 9))
        saved(store, due_copy(due_at=soon))
        assert soon == store.run_now(lambda tx: tx.count_due("lance", 9)).next_due_at
        saved(store, due_copy(lease_until=lease))
        counted = store.run_now(lambda tx: tx.count_due("lance", 2))
        assert (2, lease) == (counted.live + counted.retry, counted.next_due_at)
        assert DueCount() == store.run_now(lambda tx: tx.count_due("crm", 9))

    def test_rejects_are_kept_once(self, store: RunsNow) -> None:
        """The same entry again changes nothing, and a NUL in it is no obstacle."""
        first = Reject(entry_id="1-0", reason="id: expected a string", event="{\0}")
        store.run_now(lambda tx: tx.reject([first, Reject(entry_id="2-0", reason="x", event="")]))
        store.run_now(lambda tx: tx.reject([replace(first, reason="another")]))
        store.run_now(lambda tx: tx.reject([]))
        assert {"1-0": "id: expected a string", "2-0": "x"} == _reasons(store)

    def test_a_remote_is_paused_and_resumed(self, store: RunsNow) -> None:
        """Not paused when nobody ever said; what was said is kept."""
        assert RemoteState() == store.run_now(lambda tx: tx.remote_state("crm"))
        paused = RemoteState(paused=True, cause="401", next_step="renew", since=NOON)
        for state in (paused, RemoteState()):
            store.run_now(_saying(state))
            assert state == store.run_now(lambda tx: tx.remote_state("crm"))
        assert RemoteState() == store.run_now(lambda tx: tx.remote_state("lance"))

    def test_all_or_nothing(self, store: RunsNow) -> None:
        """Whatever is raised, nothing of the transaction stays."""
        one = saved(store, list_of(copy_of("crm", {NAME: "A"}), wanted={NAME: "A"}))

        def work(tx: Tx) -> None:
            tx.create([None])
            tx.save([(one, replace(one, wanted={}, copies={}))])
            tx.note(one.id, [change("x", "y")])
            tx.reject([Reject(entry_id="1-0", reason="x", event="")])
            tx.set_remote_state("crm", RemoteState(paused=True))
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.run_now(work)
        assert one == loaded(store, one.id)
        assert {} == _reasons(store)
        assert RemoteState() == store.run_now(lambda tx: tx.remote_state("crm"))
        assert {} == store.run_now(lambda tx: tx.load([one.id + 1]))

    def test_its_clock_is_in_utc(self, store: RunsNow) -> None:
        """The database's clock, at least as exact as a second."""
        now = store.run_now(lambda tx: tx.now)
        assert (timedelta(0), True) == (now.utcoffset(), abs(now - datetime.now(UTC)) < timedelta(seconds=5))


def _saying(state: RemoteState) -> Callable[[Tx], None]:
    return lambda tx: tx.set_remote_state("crm", state)


def _reasons(store: RunsNow) -> dict[str, str]:
    if isinstance(store, MemoryStore):
        return {entry: reject.reason for entry, reject in store.tables.rejects.items()}
    return {row[0]: row[1] for row in rows(store, "SELECT entry_id, reason FROM rejects")}


def rows(store: RunsNow, query: str) -> list[tuple[Any, ...]]:
    """What a query finds."""
    assert isinstance(store, SqlStore)
    with store._engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


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
            saved(sql, due_copy(due_at=datetime(2026, 3, 1, 12), seen={NAME: Seen("secret", at(0))}))  # noqa: DTZ001
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
                asyncio.run(_drained(world))

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


async def _drained(world: World) -> None:
    await world.intake()


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


# What goes wrong


def test_a_locked_file_is_waited_for_and_then_said(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the write lock: later, not never, in one sentence."""
    monkeypatch.setattr(database, "BUSY_S", 0)
    with opened(sqlite_url) as store, closing(sqlite3.connect(store._engine.url.database or "")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient) as error:
            store.run_now(lambda tx: tx.create([None]))
        assert f"{sqlite_url} is locked by another program for more than 0 s; it is tried again" == str(error.value)
        other.execute("ROLLBACK")
        store.run_now(lambda tx: tx.create([None]))


def test_a_read_only_file(sqlite_url: str, tmp_path: Path) -> None:
    """Said with what to do."""
    with opened(sqlite_url):
        pass
    url = f"sqlite:///file:{tmp_path / 'leadsync.db'}?mode=ro&uri=true"
    with closing(SqlStore(open_database(url))) as store, pytest.raises(UsageError) as error:
        store.run_now(lambda tx: tx.create([None]))
    assert str(error.value).endswith(" is read-only; make the file and its folder writable")


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("no database" * 100), lambda path: path.mkdir()], ids=["text", "folder"]
)
def test_another_kind_of_file(sqlite_url: str, tmp_path: Path, make: Callable[[Path], Any]) -> None:
    """Neither text nor a folder is a database, and neither is touched."""
    make(tmp_path / "leadsync.db")
    with closing(SqlStore(open_database(sqlite_url))) as store, pytest.raises(UsageError) as error:
        store.run_now(lambda tx: tx.create([None]))
    assert str(error.value) in (
        f"{sqlite_url} is not a SQLite database; name another file in database.url",
        f"{sqlite_url} cannot be opened; check that the folder exists and is writable",
    )


def test_no_tables_yet(database_url: str) -> None:
    """The command to run is named, on first use and when asked."""
    with closing(SqlStore(open_database(database_url))) as store:
        for look in (lambda: store.run_now(lambda tx: tx.create([None])), lambda: check_schema(store._engine)):
            with pytest.raises(UsageError) as error:
                look()
            assert "the database has no tables yet; run: leadsync db upgrade" == str(error.value)


def test_a_server_that_is_away() -> None:
    """Later, with the address but without the password."""
    url = "postgresql+psycopg://someone:s3cret@127.0.0.1:1/leadsync"
    with closing(SqlStore(open_database(url))) as store, pytest.raises(Transient) as error:
        store.run_now(lambda tx: tx.create([None]))
    assert "postgresql+psycopg://someone:***@127.0.0.1:1/leadsync cannot be used now" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("url", ["nonsense", "sqlite3", "mongodb://x/y"])
def test_an_address_that_makes_no_sense(url: str) -> None:
    """One sentence."""
    with pytest.raises(UsageError, match=r"^database\.url: "):
        open_database(url)


def test_what_cannot_be_stored_is_a_bug_and_not_the_weather(postgres_url: str) -> None:
    """An error that would come again for ever is not called passing: intake then rejects the one entry it is in."""
    with opened(postgres_url) as store, pytest.raises(DataError):
        saved(store, list_of(copy_of("x" * 200)))


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
        assert find + create + write == _cost(world, statements, told)
        assert find + load + write - 1 == _cost(world, statements, edits)  # no link
        assert find + load == _cost(world, statements, edits)  # nothing is written

    @pytest.mark.parametrize("lists", [1, 16])
    def test_of_push(self, sql: SqlStore, lists: int) -> None:
        """16 PATCHes cost as many statements as one: count, claim, settle."""
        world = World(store=sql)
        asyncio.run(_due(world, lists))
        statements = Statements(sql._engine)
        pushed = asyncio.run(world.push("lance"))
        paused, load, counted = 1, 4, 2
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
    asyncio.run(_drained(world))
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
