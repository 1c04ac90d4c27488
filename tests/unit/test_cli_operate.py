"""What people do to lists and remotes, over the in-memory store: link, unlink, parked, pause, resume, rejects."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.lead_list import Copy, Field, Kind, LeadList, Parked, Standing, Waiting
from models.ledger import ChangeKind
from tests.support.heart import NOON, agreed_list, at, copy_of, list_of, observation, rules_of, whole, with_members
from worker.engine.observe import observe
from worker.engine.plan import plan, restand
from worker.engine.rules import Rules
from worker.errors import NotPossible, Transient, UsageError
from worker.ports import RemoteState, Store
from worker.store.memory import MemoryStore, MemoryTx
from worker.sync import operate

UseCase = Callable[[Store, Rules, str], Coroutine[Any, Any, RemoteState]]

RULES = rules_of()
PARKED = Parked("crm said no", "change the list", "")


@pytest.fixture
def store() -> MemoryStore:
    """Empty, at noon."""
    return MemoryStore(lambda: NOON)


def put(store: MemoryStore, *lists: LeadList) -> list[int]:
    """Store these lists as they are."""

    def work(tx: MemoryTx) -> list[int]:
        numbers = tx.create([one.kind for one in lists])
        tx.save([(None, replace(one, id=number)) for number, one in zip(numbers, lists, strict=True)])
        return numbers

    return store.run_now(work)


def of(store: MemoryStore, remote: str, remote_id: str) -> LeadList | None:
    """The list that this copy belongs to."""
    number = store.tables.links.get((remote, remote_id))
    return None if number is None else store.tables.lists[number]


def known(store: MemoryStore, remote: str, remote_id: str) -> LeadList:
    """The same, which must be there."""
    found = of(store, remote, remote_id)
    assert found is not None
    return found


def parked_copy(remote: str, cause: str = "no") -> Copy:
    """One that only a person can move on."""
    copy = copy_of(remote, {Field.NAME: "old"})
    return replace(copy, standing=Standing.PARKED, parked=replace(PARKED, cause=cause), since=NOON, tries=3)


def kinds(store: MemoryStore) -> list[ChangeKind]:
    """What the ledger tells, in order."""
    return [change.kind for _, change in store.tables.changes]


def test_linking_two_unknown_lists_makes_one_that_is_read_first(store: MemoryStore) -> None:
    """Nothing is sent to a copy that was never seen."""
    linked = asyncio.run(operate.link(store, RULES, [("crm", "1"), ("lance", "2")]))
    lead_list = known(store, "crm", "1")

    assert lead_list is known(store, "lance", "2")
    assert all(copy.look and copy.waiting is Waiting.FIRST_READ for copy in lead_list.copies.values())
    assert frozenset({"crm", "lance"}) == linked.due
    assert [ChangeKind.LINKED, ChangeKind.LINKED] == kinds(store)


def test_linking_to_a_known_list_leaves_its_copies_as_they_are(store: MemoryStore) -> None:
    """Only the new copy is to be read."""
    put(store, agreed_list("crm", name="A"))
    asyncio.run(operate.link(store, RULES, [("crm", "crm-1"), ("lance", "9")]))
    copies = known(store, "crm", "crm-1").copies

    assert not copies["crm"].look
    assert copies["lance"].look
    assert Standing.IN_SYNC is copies["crm"].standing


def test_linking_two_known_lists_joins_them(store: MemoryStore) -> None:
    """The name of the higher authority wins; members become a union; the history stays together."""
    crm = with_members(agreed_list("crm", name="A"), "ada", shown_by=["crm"])
    lance = with_members(replace(agreed_list("lance", name="B"), kind=Kind.PERSON), "bob", shown_by=["lance"])
    put(store, crm, lance)
    asyncio.run(operate.link(store, RULES, [("lance", "lance-1"), ("crm", "crm-1")]))
    joined = known(store, "crm", "crm-1")

    assert joined is known(store, "lance", "lance-1")
    assert len(store.tables.lists) == 1
    assert joined.wanted[Field.NAME].value == "B"  # both were set by "crm" in this world, so the kept one stays
    assert {"ada", "bob"} == {name for name, member in joined.members.items() if member.wanted}
    assert Standing.DUE is joined.copies["crm"].standing


def test_a_new_copy_lacks_all_members_until_it_is_read(store: MemoryStore) -> None:
    """Members that all others show are marked as differing, or they would never be pushed there."""
    put(store, with_members(agreed_list("crm", name="A"), "ada", "bob", shown_by=["crm"]))
    asyncio.run(operate.link(store, RULES, [("crm", "crm-1"), ("lance", "2")]))
    lead_list = known(store, "crm", "crm-1")
    read = replace(observation("lance", 5, {Field.NAME: "A"}, members=whole()), remote_id="2")
    seen = observe(lead_list, read, RULES).lead_list
    after = restand(replace(seen, copies={n: replace(c, look=False) for n, c in seen.copies.items()}), RULES, NOON)

    assert all(member.differs for member in lead_list.members.values())
    assert {"ada", "bob"} == plan(after, after.copies["lance"], RULES.remotes["lance"], NOON).patch.add


def test_linking_what_is_tied_already_changes_nothing(store: MemoryStore) -> None:
    """The same command twice is harmless."""
    keys = [("crm", "1"), ("lance", "2")]
    asyncio.run(operate.link(store, RULES, keys))
    before = known(store, "crm", "1")
    again = asyncio.run(operate.link(store, RULES, keys))

    assert not again.changed
    assert before is known(store, "crm", "1")
    assert len(store.tables.changes) == 2


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([("crm", "1")], "two lists or more"),
        ([("crm", "1"), ("crm", "1")], "two lists or more"),
        ([("crm", "1"), ("crm", "2")], "1 and 2 are two lists on crm"),
        (
            [("crm", "1"), ("hubspot", "2")],
            "there is no remote 'hubspot' in the settings; known: crm, instantly, lance",
        ),
    ],
)
def test_a_link_that_cannot_be_meant_is_wrong_usage(
    store: MemoryStore, keys: Sequence[tuple[str, str]], said: str
) -> None:
    """One sentence, and nothing is changed."""
    with pytest.raises(UsageError, match=said):
        asyncio.run(operate.link(store, RULES, keys))
    assert not store.tables.lists


def test_a_link_against_what_is_known_is_refused(store: MemoryStore) -> None:
    """A copy is tied to one list on each remote; the sentence names the command that frees it."""
    other = list_of(copy_of("instantly"), replace(copy_of("lance"), remote_id="other"))
    put(store, agreed_list("crm", "lance", name="A"), other)
    with pytest.raises(NotPossible, match="leadsync unlink lance:lance-1 first"):
        asyncio.run(operate.link(store, RULES, [("crm", "crm-1"), ("lance", "new")]))
    with pytest.raises(NotPossible, match="these cannot be one list"):
        asyncio.run(operate.link(store, RULES, [("crm", "crm-1"), ("instantly", "instantly-1")]))
    assert of(store, "lance", "lance-1") is not None
    assert not store.tables.changes


def test_lists_that_are_joined_at_the_same_moment_are_left_alone(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction took them away between our look and our lock: trying again will find the new state."""
    put(store, agreed_list("crm", name="A"))
    monkeypatch.setattr(MemoryTx, "load", lambda *_: {})
    with pytest.raises(Transient, match="try again"):
        asyncio.run(operate.link(store, RULES, [("crm", "crm-1"), ("lance", "2")]))
    with pytest.raises(NotPossible, match="leadsync knows no list"):
        asyncio.run(operate.unlink(store, RULES, ("crm", "crm-1")))


def test_unlinking_lets_one_copy_go(store: MemoryStore) -> None:
    """The others stay; it becomes a list of its own, about which nothing is known. Both ledgers say so."""
    put(store, agreed_list("crm", "lance", name="A"))
    moved = asyncio.run(operate.unlink(store, RULES, ("lance", "lance-1")))

    assert moved.copies == 1
    own = known(store, "lance", "lance-1")
    assert (set(own.copies), set(own.apart), dict(own.wanted)) == ({"lance"}, {"crm", "instantly"}, {})
    assert {"crm"} == set(known(store, "crm", "crm-1").copies)
    assert [ChangeKind.UNLINKED] * 2 == kinds(store)


def test_a_list_that_is_linked_again_loses_no_member(store: MemoryStore) -> None:
    """What an old copy showed is forgotten with it: another list there, without a member, has removed nobody."""
    put(store, with_members(agreed_list("crm", "lance", name="A"), "ada", shown_by=["crm", "lance"]))
    asyncio.run(operate.unlink(store, RULES, ("lance", "lance-1")))
    asyncio.run(operate.link(store, RULES, [("crm", "crm-1"), ("lance", "lance-1")]))
    read = observation("lance", 60, {Field.NAME: "A"}, members=whole())
    after = observe(known(store, "crm", "crm-1"), read, RULES).lead_list

    assert after.members["ada"].wanted


def test_unlinking_what_nobody_knows_is_refused(store: MemoryStore) -> None:
    """A typing mistake is told, not taken for success."""
    with pytest.raises(NotPossible, match="leadsync knows no list crm:1"):
        asyncio.run(operate.unlink(store, RULES, ("crm", "1")))


def test_a_copy_on_a_remote_that_left_the_settings_can_be_unlinked(store: MemoryStore) -> None:
    """Or its list could never be rid of it."""
    put(store, agreed_list("crm", "old", name="A"))

    assert asyncio.run(operate.unlink(store, RULES, ("old", "old-1"))).copies == 1


def test_retrying_makes_a_parked_copy_due_and_looks_first(store: MemoryStore) -> None:
    """A person may have mended it on the remote, so it is read before anything is sent."""
    put(store, list_of(parked_copy("crm"), copy_of("lance", {Field.NAME: "old"}), wanted={Field.NAME: "new"}))
    moved = asyncio.run(operate.retry_parked(store, RULES, [("crm", "crm-1"), ("lance", "lance-1")]))
    copy = known(store, "crm", "crm-1").copies["crm"]

    assert moved.copies == 1
    assert (Standing.DUE, Waiting.FIRST_READ, NOON) == (copy.standing, copy.waiting, copy.due_at)
    assert (True, None, 0) == (copy.look, copy.parked, copy.tries)
    assert "crm" in moved.due


def test_retrying_leaves_copies_on_unknown_remotes_where_they_are(store: MemoryStore) -> None:
    """Nothing could be sent there; the others are not held up by it."""
    put(store, list_of(parked_copy("old")), list_of(parked_copy("crm")))
    moved = asyncio.run(operate.retry_parked(store, RULES, [("old", "old-1"), ("crm", "crm-1")]))

    assert moved.copies == 1
    assert Standing.PARKED is known(store, "old", "old-1").copies["old"].standing


def test_discarding_unlinks_parked_copies_only(store: MemoryStore) -> None:
    """A copy that moved on meanwhile is left alone."""
    put(store, list_of(parked_copy("lance"), copy_of("crm")), list_of(copy_of("instantly")))
    keys = [("lance", "lance-1"), ("instantly", "instantly-1"), ("crm", "nobody")]
    moved = asyncio.run(operate.discard_parked(store, RULES, keys))

    assert moved.copies == 1
    assert {"lance"} == set(known(store, "lance", "lance-1").copies)
    assert of(store, "instantly", "instantly-1") is not None


def test_many_are_moved_in_several_transactions(store: MemoryStore) -> None:
    """None is forgotten between them."""
    many = [list_of(replace(parked_copy("crm"), remote_id=str(number))) for number in range(450)]
    put(store, *many)
    moved = asyncio.run(operate.retry_parked(store, RULES, [("crm", str(number)) for number in range(450)]))

    assert moved.copies == 450


def test_pausing_twice_and_resuming_twice_is_harmless(store: MemoryStore) -> None:
    """Each answers with how it was before."""
    states = [asyncio.run(use_case(store, RULES, "crm")) for use_case in (operate.pause, operate.pause)]
    paused = store.tables.remotes["crm"]
    states += [asyncio.run(use_case(store, RULES, "crm")) for use_case in (operate.resume, operate.resume)]

    assert [False, True, True, False] == [state.paused for state in states]
    assert (operate.BY_A_PERSON, "leadsync resume crm", NOON) == (paused.cause, paused.next_step, paused.since)
    assert not store.tables.remotes["crm"].paused


def test_lost_access_stays_the_cause_of_a_pause(store: MemoryStore) -> None:
    """A person who pauses as well must not hide that the token has to be renewed."""
    lost = RemoteState(paused=True, cause="crm answered 401", next_step="renew the token", since=at(-5).time)
    store.tables.remotes["crm"] = lost
    asyncio.run(operate.pause(store, RULES, "crm"))

    assert lost is store.tables.remotes["crm"]


@pytest.mark.parametrize("use_case", [operate.pause, operate.resume])
def test_only_configured_remotes_are_paused(store: MemoryStore, use_case: UseCase) -> None:
    """The sentence lists the known ones."""
    with pytest.raises(UsageError, match="there is no remote 'crn' in the settings; known: crm, instantly, lance"):
        asyncio.run(use_case(store, RULES, "crn"))


def test_rejects_are_removed_only_after_they_were_added() -> None:
    """Redis failing in between repeats an event, which is harmless; it never loses one."""
    shelf = _Shelf({1: "one", 2: "two", 5: "five"})
    with pytest.raises(ConnectionError):
        operate.retry_rejects(shelf, _away, [1, 2])
    assert {1, 2, 5} == set(shelf.kept)

    added: list[str] = []
    assert operate.retry_rejects(shelf, added.extend, [5, 1, 4]) == 2
    assert ["one", "five"] == added
    assert {2} == set(shelf.kept)


class _Shelf:
    """The table of rejects as a dictionary."""

    def __init__(self, kept: dict[int, str]) -> None:
        self.kept = kept

    def events(self, ids: Collection[int]) -> dict[int, str]:
        return {number: self.kept[number] for number in ids if number in self.kept}

    def forget(self, ids: Collection[int]) -> None:
        for number in ids:
            del self.kept[number]


def _away(events: Sequence[str]) -> None:
    raise ConnectionError(f"{len(events)} events and no Redis")


def test_a_copy_in_back_off_can_be_unlinked_at_once(store: MemoryStore) -> None:
    """Its lease and its waiting go with it."""
    waiting = replace(
        copy_of("lance"), standing=Standing.DUE, waiting=Waiting.BACKOFF, due_at=NOON + timedelta(hours=1)
    )
    put(store, list_of(waiting, copy_of("crm")))

    assert asyncio.run(operate.unlink(store, RULES, ("lance", "lance-1"))).copies == 1
