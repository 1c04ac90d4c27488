"""The plan of one copy: every reason, every standing, and what waits for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from models.lead_list import (
    Abandoned,
    Copy,
    Field,
    Intent,
    LeadList,
    Member,
    Parked,
    Presence,
    Seen,
    Spelling,
    Standing,
    Value,
    Waiting,
    with_copy,
)
from models.patch import Patch, Reason
from tests.support.heart import (
    NOON,
    agreed_list,
    at,
    copy_of,
    later,
    list_of,
    remote_rules,
    rules_of,
    with_members,
)
from worker.engine.plan import plan, restand
from worker.engine.rules import Direction, NoMapping

NAME = Field.NAME
RULES = rules_of()


def differing(**changes: object) -> LeadList:
    """Lance shows A, X is wanted."""
    copy = replace(copy_of("lance", {NAME: "A"}), **changes)  # type: ignore[arg-type]  # any field
    return list_of(copy, wanted={NAME: "X"})


def restood(lead_list: LeadList, seconds: float = 0) -> Copy:
    """The copy after its standing was computed afresh."""
    return restand(lead_list, RULES, later(seconds)).copies["lance"]


def _refuse(_field: Field, _value: Value) -> Value:
    raise NoMapping


def _lower(_field: Field, value: Value) -> Value:
    return value.lower() if isinstance(value, str) else value


UNSURE_B = {NAME: Abandoned("B", later(120))}


@pytest.mark.parametrize(
    ("reason", "lead_list", "rules"),
    [
        (Reason.DIFFERS, differing(), remote_rules()),
        (Reason.EQUAL, agreed_list("lance", name="A"), remote_rules()),
        (
            Reason.EQUAL_AS_SHOWN,
            list_of(copy_of("lance", {NAME: "x"}), wanted={NAME: "X"}),
            remote_rules(spell=_lower),
        ),
        (Reason.EQUAL_AS_SHOWN, differing(spelling={NAME: Spelling("X", "A")}), remote_rules()),
        (Reason.DIFFERS, differing(spelling={NAME: Spelling("X", "A", sure=False)}), remote_rules()),
        (Reason.DIRECTION, differing(), remote_rules(directions={NAME: Direction.PULL})),
        (Reason.DIRECTION, differing(), remote_rules(directions={NAME: Direction.OFF})),
        (Reason.NO_FIELD, differing(), remote_rules(directions={NAME: Direction.NONE})),
        (Reason.NO_FIELD, differing(hidden=frozenset({NAME})), remote_rules()),
        (Reason.DIFFERS, differing(), remote_rules(directions={NAME: Direction.PUSH})),
        (Reason.NO_MAPPING, differing(), remote_rules(spell=_refuse)),
        (Reason.CONFLICT, differing(held={NAME: Seen("A", at(0))}), remote_rules()),
        (Reason.READ_BACK, differing(abandoned=UNSURE_B), remote_rules()),
        (Reason.DIFFERS, differing(abandoned={NAME: Abandoned("X", later(120))}), remote_rules()),
        (Reason.DIFFERS, differing(abandoned={NAME: Abandoned("B", NOON)}), remote_rules()),
        (Reason.READ_BACK, replace(agreed_list("lance", name="A"), copies=differing(abandoned=UNSURE_B).copies),
         remote_rules()),
        (Reason.UNSEEN, differing(look=True), remote_rules()),
        (Reason.UNSEEN, differing(seen={}), remote_rules()),
        (Reason.NOTHING_WANTED, list_of(copy_of("lance", {NAME: "A"})), remote_rules()),
    ],
)  # fmt: skip
def test_each_reason(reason: Reason, lead_list: LeadList, rules: object) -> None:
    """Every field says why it is, or is not, part of the patch."""
    planned = plan(lead_list, lead_list.copies["lance"], rules, NOON)  # type: ignore[arg-type]  # any field
    assert reason is planned.reasons[NAME]
    assert (reason is Reason.DIFFERS) == (NAME in planned.patch.fields)


def test_every_field_has_a_reason() -> None:
    """No field is passed over in silence."""
    lead_list = agreed_list("lance", name="A")
    assert set(Field) == set(plan(lead_list, lead_list.copies["lance"], remote_rules(), NOON).reasons)


def test_the_patch_holds_wanted_not_its_spelling() -> None:
    """The remote is sent the canonical value; how it spells it is its own affair."""
    lead_list = differing()
    rules = remote_rules(spell=_lower)
    assert {NAME: "X"} == plan(lead_list, lead_list.copies["lance"], rules, NOON).patch.fields


def test_null_is_sent_where_something_was_shown() -> None:
    """A wanted null differs from a shown value and is part of the patch."""
    lead_list = list_of(copy_of("lance", {Field.OWNER: "u1"}), wanted={Field.OWNER: None})
    assert {Field.OWNER: None} == plan(lead_list, lead_list.copies["lance"], remote_rules(), NOON).patch.fields


def test_members_are_sent_as_what_to_add_and_remove() -> None:
    """Wanted and not shown is added; shown and not wanted is removed."""
    lead_list = with_members(agreed_list("crm", "lance", name="A"), "p1", shown_by=["crm", "lance"])
    members = {
        **lead_list.members,
        "p2": Member(True, {"crm": Presence(True, at(1))}),
        "p3": Member(False, {"lance": Presence(True, at(0)), "crm": Presence(False, at(1))}),
    }
    lead_list = replace(lead_list, members=members)
    planned = plan(lead_list, lead_list.copies["lance"], remote_rules(), NOON)
    assert Patch({}, frozenset({"p2"}), frozenset({"p3"})) == planned.patch
    assert not plan(lead_list, lead_list.copies["crm"], remote_rules(), NOON).patch


@pytest.mark.parametrize("differs", [True, False])
def test_members_wait_for_an_unsure_write_of_members(differs: bool) -> None:  # noqa: FBT001 - a table
    """A whole delta waits until the older one is proven done or can no longer arrive, even where all is equal now."""
    lead_list = with_members(agreed_list("lance", name="A"), "p1", shown_by=[] if differs else ["lance"])
    abandoned = {Field.MEMBERS: Abandoned(None, later(120), frozenset({"p9"}))}
    floor = {Field.MEMBERS: Seen(None, at(0))}
    copy = replace(lead_list.copies["lance"], abandoned=abandoned, seen=floor)
    planned = plan(lead_list, copy, remote_rules(), NOON)
    assert Reason.READ_BACK is planned.reasons[Field.MEMBERS]
    assert (later(120), Standing.DUE) == (planned.not_before, planned.standing)
    assert not planned.patch


@pytest.mark.parametrize("landed_is_wanted", [True, False])
def test_members_that_may_have_come_late_are_looked_for_before_others_are_sent(landed_is_wanted: bool) -> None:  # noqa: FBT001 - a table
    """To send another one does not undo them: the answer would show them, as if a person had added them. Those that
    are wanted still are told once more, and are ours until something is seen.
    """
    lead_list = with_members(agreed_list("lance", name="A"), "p1", shown_by=[])
    members = {**lead_list.members, "p9": Member(wanted=landed_is_wanted)}
    abandoned = {Field.MEMBERS: Abandoned(None, later(120), frozenset({"p9"}))}
    floor = {**lead_list.copies["lance"].seen, Field.MEMBERS: Seen(None, at(0))}
    copy = replace(lead_list.copies["lance"], abandoned=abandoned, seen=floor)
    stood = restood(replace(lead_list, members=members, copies={"lance": copy}), 121)
    assert (not landed_is_wanted, abandoned) == (stood.look, stood.abandoned)


def test_members_of_a_remote_without_members_are_nobodys_difference() -> None:
    """A remote that has no such field never has members to add."""
    rules = remote_rules(directions={Field.MEMBERS: Direction.NONE})
    lead_list = with_members(agreed_list("lance", name="A"), "p1", shown_by=["crm"])
    planned = plan(lead_list, lead_list.copies["lance"], rules, NOON)
    assert (Reason.NO_FIELD, False) == (planned.reasons[Field.MEMBERS], bool(planned.patch))


SHOWS_A = copy_of("lance", {NAME: "A"})
PARKED = Parked("refused", "change it", "digest of another patch")


@pytest.mark.parametrize(
    ("standing", "lead_list"),
    [
        (Standing.IN_SYNC, agreed_list("lance", name="A")),
        (Standing.DUE, differing()),
        (Standing.DUE, differing(look=True)),
        (Standing.DUE, differing(abandoned=UNSURE_B)),
        (Standing.DUE, list_of(replace(SHOWS_A, intent=Intent(Patch(), NOON)), wanted={NAME: "A"})),
        (Standing.CONFLICT, differing(held={NAME: Seen("A", at(0))})),
        (Standing.PARKED, differing(parked=Parked("refused", "change it", Patch({NAME: "X"}).digest()))),
        (Standing.PARKED, differing(parked=Parked("gone", "look", ""), look=True)),
        (Standing.IN_SYNC, replace(agreed_list("lance", name="A"), wanted={})),
    ],
)  # fmt: skip
def test_each_standing(standing: Standing, lead_list: LeadList) -> None:
    """Every copy stands in exactly one place."""
    assert standing is restood(lead_list).standing


def test_a_difference_without_a_mapping_is_excluded() -> None:
    """What this remote cannot be given does not make its copy due."""
    rules = rules_of(lance=remote_rules(spell=_refuse))
    copy = restand(differing(), rules, NOON).copies["lance"]
    assert (Standing.EXCLUDED, None, NOON) == (copy.standing, copy.due_at, copy.since)


def test_a_conflict_in_one_field_does_not_hold_the_others() -> None:
    """The copy stays due for the fields that may be sent, and is in conflict when nothing else is left."""
    held = copy_of("lance", {NAME: "B", Field.OWNER: "u1"})
    held = replace(held, held={NAME: Seen("B", at(0))})
    lead_list = list_of(held, wanted={NAME: "X", Field.OWNER: "u2"})
    assert {Field.OWNER: "u2"} == plan(lead_list, held, remote_rules(), NOON).patch.fields
    assert Standing.DUE is restood(lead_list).standing


def test_a_conflict_that_others_resolved_is_over() -> None:
    """When wanted comes to be what the copy shows, nothing is held any more, also for later changes."""
    held = replace(copy_of("lance", {NAME: "B"}), held={NAME: Seen("B", at(0))})
    copy = restood(list_of(held, wanted={NAME: "B"}))
    assert (Standing.IN_SYNC, {}) == (copy.standing, copy.held)


def test_a_conflict_in_a_field_that_is_no_longer_written_is_none() -> None:
    """Settings took the field away: the copy is not shown as in conflict for ever."""
    rules = rules_of(lance=remote_rules(directions={NAME: Direction.OFF}))
    lead_list = differing(held={NAME: Seen("A", at(0))})
    assert Standing.IN_SYNC is restand(lead_list, rules, NOON).copies["lance"].standing


def test_due_since_when_it_stopped_being_in_sync() -> None:
    """`since` is set once and stays until the copy is in sync again."""
    first = restood(differing(), 1)
    assert (later(1), later(1), Waiting.TURN) == (first.since, first.due_at, first.waiting)
    assert first == restood(list_of(first, wanted={NAME: "X"}), 9)
    calm = restood(list_of(first, wanted={NAME: "A"}), 10)
    assert (Standing.IN_SYNC, None, None, None) == (calm.standing, calm.since, calm.due_at, calm.waiting)


def test_backoff_is_kept_when_news_comes() -> None:
    """An event about a copy that backs off does not make it due earlier."""
    waiting = differing(standing=Standing.DUE, waiting=Waiting.BACKOFF, due_at=later(60), tries=3, since=NOON)
    copy = restood(waiting, 5)
    assert (Waiting.BACKOFF, later(60), 3) == (copy.waiting, copy.due_at, copy.tries)


def test_another_value_waits_until_the_older_write_cannot_arrive() -> None:
    """Due, but not before the abandoned write's time is over."""
    copy = restood(differing(abandoned=UNSURE_B), 5)
    assert (Standing.DUE, Waiting.READ_BACK, later(120)) == (copy.standing, copy.waiting, copy.due_at)


def test_the_time_of_an_abandoned_write_ends() -> None:
    """Once it can no longer arrive the other value is due. It may have landed unseen: the answer to the other tells."""
    waiting = restood(differing(abandoned=UNSURE_B), 5)
    copy = restood(list_of(waiting, wanted={NAME: "X"}), 120)
    assert (UNSURE_B, Waiting.TURN, later(120)) == (copy.abandoned, copy.waiting, copy.due_at)
    assert not copy.look


def test_a_copy_that_a_late_write_may_still_undo_is_looked_at_once_more() -> None:
    """Wanted went back to what the copy shows: not in sync for good before the old write's time is over and a read."""
    lead_list = replace(agreed_list("lance", name="A"), copies=differing(abandoned=UNSURE_B).copies)
    copy = restood(lead_list, 5)
    assert (Standing.DUE, Waiting.READ_BACK, later(120), False) == (
        copy.standing,
        copy.waiting,
        copy.due_at,
        copy.look,
    )
    over = restood(replace(lead_list, copies={"lance": copy}), 120)
    assert (Standing.DUE, True, UNSURE_B) == (over.standing, over.look, over.abandoned)


@pytest.mark.parametrize("changes", [{"look": True}, {"intent": Intent(Patch(), NOON)}], ids=["to read", "in flight"])
def test_a_look_that_comes_first_still_knows_the_old_write(changes: dict[str, object]) -> None:
    """Its time is over and another value is wanted, but a read comes before that is sent: it may find the old one."""
    copy = restood(differing(abandoned=UNSURE_B, **changes), 130)
    assert UNSURE_B == copy.abandoned


def test_another_patch_is_another_chance() -> None:
    """A parked copy is due again when there is something else to say."""
    copy = restood(differing(parked=PARKED, standing=Standing.PARKED, tries=4))
    assert (Standing.DUE, None, 0, NOON) == (copy.standing, copy.parked, copy.tries, copy.due_at)


def test_a_hint_does_not_hide_that_a_parked_copy_has_something_else_to_say() -> None:
    """Parked, hinted at, and then wanted changes: it is read and sent, not parked for ever."""
    copy = restood(differing(parked=PARKED, standing=Standing.PARKED, look=True))
    assert (Standing.DUE, None, Waiting.FIRST_READ) == (copy.standing, copy.parked, copy.waiting)


def test_a_hint_alone_does_not_unpark() -> None:
    """The same patch would fail the same way; but what else changed there is read."""
    same = Parked("refused", "change it", Patch({NAME: "X"}).digest())
    hinted = restood(differing(parked=same, look=True))
    assert (Standing.DUE, Waiting.FIRST_READ, same) == (hinted.standing, hinted.waiting, hinted.parked)
    read = restood(with_copy(differing(parked=same), replace(hinted, look=False)))
    assert (Standing.PARKED, None) == (read.standing, read.due_at)


def test_what_could_not_be_read_stays_parked() -> None:
    """A read that failed again and again is not tried because of another hint."""
    unread = Parked("unreadable", "check it", "")
    assert Standing.PARKED is restood(differing(parked=unread, look=True)).standing


def test_a_parked_copy_is_looked_at_when_an_older_write_can_no_longer_land() -> None:
    """One field has failed, another waits for an abandoned write: it is due then, and not before."""
    failed = Parked("refused", "change it", Patch({NAME: "X"}).digest())
    shown = copy_of("lance", {NAME: "A", Field.OWNER: "u1"})
    late = replace(shown, parked=failed, abandoned={Field.OWNER: Abandoned("u9", later(60))})
    waits = restood(list_of(late, wanted={NAME: "X", Field.OWNER: "u2"}))
    assert (Standing.DUE, Waiting.READ_BACK, later(60)) == (waits.standing, waits.waiting, waits.due_at)


def test_parked_without_a_difference_is_in_sync() -> None:
    """A person changed the list back: nothing is left to park."""
    lead_list = agreed_list("lance", name="A")
    parked = replace(lead_list.copies["lance"], parked=PARKED, standing=Standing.PARKED)
    copy = restood(replace(lead_list, copies={"lance": parked}))
    assert (Standing.IN_SYNC, None) == (copy.standing, copy.parked)


def test_a_field_never_seen_is_read_first() -> None:
    """A new copy is not written to before it has been read."""
    copy = restood(list_of(Copy(remote="lance", remote_id="l1"), wanted={NAME: "X"}))
    assert (Standing.DUE, True, Waiting.FIRST_READ) == (copy.standing, copy.look, copy.waiting)


def test_news_during_a_first_read_does_not_ask_for_a_second() -> None:
    """While the read is in flight, what it will show is not yet missing."""
    reading = Copy(remote="lance", remote_id="l1", intent=Intent(Patch(), NOON), standing=Standing.DUE, due_at=NOON)
    copy = restood(list_of(reading, wanted={NAME: "X"}), 1)
    assert (Standing.DUE, False) == (copy.standing, copy.look)


def test_a_remote_that_left_the_settings_is_left_alone() -> None:
    """Nothing is known of it, so nothing is claimed."""
    before = list_of(copy_of("gone", {NAME: "A"}), wanted={NAME: "X"})
    assert before == restand(before, RULES, NOON)


def test_members_that_differ_anywhere_are_marked() -> None:
    """The mark is what the store finds them by; remotes that are not written to do not count."""
    rules = rules_of(instantly=remote_rules(2, directions={Field.MEMBERS: Direction.NONE}))
    lead_list = with_members(agreed_list("crm", "lance", "instantly", name="A"), "p1", shown_by=["crm", "lance"])
    agreed = restand(lead_list, rules, NOON)
    assert not agreed.members["p1"].differs
    half = replace(lead_list, members={"p1": Member(True, {"crm": Presence(True, at(0))})})
    assert restand(half, rules, NOON).members["p1"].differs


def test_restand_twice_is_restand_once() -> None:
    """Standing is computed from state, so computing it again changes nothing."""
    for lead_list in (differing(), differing(look=True), differing(abandoned=UNSURE_B), differing(parked=PARKED)):
        once = restand(lead_list, RULES, NOON)
        assert once == restand(once, RULES, NOON + timedelta(seconds=1))


def test_a_wait_begins_when_something_can_be_told() -> None:
    """A copy was excluded for an hour; what is changed now has waited since now, or its lag would be an hour too."""
    excluded = differing(standing=Standing.EXCLUDED, since=later(-3600))
    assert NOON == restood(excluded).since
    assert later(-5) == restood(differing(standing=Standing.DUE, due_at=NOON, since=later(-5))).since
