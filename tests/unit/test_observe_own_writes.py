"""Our own writes, seen again: late, cut, in another spelling, by an echo that overtakes the answer. None is an edit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.lead_list import Abandoned, Copy, Field, Intent, Spelling, Value
from models.ledger import ChangeKind
from models.observation import Evidence
from models.patch import Patch
from tests.support.heart import NOON, copy_of, later, list_of, observation, remote_rules, rules_of, whole
from tests.support.observing import NAME, kinds, lower, name_in, see, wanted_name
from worker.engine.rules import Policy


def _unsure(value: Value, *, until: float = 120, seen: Value = "A") -> Copy:
    return replace(copy_of("lance", {NAME: seen}), abandoned={NAME: Abandoned(value, later(until))})


def test_our_own_late_write_is_not_an_edit() -> None:
    """Inside the time a read equal to an abandoned write is our own, even where edits there would win."""
    rules = rules_of({NAME: Policy.NEWEST})
    before = list_of(_unsure("B"), wanted={NAME: "C"})
    observed = see(before, observation("lance", 60, {NAME: "B"}), rules)
    assert ("B", "C") == (name_in(observed, "lance"), wanted_name(observed))
    assert [ChangeKind.LATE_WRITE] == kinds(observed)
    assert {} == observed.lead_list.copies["lance"].abandoned


def test_our_own_late_write_is_known_by_its_spelling_there() -> None:
    """The remote shows our abandoned value its own way: still not a person's edit."""
    rules = rules_of({NAME: Policy.NEWEST}, lance=remote_rules(1, spell=lower))
    before = list_of(_unsure("Bee", seen="a"), wanted={NAME: "C"})
    observed = see(before, observation("lance", 60, {NAME: "bee"}), rules)
    assert "C" == wanted_name(observed)
    assert [ChangeKind.LATE_WRITE] == kinds(observed)


@pytest.mark.parametrize("in_flight", [True, False])
def test_our_own_write_is_known_before_its_spelling_is(in_flight: bool) -> None:  # noqa: FBT001 - a table
    """News of our write comes before its answer, in the remote's spelling: not an edit, even where edits would win."""
    copy = copy_of("lance", {NAME: "A"})
    ours = replace(copy, intent=Intent(Patch({NAME: " Bee "}), NOON)) if in_flight else _unsure(" Bee ")
    for wanted in (" Bee ", "C"):
        before = list_of(ours, wanted={NAME: wanted})
        observed = see(before, observation("lance", 60, {NAME: "bee"}), rules_of({NAME: Policy.NEWEST}))
        assert ("bee", wanted) == (name_in(observed, "lance"), wanted_name(observed))


def test_an_event_after_the_time_is_a_persons_edit() -> None:
    """Made when the abandoned write could no longer arrive, whatever clock says so: an edit like any other."""
    observed = see(list_of(_unsure("B"), wanted={NAME: "A"}), observation("lance", 421, {NAME: "B"}))
    assert "B" == wanted_name(observed)


def test_a_remote_whose_clock_is_ahead_tells_of_our_late_write() -> None:
    """Its stamp lies after the time, and it is our own write all the same: no member, no value comes back by it."""
    observed = see(list_of(_unsure("B"), wanted={NAME: "A"}), observation("lance", 170, {NAME: "B"}))
    assert ("B", "A") == (name_in(observed, "lance"), wanted_name(observed))
    copy = replace(
        copy_of("lance", {Field.MEMBERS: None}),
        abandoned={Field.MEMBERS: Abandoned(None, later(120), frozenset({"m8"}))},
    )
    seen = observation("lance", 170, members=whole("m8"))
    assert not see(list_of(copy), seen).lead_list.members["m8"].wanted


@pytest.mark.parametrize("evidence", [Evidence.EVENT, Evidence.READ])
def test_a_write_that_came_back_cut_is_ours(evidence: Evidence) -> None:
    """Nobody answered it, and what is shown is its beginning: the rest of the name is not lost, it is written again."""
    seen = observation("lance", 60, {NAME: "Beta t"}, evidence=evidence)
    observed = see(list_of(_unsure("Beta two"), wanted={NAME: "Beta two"}), seen)
    copy = observed.lead_list.copies["lance"]
    assert ("Beta t", "Beta two") == (name_in(observed, "lance"), wanted_name(observed))
    assert Spelling("Beta two", "Beta t", sure=False) == copy.spelling[NAME]
    assert [ChangeKind.LATE_WRITE] == kinds(observed)


def test_news_that_overtook_the_answer_may_show_our_write_cut() -> None:
    """The write is in flight: its answer will tell whether this is how it is spelled there."""
    copy = replace(copy_of("lance", {NAME: "A"}), intent=Intent(Patch({NAME: "Beta two"}), NOON))
    observed = see(list_of(copy, wanted={NAME: "Beta two"}), observation("lance", 5, {NAME: "Beta t"}))
    assert "Beta two" == wanted_name(observed)
    assert not observed.lead_list.copies["lance"].spelling[NAME].sure


def test_a_read_that_was_begun_to_settle_a_write_still_knows_it() -> None:
    """The last look comes just after the time is over: what it finds there may still be our late write."""
    seen = observation("lance", 120.5, {NAME: "B"}, evidence=Evidence.READ)
    observed = see(list_of(_unsure("B"), wanted={NAME: "A"}), seen)
    assert ("B", "A") == (name_in(observed, "lance"), wanted_name(observed))


def test_another_value_inside_the_time_is_an_edit() -> None:
    """Only the abandoned value itself is ours."""
    observed = see(list_of(_unsure("B"), wanted={NAME: "A"}), observation("lance", 60, {NAME: "other"}))
    assert "other" == wanted_name(observed)


def test_a_read_back_proves_an_unsure_write() -> None:
    """The value appeared and nothing else can have brought it: the old write is done."""
    observed = see(
        list_of(_unsure("B"), wanted={NAME: "B"}), observation("lance", 9, {NAME: "B"}, evidence=Evidence.READ)
    )
    assert {} == observed.lead_list.copies["lance"].abandoned


def test_the_answer_to_a_second_try_does_not_prove_the_first() -> None:
    """After sending the same value again, seeing it says nothing about the first write: that may still land."""
    before = list_of(_unsure("B"), wanted={NAME: "B"})
    answered = see(before, observation("lance", 9, {NAME: "B"}, evidence=Evidence.ANSWER))
    assert [NAME] == list(answered.lead_list.copies["lance"].abandoned)
    echoed = see(answered.lead_list, observation("lance", 10, {NAME: "B"}))
    assert [NAME] == list(echoed.lead_list.copies["lance"].abandoned)


def test_the_echo_of_a_second_try_in_flight_does_not_prove_the_first() -> None:
    """The same, when the webhook overtakes the answer."""
    copy = replace(_unsure("B"), intent=Intent(Patch({NAME: "B"}), NOON))
    echoed = see(list_of(copy, wanted={NAME: "B"}), observation("lance", 9, {NAME: "B"}))
    assert [NAME] == list(echoed.lead_list.copies["lance"].abandoned)


@pytest.mark.parametrize("evidence", [Evidence.EVENT, Evidence.ANSWER])
@pytest.mark.parametrize("policy", [Policy.AUTHORITY, Policy.NEWEST])
def test_our_write_in_flight_does_not_undo_what_is_wanted_since(evidence: Evidence, policy: Policy) -> None:
    """B is on its way to the CRM, and C comes from below: its answer and its echo are neither edit nor conflict."""
    copy = replace(copy_of("crm", {NAME: "A"}), intent=Intent(Patch({NAME: "B"}), NOON))
    before = list_of(copy, wanted={NAME: "C"}, origin="instantly")
    observed = see(before, observation("crm", 9, {NAME: "B"}, evidence=evidence), rules_of({NAME: policy}))
    assert ("B", "C", ()) == (name_in(observed, "crm"), wanted_name(observed), observed.changes)
