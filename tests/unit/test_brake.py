"""The brake of members: a removal that is too large waits for a person, however it was told of (design rule 8)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.lead_list import Field, LeadList, Member, Presence, Seen, Standing, Waiting
from models.ledger import Change, ChangeKind
from models.observation import Evidence, MembersSeen
from models.patch import Patch, Reason
from tests.support.heart import (
    NOON,
    agreed_list,
    at,
    delta,
    later,
    observation,
    remote_rules,
    rules_of,
    shown_set,
    whole,
    with_members,
)
from worker.engine.join import join
from worker.engine.missing import without
from worker.engine.observe import observe
from worker.engine.plan import plan, restand
from worker.engine.rules import Direction, Rules

BOTH_WAYS = rules_of()
PUSH_ONLY = rules_of(lance=remote_rules(1, directions={Field.MEMBERS: Direction.PUSH}))
PULL_ONLY = rules_of(lance=remote_rules(1, directions={Field.MEMBERS: Direction.PULL}))


def names(count: int, start: int = 0) -> tuple[str, ...]:
    """So many members."""
    return tuple(f"p{number:03}" for number in range(start, start + count))


def agreed(count: int, *remotes: str) -> LeadList:
    """A list whose members both remotes show."""
    remotes = remotes or ("crm", "lance")
    return with_members(agreed_list(*remotes, name="A"), *names(count), shown_by=remotes)


def told(
    lead_list: LeadList,
    shown: MembersSeen,
    seconds: float = 5,
    *,
    remote: str = "lance",
    rules: Rules = BOTH_WAYS,
    evidence: Evidence = Evidence.EVENT,
) -> tuple[LeadList, tuple[Change, ...]]:
    """The list after news about its members, and what the ledger says of it."""
    seen = observe(lead_list, observation(remote, seconds, members=shown, evidence=evidence), rules)
    return restand(seen.lead_list, rules, later(seconds)), seen.changes


def wanted(lead_list: LeadList) -> int:
    """How many members are wanted."""
    return sum(member.wanted for member in lead_list.members.values())


def is_braked(lead_list: LeadList, remote: str = "lance") -> bool:
    """Whether that copy waits for a person, as every command would say."""
    copy = lead_list.copies[remote]
    return (copy.standing, copy.waiting, copy.due_at) == (Standing.DUE, Waiting.BRAKE, None)


def patch(lead_list: LeadList, remote: str = "lance", rules: Rules = BOTH_WAYS) -> Patch:
    """What that copy would be sent."""
    return plan(lead_list, lead_list.copies[remote], rules.remotes[remote], later(5)).patch


@pytest.mark.parametrize(
    ("of", "removed", "held"),
    [
        (10, 10, False),  # a few are never too many, even all of them
        (11, 11, True),
        (36, 11, True),  # 30.6 %
        (37, 11, False),  # 29.7 %
        (40, 12, False),  # exactly 30 %
        (40, 13, True),
        (1000, 300, False),
        (1000, 301, True),
    ],
)
@pytest.mark.parametrize("way", ["whole set", "named"])
@pytest.mark.parametrize("evidence", Evidence)
def test_the_brake_holds_more_than_ten_and_more_than_its_share(
    of: int, removed: int, way: str, evidence: Evidence, *, held: bool
) -> None:
    """Whether a whole set, a removal by name, a read or the answer to a patch tells of it."""
    gone = names(removed)
    news = delta((), gone) if way == "named" else whole(*names(of - removed, removed))
    after, changes = told(agreed(of), news, evidence=evidence)

    assert held is is_braked(after)
    assert (of if held else of - removed) == wanted(after)
    assert [ChangeKind.BRAKE if held else ChangeKind.WANTED] == [change.kind for change in changes]
    assert list(gone) == changes[0].old
    assert Patch() == patch(after)
    assert (frozenset() if held else frozenset(gone)) == patch(after, "crm").remove


def test_the_same_news_again_changes_nothing() -> None:
    """Neither repeated, nor as a read, nor as a later event with the same contents."""
    once, _ = told(agreed(20), whole(*names(5)))
    for seconds, evidence in ((5, Evidence.EVENT), (5, Evidence.READ), (6, Evidence.EVENT)):
        again, changes = told(once, whole(*names(5)), seconds, evidence=evidence)
        assert is_braked(again)
        assert ((), 20) == (changes, wanted(again))
    assert not once.copies["lance"].look


def test_a_named_removal_that_is_repeated_changes_nothing() -> None:
    """The rows of the elements know that it was told."""
    once, _ = told(agreed(20), delta((), names(15)))
    for seconds in (5, 6):
        again, changes = told(once, delta((), names(15)), seconds)
        assert is_braked(again)
        assert ((), 20) == (changes, wanted(again))


@pytest.mark.parametrize("then", [whole(), delta((), names(5))])
def test_what_goes_while_a_removal_is_held_is_held_with_it(then: MembersSeen) -> None:
    """Or a list that is emptied in two steps would lose what the second one takes."""
    first, _ = told(agreed(20), whole(*names(5)))
    second, changes = told(first, then, 6)

    assert is_braked(second)
    assert 20 == wanted(second)
    assert [(ChangeKind.BRAKE, list(names(5)))] == [(change.kind, change.old) for change in changes]


def test_members_that_come_back_release_it() -> None:
    """Nobody has to decide what is no longer so; what is new comes with them."""
    held, _ = told(agreed(20), whole(*names(5)))
    partly, _ = told(held, delta(names(5, 5)), 6)
    assert is_braked(partly)
    back, changes = told(partly, whole(*names(21)), 7)

    assert Standing.IN_SYNC is back.copies["lance"].standing
    assert {} == back.copies["lance"].held
    assert (21, [[names(21)[-1]]]) == (wanted(back), [change.new for change in changes])
    assert {names(21)[-1]} == patch(back, "crm").add


def test_other_fields_and_other_remotes_go_on() -> None:
    """Only the members of that copy wait; additions there are taken, and nothing is sent to it about members."""
    held, _ = told(agreed(20), whole(*names(5), "new"))
    renamed = observe(held, observation("crm", 6, {Field.NAME: "B"}, members=delta(["more"])), BOTH_WAYS)
    after = restand(renamed.lead_list, BOTH_WAYS, later(6))

    assert Patch({Field.NAME: "B"}) == patch(after)
    assert (Standing.DUE, Waiting.TURN) == (after.copies["lance"].standing, after.copies["lance"].waiting)
    assert Patch({}, frozenset({"new"})) == patch(after, "crm")
    assert 22 == wanted(after)


def test_the_same_removal_on_both_sides_is_held_on_both() -> None:
    """Two systems that agree may both be wrong; one decision is for both."""
    lance, _ = told(agreed(20), whole(*names(5)))
    both, _ = told(lance, whole(*names(5)), 6, remote="crm")

    assert is_braked(both)
    assert is_braked(both, "crm")
    assert 20 == wanted(both)


def test_where_edits_do_not_count_too_much_to_overwrite_is_held() -> None:
    """Settings may be wrong: what is there and not wanted is not wiped out at first sight."""
    crm = agreed(20, "crm")
    linked = replace(crm, copies={**crm.copies, "lance": agreed_list("lance", name="A").copies["lance"]})
    first, changes = told(linked, whole(*names(20, 15)), rules=PUSH_ONLY)

    assert is_braked(first)
    assert [(ChangeKind.BRAKE, list(names(15, 20)))] == [(change.kind, change.old) for change in changes]
    assert Patch() == patch(first, rules=PUSH_ONLY)
    again, changes = told(first, whole(*names(20, 15)), 6, rules=PUSH_ONLY)
    assert is_braked(again)
    assert () == changes


def test_where_edits_do_not_count_a_few_are_overwritten() -> None:
    """Ten strangers go; and of more of them, those that are left when the others became wanted."""
    after, _ = told(agreed(20), delta(names(10, 20)), rules=PUSH_ONLY)
    assert frozenset(names(10, 20)) == patch(after, rules=PUSH_ONLY).remove

    held, _ = told(agreed(20), whole(*names(40)), rules=PUSH_ONLY)
    assert is_braked(held)
    adopted, _ = told(held, delta(names(15, 20)), 6, remote="crm", rules=PUSH_ONLY)
    assert frozenset(names(5, 35)) == patch(adopted, rules=PUSH_ONLY).remove
    assert {} == adopted.copies["lance"].held


def test_where_edits_do_not_count_members_that_vanish_are_put_back() -> None:
    """However many: that is what the direction says, and nothing is lost by it."""
    after, _ = told(agreed(20), whole(), rules=PUSH_ONLY)

    assert frozenset(names(20)) == patch(after, rules=PUSH_ONLY).add


def test_a_list_that_is_only_written_and_not_linked_keeps_its_members() -> None:
    """Nobody has said what is wanted, and an unknown base removes nothing (design rule 8)."""
    for count in (5, 50):
        alone, _ = told(agreed_list("lance", name="A"), whole(*names(count)), rules=PUSH_ONLY)
        planned = plan(alone, alone.copies["lance"], PUSH_ONLY.remotes["lance"], NOON)

        assert (Patch(), Reason.NOTHING_WANTED) == (planned.patch, planned.reasons[Field.MEMBERS])
        assert Standing.IN_SYNC is alone.copies["lance"].standing


def test_what_only_a_few_words_said_is_added_and_nothing_is_removed() -> None:
    """The CRM told of one member, and has not shown its whole set yet."""
    alone, _ = told(agreed_list("crm", "lance", name="A"), whole(*names(5)), rules=PUSH_ONLY)
    after, _ = told(alone, delta(["new"]), 6, remote="crm", rules=PUSH_ONLY)
    assert Patch({}, frozenset({"new"})) == patch(after, rules=PUSH_ONLY)

    known, _ = told(after, whole("new"), 7, remote="crm", rules=PUSH_ONLY)
    assert Patch({}, frozenset({"new"}), frozenset(names(5))) == patch(known, rules=PUSH_ONLY)


def test_where_nothing_is_written_a_held_removal_waits_all_the_same() -> None:
    """The direction keeps nothing from being decided."""
    held, _ = told(agreed(20), whole(*names(5)), rules=PULL_ONLY)
    assert is_braked(held)
    assert all(held.members[name].differs for name in names(15, 5))
    back, _ = told(held, whole(*names(20)), 6, rules=PULL_ONLY)
    assert Standing.IN_SYNC is back.copies["lance"].standing
    assert {} == back.copies["lance"].held


def test_a_copy_that_is_let_go_takes_its_brake_along() -> None:
    """And a list that is linked again has removed nothing."""
    held, _ = told(agreed(20), whole(*names(5)))
    left = restand(without(held, "lance"), BOTH_WAYS, later(6))

    assert (20, {"crm"}) == (wanted(left), set(left.copies))
    again = replace(left, copies={**left.copies, **agreed_list("lance", name="A").copies})
    back, changes = told(again, whole(*names(5)), 7)
    assert ((), frozenset(names(15, 5))) == (changes, patch(back).add)


def test_a_held_list_that_is_joined_stays_held() -> None:
    """Members become a union; what left the copy still waits for a person."""
    held, _ = told(agreed(20, "lance"), whole(*names(5)))
    other = replace(agreed(8, "crm"), id=2)
    joined = restand(join(held, other, BOTH_WAYS).lead_list, BOTH_WAYS, later(6))

    assert is_braked(joined)
    assert 20 == wanted(joined)


def test_our_own_removal_is_not_braked() -> None:
    """What a person let go on one side leaves the other by our patch: its echo is no news."""
    member = Member(False, {"lance": Presence(True, at(0)), "crm": Presence(False, at(1))})
    floor = {Field.MEMBERS: Seen(None, at(0))}
    before = agreed_list("crm", "lance", name="A")
    copies = {name: replace(copy, seen={**copy.seen, **floor}) for name, copy in before.copies.items()}
    after, changes = told(replace(before, copies=copies, members=dict.fromkeys(names(20), member)), whole())

    assert ((), frozenset()) == (changes, shown_set(after.members, "lance"))
    assert Standing.IN_SYNC is after.copies["lance"].standing
