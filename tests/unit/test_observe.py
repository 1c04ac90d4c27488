"""The observe table, row by row, with directions, policies, stamps and spelling."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.lead_list import Field, Kind, Seen, Spelling, Stamp, Value, Wanted
from models.ledger import ChangeKind
from models.observation import Evidence
from tests.support.heart import (
    agreed_list,
    at,
    copy_of,
    delta,
    list_of,
    observation,
    remote_rules,
    rules_of,
    whole,
)
from tests.support.observing import NAME, kinds, lower, name_in, see, wanted_name
from worker.engine.observe import News, Observed, Verdict, judge, news
from worker.engine.rules import Direction, NoMapping, Policy

BEFORE = Seen("A", at(0))
WANTED_A = Wanted("A", at(0), "crm")
WANTED_X = Wanted("X", at(0), "crm")


@pytest.mark.parametrize(
    ("verdict", "before", "wanted", "value", "shown"),
    [
        (Verdict.AGREE, None, WANTED_A, "A", "A"),
        (Verdict.AGREE, BEFORE, WANTED_X, "X", "X"),
        (Verdict.AGREE, BEFORE, WANTED_X, "x", "x"),  # as shown there
        (Verdict.FIRST, None, None, "A", None),
        (Verdict.FIRST, None, None, None, None),  # an explicit null is a value too
        (Verdict.FIRST, BEFORE, None, "B", None),
        (Verdict.LINK, None, WANTED_X, "A", "X"),
        (Verdict.PENDING, BEFORE, WANTED_X, "A", "X"),
        (Verdict.EDIT, BEFORE, WANTED_A, "B", "A"),
        (Verdict.CONFLICT, BEFORE, WANTED_X, "B", "X"),
    ],
)
def test_each_row_of_the_table(
    verdict: Verdict, before: Seen | None, wanted: Wanted | None, value: Value, shown: Value
) -> None:
    """Each combination of seen before, wanted and shown is one row."""
    assert verdict is judge(before, wanted, value, shown)


@pytest.mark.parametrize(
    ("verdict", "before", "stamp"),
    [
        (News.FRESH, None, at(0)),
        (News.FRESH, at(0), at(1)),
        (News.SAME, at(0), at(0)),
        (News.LATE, at(1), at(0)),
        (News.FRESH, at(9, 1), at(0, 2)),  # the sequence decides before the time
        (News.LATE, at(0, 2), at(9, 1)),
        (News.LATE, at(9, 5), at(0, 5)),  # equal sequences: the time decides
        (News.FRESH, at(0, 5), at(9)),  # one without a sequence: the time decides
        (News.LATE, at(9), at(0, 5)),
    ],
)
def test_sequence_orders_before_time(verdict: News, before: Stamp | None, stamp: Stamp) -> None:
    """Stamps are ordered by sequence where both have one, else by time."""
    assert verdict is news(Seen("A", before) if before else None, stamp)


def test_agreement_only_notes_the_copy() -> None:
    """The echo of our own write changes the copy and nothing else."""
    before = list_of(copy_of("crm", {NAME: "X"}), copy_of("lance", {NAME: "A"}), wanted={NAME: "X"})
    observed = see(before, observation("lance", 5, {NAME: "X"}))
    assert observed.lead_list.wanted == before.wanted
    assert Seen("X", at(5)) == observed.lead_list.copies["lance"].seen[NAME]
    assert () == observed.changes


def test_first_sight_sets_wanted() -> None:
    """The first value anybody shows becomes wanted, with its origin and stamp."""
    observed = see(list_of(copy_of("lance")), observation("lance", 5, {NAME: "A"}))
    assert Wanted("A", at(5), "lance") == observed.lead_list.wanted[NAME]
    assert "A" == name_in(observed, "lance")
    assert [ChangeKind.WANTED] == kinds(observed)


def test_an_explicit_null_is_a_value() -> None:
    """An owner that is null becomes wanted as null; a field that was not named stays unknown."""
    observed = see(list_of(copy_of("crm")), observation("crm", 5, {Field.OWNER: None}))
    assert {Field.OWNER: Wanted(None, at(5), "crm")} == observed.lead_list.wanted


@pytest.mark.parametrize(
    ("winner", "newcomer", "origin"),
    [("mine", "crm", "lance"), ("agreed", "lance", "crm"), ("agreed", "lance", "lance"), ("mine", "crm", "gone")],
)
def test_link_is_decided_by_authority(winner: str, newcomer: str, origin: str) -> None:
    """When copies differ at first sight, the remote higher in authority sets wanted; between equals nothing moves."""
    before = list_of(copy_of(newcomer), wanted={NAME: "agreed"}, origin=origin)
    observed = see(before, observation(newcomer, 5, {NAME: "mine"}))
    assert winner == wanted_name(observed)
    assert "mine" == name_in(observed, newcomer)


@pytest.mark.parametrize("policy", list(Policy))
def test_link_ignores_the_policy(policy: Policy) -> None:
    """Policies are for edits on two sides; a first sight is none."""
    rules = rules_of({NAME: policy})
    observed = see(list_of(copy_of("lance"), wanted={NAME: "X"}), observation("lance", 9, {NAME: "A"}), rules)
    assert "X" == wanted_name(observed)
    assert {} == observed.lead_list.copies["lance"].held


def test_pending_does_nothing() -> None:
    """A remote that still shows its old value has not been reached by our patch yet."""
    before = list_of(copy_of("lance", {NAME: "A"}), wanted={NAME: "X"})
    observed = see(before, observation("lance", 5, {NAME: "A"}))
    assert "X" == wanted_name(observed)
    assert () == observed.changes


def test_an_edit_there_becomes_wanted() -> None:
    """A person's edit on the lowest remote wins, because nobody else edited."""
    observed = see(agreed_list("crm", "instantly", name="A"), observation("instantly", 5, {NAME: "B"}))
    assert Wanted("B", at(5), "instantly") == observed.lead_list.wanted[NAME]
    assert "A" == name_in(observed, "crm")
    assert [ChangeKind.WANTED] == kinds(observed)


@pytest.mark.parametrize(
    ("policy", "remote", "seconds", "wanted", "ledger"),
    [
        (Policy.AUTHORITY, "lance", 9, "X", [ChangeKind.CONFLICT]),
        (Policy.AUTHORITY, "crm", 9, "B", [ChangeKind.CONFLICT, ChangeKind.WANTED]),
        (Policy.NEWEST, "lance", 9, "B", [ChangeKind.CONFLICT, ChangeKind.WANTED]),
        (Policy.NEWEST, "lance", 3, "X", [ChangeKind.CONFLICT]),
        (Policy.NEWEST, "lance", 5, "X", [ChangeKind.CONFLICT]),  # a tie: authority
        (Policy.HOLD, "lance", 9, "X", [ChangeKind.HELD]),
        (Policy.HOLD, "crm", 9, "X", [ChangeKind.HELD]),
    ],
)
def test_conflict_is_decided_by_policy(
    policy: Policy, remote: str, seconds: float, wanted: str, ledger: list[ChangeKind]
) -> None:
    """An edit on two sides is decided by the field's policy, and the ledger keeps both values."""
    origin = "lance" if remote == "crm" else "crm"
    before = list_of(copy_of(remote, {NAME: "A"}), wanted={NAME: "X"}, origin=origin, seconds=5)
    observed = see(before, observation(remote, seconds, {NAME: "B"}), rules_of({NAME: policy}))
    assert wanted == wanted_name(observed)
    assert ledger == kinds(observed)
    assert ("X", "B") == (observed.changes[0].old, observed.changes[0].new)
    assert (policy is Policy.HOLD) == bool(observed.lead_list.copies[remote].held)


def test_a_held_conflict_ends_when_the_person_there_gives_in() -> None:
    """Showing what is wanted releases the hold."""
    before = list_of(copy_of("lance", {NAME: "A"}), wanted={NAME: "X"})
    rules = rules_of({NAME: Policy.HOLD})
    held = see(before, observation("lance", 5, {NAME: "B"}), rules)
    assert Seen("B", at(5)) == held.lead_list.copies["lance"].held[NAME]
    released = see(held.lead_list, observation("lance", 6, {NAME: "X"}), rules)
    assert {} == released.lead_list.copies["lance"].held


@pytest.mark.parametrize(
    ("direction", "noted", "taken"),
    [
        (Direction.BOTH, True, True),
        (Direction.PULL, True, True),
        (Direction.PUSH, True, False),
        (Direction.OFF, False, False),
        (Direction.NONE, False, False),
    ],
)
def test_directions(direction: Direction, noted: bool, taken: bool) -> None:  # noqa: FBT001 - a table
    """An edit counts only where the direction takes it, and is noted only where the field is compared at all."""
    rules = rules_of(lance=remote_rules(1, directions={NAME: direction}))
    before = agreed_list("crm", "lance", name="A")
    observed = see(before, observation("lance", 5, {NAME: "B"}), rules)
    assert ("B" if noted else "A") == name_in(observed, "lance")
    assert ("B" if taken else "A") == wanted_name(observed)


@pytest.mark.parametrize("evidence", list(Evidence))
def test_late_news_is_ignored(evidence: Evidence) -> None:
    """Whatever tells it: an older stamp changes nothing at all."""
    before = agreed_list("crm", "lance", name="A")
    late = observation("lance", -1, {NAME: "old"}, evidence=evidence)
    assert Observed(before) == see(before, late)


def test_a_duplicate_event_changes_nothing() -> None:
    """The same event twice is the same as once."""
    once = see(agreed_list("crm", "lance", name="A"), observation("lance", 5, {NAME: "B"}))
    assert Observed(once.lead_list) == see(once.lead_list, observation("lance", 5, {NAME: "B"}))


def test_an_equal_stamp_with_other_contents_is_a_hint() -> None:
    """One of two events with one stamp must be wrong: the list is read instead of believed."""
    observed = see(agreed_list("crm", "lance", name="A"), observation("lance", 0, {NAME: "B"}))
    assert observed.lead_list.copies["lance"].look
    assert ("A", "A") == (name_in(observed, "lance"), wanted_name(observed))


def test_the_same_whole_set_again_is_no_hint_after_newer_news_of_an_element() -> None:
    """A duplicate stays a duplicate when an addition came in between; another set with its stamp is a hint."""
    first = observation("lance", 5, members=whole("p1"))
    lead_list = see(agreed_list("crm", "lance", name="A"), first).lead_list
    newer = see(lead_list, observation("lance", 6, members=delta(["p2"]))).lead_list
    assert Observed(newer) == see(newer, first)
    assert see(newer, observation("lance", 5, members=whole("p3"))).lead_list.copies["lance"].look


@pytest.mark.parametrize("evidence", [Evidence.READ, Evidence.ANSWER])
def test_a_read_with_an_equal_stamp_is_believed(evidence: Evidence) -> None:
    """What a read or an answer shows is what is there now, whatever its version says."""
    observed = see(agreed_list("crm", "lance", name="A"), observation("lance", 0, {NAME: "B"}, evidence=evidence))
    assert ("B", "B") == (name_in(observed, "lance"), wanted_name(observed))


def test_kind_is_learned_once() -> None:
    """The first kind that is shown is the list's kind."""
    seen = replace(observation("crm", 1), kind=Kind.PERSON)
    learned = see(list_of(copy_of("crm")), seen).lead_list
    assert Kind.PERSON is learned.kind
    assert Kind.PERSON is see(learned, replace(observation("crm", 2), kind=Kind.COMPANY)).lead_list.kind


def _no_owner(field: Field, value: Value) -> Value:
    if field is Field.OWNER and value == "nobody-there":
        raise NoMapping
    return value


def test_without_a_mapping_nothing_shown_there_agrees() -> None:
    """A wanted owner that a remote cannot show is compared as it is: an edit there after a link is a conflict."""
    rules = rules_of(lance=remote_rules(1, spell=_no_owner))
    before = list_of(copy_of("lance", {Field.OWNER: "u1"}), wanted={Field.OWNER: "nobody-there"})
    observed = see(before, observation("lance", 5, {Field.OWNER: "u2"}), rules)
    assert "nobody-there" == observed.lead_list.wanted[Field.OWNER].value
    assert [ChangeKind.CONFLICT] == kinds(observed)


def test_the_connectors_spelling_is_agreement() -> None:
    """A remote that lower-cases shows what is wanted when it shows it in lower case."""
    rules = rules_of(lance=remote_rules(1, spell=lower))
    before = list_of(copy_of("lance", {NAME: "a"}), wanted={NAME: "Xy"})
    observed = see(before, observation("lance", 5, {NAME: "xy"}), rules)
    assert ("xy", "Xy") == (name_in(observed, "lance"), wanted_name(observed))
    assert () == observed.changes


@pytest.mark.parametrize(("sure", "wanted"), [(True, "Xy"), (False, "Xy")])
def test_learned_spelling_is_agreement_once_it_is_sure(sure: bool, wanted: str) -> None:  # noqa: FBT001 - a table
    """A learned spelling counts when it is beyond doubt; before, it is weighed like any other value."""
    copy = replace(copy_of("lance", {NAME: "A"}), spelling={NAME: Spelling("Xy", "xy!", sure=sure)})
    observed = see(list_of(copy, wanted={NAME: "Xy"}), observation("lance", 5, {NAME: "xy!"}))
    assert wanted == wanted_name(observed)
    assert ([] if sure else [ChangeKind.CONFLICT]) == kinds(observed)


def test_an_edit_after_a_learned_spelling_is_an_edit() -> None:
    """Seen before as the wanted value is spelled there, and now another value: a person edited it."""
    copy = replace(copy_of("lance", {NAME: "xy!"}), spelling={NAME: Spelling("Xy", "xy!")})
    observed = see(list_of(copy, wanted={NAME: "Xy"}), observation("lance", 5, {NAME: "B"}))
    assert "B" == wanted_name(observed)


def test_fields_that_were_not_shown_stay() -> None:
    """A partial observation speaks of nothing else."""
    before = agreed_list("crm", "lance", name="A", owner="u1", enrichment=None)
    after = see(before, observation("lance", 5, {NAME: "B"})).lead_list
    assert before.copies["lance"].seen[Field.OWNER] == after.copies["lance"].seen[Field.OWNER]
    assert before.wanted[Field.OWNER] == after.wanted[Field.OWNER]
