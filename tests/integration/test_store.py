"""The store's contract: one class of tests on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.lead_list import (
    SCALARS,
    Abandoned,
    Absence,
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
from models.patch import Patch
from tests.support.heart import NOON, copy_of, list_of
from tests.support.stores import RunsNow, attempt, change, due_copy, loaded, numbered, rows, saved
from worker.ports import DueCount, Every, Reject, RemoteState, Tx
from worker.store.memory import MemoryStore

T = TypeVar("T")


NAME = Field.NAME


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


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
    landed_at=st.none() | moments,
    absent=st.frozensets(st.sampled_from(Absence)),
    approved=st.sampled_from(["", "f" * 64]),
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
            (False, {"lease_until": datetime.now(UTC) + timedelta(days=1)}),
            (False, {"due_at": datetime.now(UTC) + timedelta(days=1)}),
            (False, {"standing": Standing.PARKED}),
            (False, {"standing": Standing.CONFLICT, "due_at": None}),
            (False, {"standing": Standing.IN_SYNC, "due_at": None}),
        ],
        ids=["due", "lease over", "leased", "later", "parked", "conflict", "in sync"],
    )
    def test_what_is_due(self, store: RunsNow, *, ready: bool, changes: dict[str, Any]) -> None:
        """Standing due, its time has come, and nobody holds it."""
        one = saved(store, due_copy(**changes))
        assert ([one.id] if ready else []) == store.run_now(lambda tx: tx.due("lance", 9))
        assert int(ready) == store.run_now(lambda tx: tx.count_due("lance", 9)).live

    def test_count_due(self, store: RunsNow) -> None:
        """By lane, up to a limit; what waits or is leased does not count."""
        later = datetime.now(UTC) + timedelta(seconds=300)
        for tries in (0, 0, 2):
            saved(store, due_copy(tries=tries))
        saved(store, due_copy(due_at=later))
        saved(store, due_copy(lease_until=later))
        assert DueCount(2, 1) == store.run_now(lambda tx: tx.count_due("lance", 9))
        counted = store.run_now(lambda tx: tx.count_due("lance", 2))
        assert 2 == counted.live + counted.retry
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
