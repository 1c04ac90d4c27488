"""Settle: error to outcome, outcome to state. The rows that need no wire; `test_push.py` drives the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from models.lead_list import Abandoned, Copy, Field, Intent, LeadList, Seen, Spelling, Standing, Value, Waiting
from models.ledger import ChangeKind
from models.observation import Evidence, Observation
from models.outcome import Done, Later, NotFound, Outcome, Park, PauseRemote
from models.patch import Patch
from tests.support.heart import NOON, at, copy_of, later, list_of, observation, rules_of, whole
from worker.errors import (
    AccessLost,
    BadAnswer,
    NotThere,
    RateLimited,
    RedisAway,
    Refused,
    RemoteDown,
    Transient,
    Unclear,
)
from worker.limits.base import Lane
from worker.ports import RemoteState
from worker.store.memory import MemoryStore, MemoryTx
from worker.sync.outcomes import Claim, Flown, outcome_of
from worker.sync.settle import abandon, land

NAME = Field.NAME
RULES = rules_of()
SPREAD = 0.5
B = Patch({NAME: "B"})


def claim_of(patch: Patch | None = B, *, tries: int = 0, copy: Copy | None = None) -> Claim:
    """A claim of lance's list 1, taken at noon."""
    copy = copy or replace(copy_of("lance", {NAME: "A"}), tries=tries, due_at=NOON, standing=Standing.DUE, since=NOON)
    return Claim(list_id=1, kind=None, copy=copy, fence=1, patch=patch, at=NOON)


WRITE, READ = claim_of(), claim_of(None)


@pytest.mark.parametrize(
    ("outcome", "error", "claim"),
    [
        (Later(after_s=0, waiting=Waiting.BUDGET, note="x", counts=False), RateLimited("x", retry_after_s=9), WRITE),
        (Later(after_s=0, waiting=Waiting.BUDGET, note="x", counts=False), RateLimited("x"), READ),
        (Later(after_s=0, waiting=Waiting.BUDGET, note="x", counts=False), RedisAway("x"), WRITE),
        (Later(after_s=0.5, waiting=Waiting.BACKOFF, note="x"), RemoteDown("x"), WRITE),
        (Later(after_s=30, waiting=Waiting.BACKOFF, note="x"), RemoteDown("x", retry_after_s=30), READ),
        (Later(after_s=4, waiting=Waiting.BACKOFF, note="x"), RemoteDown("x"), claim_of(tries=3)),
        (Later(after_s=150, waiting=Waiting.BACKOFF, note="x"), RemoteDown("x"), claim_of(tries=5000)),
        (Later(after_s=0.5, waiting=Waiting.BACKOFF, note="x"), Transient("x"), READ),
        (Later(after_s=0.5, waiting=Waiting.READ_BACK, note="x", unclear=True), Unclear("x"), WRITE),
        (
            Later(
                after_s=0.5,
                waiting=Waiting.READ_BACK,
                note="the answer to our write is unreadable: x",
                unclear=True,
            ),
            BadAnswer("x"),
            WRITE,
        ),
        (Later(after_s=0.5, waiting=Waiting.BACKOFF, note="x"), BadAnswer("x"), READ),
        (
            Park(
                cause="the remote's answer is unreadable: x",
                next_step="check base_url and the remote, then: leadsync parked retry lance:lance-1",
            ),
            BadAnswer("x"),
            claim_of(None, tries=4),
        ),
        (
            PauseRemote(cause="x", next_step="renew its token, start the workers anew, then: leadsync resume lance"),
            AccessLost("x"),
            READ,
        ),
        (NotFound(), NotThere("x"), READ),
        (
            Park(cause="x", next_step="change the list, or: leadsync parked retry lance:lance-1"),
            Refused("x"),
            WRITE,
        ),
        (
            Later(after_s=16, waiting=Waiting.BACKOFF, note="a bug in leadsync (KeyError); see the log", unclear=True),
            KeyError("secret"),
            WRITE,
        ),
        (
            Later(after_s=16, waiting=Waiting.BACKOFF, note="a bug in leadsync (KeyError); see the log"),
            KeyError("secret"),
            READ,
        ),
    ],
    ids=range(17),
)
def test_each_error_has_one_outcome(outcome: Outcome, error: Exception, claim: Claim) -> None:
    """The table on top of settle.py, row by row."""
    assert outcome == outcome_of(error, claim, spread=SPREAD)


@pytest.mark.parametrize(("lane", "tries"), [(Lane.LIVE, 0), (Lane.RETRY, 1)])
def test_second_tries_take_the_retry_lane(lane: Lane, tries: int) -> None:
    """They must not crowd out first tries."""
    assert lane is claim_of(tries=tries).lane


def test_a_write_in_flight_is_abandoned_with_its_time() -> None:
    """What it would set there, member by member, until it can no longer arrive; and the copy is to be read."""
    patch = Patch({NAME: "B"}, frozenset({"p1"}), frozenset({"p2"}))
    copy = abandon(replace(copy_of("lance"), intent=Intent(patch, NOON)), 120)
    until = later(120)
    assert (None, True) == (copy.intent, copy.look)
    assert {
        NAME: Abandoned("B", until),
        Field.MEMBERS: Abandoned(None, until, frozenset({"p1"}), frozenset({"p2"})),
    } == copy.abandoned


def test_a_read_in_flight_leaves_only_that_it_is_to_be_read() -> None:
    """Nothing can arrive late from it."""
    copy = abandon(replace(copy_of("lance"), intent=Intent(Patch(), NOON)), 120)
    assert (None, True, {}) == (copy.intent, copy.look, copy.abandoned)
    assert copy == abandon(copy, 120)


# Landing, on a store of one list


class Scene:
    """Lance's list 1 shows A, B is wanted, and one call is in flight under fence 1."""

    def __init__(
        self, patch: Patch | None = B, *, seen: Mapping[Field, Value] | None = None, **changes: object
    ) -> None:
        self.now = NOON
        self.store = MemoryStore(lambda: self.now)
        waiting = {"standing": Standing.DUE, "due_at": NOON, "since": NOON}
        before = replace(copy_of("lance", seen or {NAME: "A"}), **waiting, **changes)  # type: ignore[arg-type]  # any field
        self.claim = claim_of(patch, copy=replace(before, look=patch is None))
        flying = replace(before, fence=1, lease_until=later(50), intent=Intent(patch or Patch(), NOON), look=False)
        self._save(list_of(flying, wanted={NAME: "B"}))

    def _save(self, lead_list: LeadList) -> None:
        def work(tx: MemoryTx) -> None:
            tx.create([None])
            tx.save([(None, lead_list)])

        self.store.run_now(work)

    def land(self, outcome: Outcome, *, fence: int = 1, status: int | None = 200) -> Copy:
        flown = Flown(claim=replace(self.claim, fence=fence), outcome=outcome, status=status, duration_s=0.25)
        self.store.run_now(lambda tx: land(tx, [flown], RULES, late_write_s=120))
        return self.copy

    @property
    def lead_list(self) -> LeadList:
        return self.store.tables.lists[1]

    @property
    def copy(self) -> Copy:
        return self.lead_list.copies["lance"]

    @property
    def words(self) -> list[str]:
        return [attempt.outcome for attempt in self.store.tables.attempts]


def answer(value: Value, seconds: float = 1, *, evidence: Evidence = Evidence.ANSWER) -> Done:
    """A good answer that shows this name."""
    return Done(observation("lance", seconds, {NAME: value}, evidence=evidence))


def free(copy: Copy) -> bool:
    """Nobody holds it, and no call is in flight."""
    return (copy.lease_until, copy.intent) == (None, None)


def test_done() -> None:
    """The answer is observed: in sync, free, nothing waiting, the attempt written down with its lag."""
    scene = Scene(tries=3)
    scene.now = later(2)
    copy = scene.land(answer("B"))
    assert (Standing.IN_SYNC, None, 0, Seen("B", at(1))) == (copy.standing, copy.due_at, copy.tries, copy.seen[NAME])
    assert free(copy)
    (attempt,) = scene.store.tables.attempts
    assert ("patch", {"name": "B"}, 200, "done", 250.0, 2000.0) == (
        attempt.action,
        attempt.sent,
        attempt.status,
        attempt.outcome,
        attempt.duration_ms,
        attempt.lag_ms,
    )


def test_a_fence_that_does_not_match_changes_nothing() -> None:
    """Another worker has taken the copy since: the answer is noted as stale, and that is all."""
    scene = Scene()
    before = scene.lead_list
    scene.land(answer("B"), fence=7)
    assert (before, ["stale"]) == (scene.lead_list, scene.words)


def test_a_list_that_is_gone_is_no_error() -> None:
    """Unlinked or joined while the call was under way."""
    scene = Scene()
    scene.store.run_now(lambda tx: tx.drop(1, 2))
    scene.store.run_now(lambda tx: land(tx, [_flown(scene.claim)], RULES, late_write_s=120))
    assert ["stale"] == scene.words


def _flown(claim: Claim, outcome: Outcome | None = None) -> Flown:
    return Flown(claim=claim, outcome=outcome or answer("B"), status=200, duration_s=0.1)


@pytest.mark.parametrize("counts", [True, False])
def test_later(counts: bool) -> None:  # noqa: FBT001 - a table
    """Due again after the wait, with the reason; a try counts only where the copy is to blame."""
    scene = Scene(tries=2)
    copy = scene.land(Later(after_s=7, waiting=Waiting.BACKOFF, note="x", counts=counts))
    assert (Standing.DUE, Waiting.BACKOFF, later(7), 2 + counts) == (
        copy.standing,
        copy.waiting,
        copy.due_at,
        copy.tries,
    )
    assert (True, False, {}, ["later"]) == (free(copy), copy.look, copy.abandoned, scene.words)


def test_later_for_a_read_is_still_a_read() -> None:
    """A read that failed is to be made again, not replaced by a blind write."""
    for outcome in (
        Later(after_s=7, waiting=Waiting.BACKOFF, note="x"),
        PauseRemote(cause="x", next_step="y"),
        Park(cause="x", next_step="y"),
    ):
        assert Scene(None).land(outcome).look


def test_unclear() -> None:
    """Looked at first, and the value that may land late is kept."""
    scene = Scene()
    copy = scene.land(Later(after_s=1, waiting=Waiting.READ_BACK, note="x", unclear=True), status=None)
    assert (True, Waiting.READ_BACK, {NAME: Abandoned("B", later(120))}) == (copy.look, copy.waiting, copy.abandoned)
    assert (True, ["unclear"]) == (free(copy), scene.words)


def test_park() -> None:
    """Out of the queue, with cause, next step and the digest of what failed."""
    scene = Scene()
    copy = scene.land(Park(cause="too long", next_step="shorten it"), status=422)
    assert (Standing.PARKED, None, NOON) == (copy.standing, copy.due_at, copy.since)
    assert copy.parked is not None
    assert ("too long", "shorten it", B.digest()) == (copy.parked.cause, copy.parked.next_step, copy.parked.digest)
    assert (True, ["parked"]) == (free(copy), scene.words)


def test_pause_alerts_once() -> None:
    """The second 401 of a batch does not pause again or overwrite what the first one said."""
    scene = Scene()
    scene.land(PauseRemote(cause="first", next_step="renew"), status=401)
    expected = RemoteState(paused=True, cause="first", next_step="renew", since=NOON)
    assert expected == scene.store.tables.remotes["lance"]
    scene.now += timedelta(seconds=5)
    scene.land(PauseRemote(cause="second", next_step="renew"), status=401)
    assert expected == scene.store.tables.remotes["lance"]
    assert (Standing.DUE, ["paused", "paused"]) == (scene.copy.standing, scene.words)


def test_ignored_is_parked() -> None:
    """Answered well, kept the old value."""
    copy = Scene().land(answer("A"))
    assert Standing.PARKED is copy.standing
    assert copy.parked is not None
    assert (
        'set remotes.lance.fields = { name = "pull" } if it cannot be written there, '
        "or: leadsync parked retry lance:lance-1"
    ) == copy.parked.next_step


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        ({NAME: Spelling("B c", "B  c")}, "B  c"),
        ({NAME: Spelling("B c", "b C")}, "b C"),
        ({NAME: Spelling("B c", "B")}, "B"),
        ({NAME: Spelling("B c", "other", sure=False)}, "other"),
        ({NAME: Spelling("B c", "", sure=False)}, ""),
        ({}, "B c"),
    ],
)
def test_spelling_is_learned_from_the_answer(expected: dict[Field, Spelling], shown: str) -> None:
    """Re-spaced, re-cased and cut are beyond doubt; anything else must be seen twice."""
    assert expected == Scene(Patch({NAME: "B c"})).land(answer(shown)).spelling


def test_a_stale_answer_is_read_again() -> None:
    """Older than what we know and different: nothing is undone, and the list is read."""
    scene = Scene(None, seen={NAME: "A"})
    copy = scene.land(answer("old", -5, evidence=Evidence.READ))
    assert (Seen("A", at(0)), True, 1, Waiting.READ_BACK) == (copy.seen[NAME], copy.look, copy.tries, copy.waiting)
    assert ["stale"] == scene.words


def test_a_remote_that_stays_stale_is_read_ever_more_slowly() -> None:
    """A healthy list is never parked for the clock of whoever told of it."""
    copy = Scene(None, tries=40).land(answer("old", -5, evidence=Evidence.READ))
    assert (Standing.DUE, Waiting.READ_BACK, NOON + timedelta(seconds=300)) == (
        copy.standing,
        copy.waiting,
        copy.due_at,
    )


def test_an_older_answer_with_the_same_values_is_fine() -> None:
    """Only a contradiction is stale."""
    scene = Scene(None)
    scene.land(answer("A", -5, evidence=Evidence.READ))
    assert ["done"] == scene.words


def test_a_read_proves_members() -> None:
    """An abandoned addition that a whole set shows is done."""
    until = later(120)
    for names, settled in ((("p1",), True), ((), False)):
        scene = Scene(None, abandoned={Field.MEMBERS: Abandoned(None, until, frozenset({"p1"}))})
        shown = observation("lance", 1, {NAME: "A"}, members=whole(*names), evidence=Evidence.READ)
        assert settled == (Field.MEMBERS not in scene.land(Done(shown)).abandoned)


def test_a_last_look_ends_what_could_no_longer_arrive() -> None:
    """Only a look that was begun after the time settles it."""
    for until, kept in ((later(0), False), (later(1), True)):
        scene = Scene(None, abandoned={NAME: Abandoned("C", until)})
        scene.land(answer("A", 2, evidence=Evidence.READ))
        assert kept == (NAME in scene.copy.abandoned)


def test_late_writes_are_written_down() -> None:
    """The ledger tells that it was us."""
    scene = Scene(None, abandoned={NAME: Abandoned("C", later(120))})
    scene.land(answer("C", 2, evidence=Evidence.READ))
    assert [ChangeKind.LATE_WRITE] == [change.kind for _, change in scene.store.tables.changes]


def test_many_land_in_one_transaction() -> None:
    """Each list gets its own outcome."""
    store = MemoryStore(lambda: NOON)
    waiting = replace(copy_of("lance", {NAME: "A"}), standing=Standing.DUE, due_at=NOON)
    flying = replace(waiting, fence=1, lease_until=later(50), intent=Intent(B, NOON))

    def make(tx: MemoryTx) -> None:
        for number in tx.create([None, None]):
            copy = replace(flying, remote_id=f"lance-{number}")
            tx.save([(None, replace(list_of(copy, wanted={NAME: "B"}), id=number))])

    store.run_now(make)
    claims = [
        replace(claim_of(), list_id=number, copy=replace(flying, remote_id=f"lance-{number}")) for number in (1, 2)
    ]
    flown = [_flown(claims[0]), _flown(claims[1], Later(after_s=9, waiting=Waiting.BACKOFF, note="x"))]
    store.run_now(lambda tx: land(tx, flown, RULES, late_write_s=120))
    assert [(Standing.IN_SYNC, None), (Standing.DUE, later(9))] == _standings(store)


def _standings(store: MemoryStore) -> list[tuple[Standing, datetime | None]]:
    copies = [store.tables.lists[number].copies["lance"] for number in (1, 2)]
    return [(copy.standing, copy.due_at) for copy in copies]


def test_an_observation_of_nothing_new_is_no_change() -> None:
    """Landing what was agreed writes nothing into the ledger."""
    scene = Scene()
    shown: Observation | None = answer("B").shown
    assert shown is not None
    scene.land(Done(shown))
    assert [] == scene.store.tables.changes
