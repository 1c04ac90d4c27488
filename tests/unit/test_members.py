"""Membership merges element by element: rules one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import pytest

from models.lead_list import Member, Presence, Replaced, Seen, Stamp
from models.observation import MembersSeen
from models.patch import Patch
from tests.support.heart import at, delta, later, observation, shown_set, whole
from worker.engine.members import NOTHING, Merged, Ours, difference, merge, undo

FLOOR = Seen(None, at(0))


def member(*shown_by: str, wanted: bool = True, seconds: float = 0) -> Member:
    """An element that these remotes show."""
    return Member(wanted, {remote: Presence(True, at(seconds)) for remote in shown_by})


BASE = {"a": member("crm", "lance"), "b": member("crm", "lance")}


def news_from(
    remote: str,
    shown: MembersSeen,
    seconds: float = 5,
    *,
    known: dict[str, Member] | None = None,
    floor: Seen | None = FLOOR,
    takes: bool = True,
    ours: Ours = NOTHING,
) -> Merged:
    """What news about membership does to the base."""
    known = BASE if known is None else known
    return merge(known, floor, observation(remote, seconds), shown, takes=takes, ours=ours)


def wanted(merged: Merged) -> frozenset[str]:
    """The elements that are wanted."""
    return frozenset(name for name, one in merged.members.items() if one.wanted)


@pytest.mark.parametrize("shown", [whole("a", "b", "c"), delta(["c"])])
def test_added_there_is_gained(shown: MembersSeen) -> None:
    """An element that appeared since last seen becomes wanted, whole set or delta."""
    merged = news_from("lance", shown)
    assert (frozenset({"a", "b", "c"}), frozenset({"c"}), frozenset()) == (wanted(merged), merged.gained, merged.lost)


@pytest.mark.parametrize("shown", [whole("a"), delta((), ["b"])])
def test_removed_there_is_lost(shown: MembersSeen) -> None:
    """An element that went since last seen is no longer wanted."""
    merged = news_from("lance", shown)
    assert (frozenset({"a"}), frozenset(), frozenset({"b"})) == (wanted(merged), merged.gained, merged.lost)
    assert {"a"} == shown_set(merged.members, "lance")


def test_without_a_base_nothing_is_removed() -> None:
    """A remote that was never seen lacks everything; that is a join, not a removal."""
    merged = news_from("lance", whole("x"), known={"a": member("crm")}, floor=None)
    assert (frozenset({"a", "x"}), frozenset()) == (wanted(merged), merged.lost)


def test_an_empty_first_set_removes_nothing() -> None:
    """The first look finds an empty list: everything wanted stays wanted."""
    assert {"a"} == wanted(news_from("lance", whole(), known={"a": member("crm")}, floor=None))


def test_unwanted_and_still_shown_is_pending() -> None:
    """Removed elsewhere and not yet there: showing it again does not bring it back."""
    known = {"a": Member(False, {"lance": Presence(True, at(0)), "crm": Presence(False, at(1))})}
    assert set() == wanted(news_from("lance", whole("a"), known=known))


def test_wanted_and_not_yet_shown_is_pending() -> None:
    """Added elsewhere and not yet there: leaving it out again does not remove it."""
    known = {"a": Member(True, {"lance": Presence(False, at(0)), "crm": Presence(True, at(1))})}
    assert {"a"} == wanted(news_from("lance", whole(), known=known))


def test_both_removed_the_same() -> None:
    """The same edit made twice is one."""
    once = news_from("crm", whole("a"))
    twice = news_from("lance", whole("a"), known=dict(once.members))
    assert (frozenset({"a"}), frozenset()) == (wanted(twice), twice.lost)


def test_removed_here_and_added_again_there_later() -> None:
    """What comes after counts: re-adding is an edit like any other."""
    gone = news_from("lance", whole("a"), 5)
    assert {"a", "b"} == wanted(news_from("lance", whole("a", "b"), 6, known=dict(gone.members)))


def test_late_news_about_an_element_is_ignored() -> None:
    """Older than what the element's own row says."""
    known = {"a": Member(True, {"lance": Presence(True, at(9))})}
    assert Merged(known) == news_from("lance", delta((), ["a"]), 5, known=known)


def test_late_news_about_an_unknown_element_is_ignored() -> None:
    """Older than the last whole set, which did not show it."""
    assert Merged(BASE) == news_from("lance", delta(["old"]), -1)


def test_a_whole_set_does_not_undo_a_newer_delta() -> None:
    """An element whose own news is newer than the set keeps it."""
    newer = news_from("lance", delta(["c"]), 9)
    older = news_from("lance", whole("a", "b"), 5, known=dict(newer.members))
    assert {"a", "b", "c"} == wanted(older) == shown_set(older.members, "lance")


def test_a_named_removal_counts_once() -> None:
    """Removal of something never seen there is proof of an edit; the same event again is not."""
    known = {"a": member("crm")}
    once = news_from("lance", delta((), ["a"]), known=known)
    assert {"a"} == once.lost
    back = news_from("crm", delta(["a"]), 6, known={"a": Member(True, once.members["a"].seen)})
    assert Merged(back.members) == news_from("lance", delta((), ["a"]), known=dict(back.members))


def test_news_is_idempotent() -> None:
    """The same set twice gains and loses nothing the second time."""
    for shown in (whole("a", "c"), delta(["c"], ["b"])):
        once = news_from("lance", shown)
        assert Merged(once.members) == news_from("lance", shown, known=dict(once.members))


def test_where_edits_do_not_count_only_the_copy_is_noted() -> None:
    """A field that is only pushed: what is there is known, and overwritten."""
    merged = news_from("lance", whole("a", "c"), takes=False)
    assert (frozenset({"a", "b"}), frozenset({"a", "c"})) == (wanted(merged), shown_set(merged.members, "lance"))
    assert (frozenset({"b"}), frozenset({"c"})) == difference(merged.members, "lance")


def test_what_our_own_write_did_is_not_an_edit() -> None:
    """Elements that a write of ours, in flight or given up, adds or removes are noted there, and wanted stays."""
    merged = news_from("lance", whole("a", "c", "d"), ours=Ours(Patch({}, frozenset({"c"}), frozenset({"b"}))))
    assert (frozenset({"a", "b", "d"}), frozenset({"a", "c", "d"})) == (
        wanted(merged),
        shown_set(merged.members, "lance"),
    )


def test_edits_of_two_sides_commute() -> None:
    """From one agreed base, the order in which two sides tell of their edits does not matter."""
    crm, lance = whole("a", "c"), whole("b", "d")
    one = news_from("lance", lance, known=dict(news_from("crm", crm).members))
    other = news_from("crm", crm, known=dict(news_from("lance", lance).members))
    assert {"c", "d"} == wanted(one) == wanted(other)


READ, WRITTEN = later(10), later(20)
REPLACED = Ours(replaced=Replaced(READ, WRITTEN))


def changed(
    known: Mapping[str, Member],
    seconds: float,
    *,
    added: Collection[str] = (),
    removed: Collection[str] = (),
    ours: Ours,
) -> Merged:
    """What an event of Lance does, which has shown its whole membership at noon."""
    shown = MembersSeen(whole=False, added=frozenset(added), removed=frozenset(removed))
    return news_from("lance", shown, seconds, known=dict(known), ours=ours)


def seen_there(name: str, seconds: float, *, present: bool = True) -> dict[str, Member]:
    """A member that is wanted, and that Lance showed then."""
    return {name: Member(True, {"lance": Presence(present, at(seconds))})}


def test_who_came_between_our_read_and_our_write_is_wanted_and_no_longer_there() -> None:
    """The news comes after our answer: it is an edit, and our array was written over it."""
    merged = changed({}, 15, added={"x"}, ours=REPLACED)
    assert {"x": Member(True, {"lance": Presence(False, Stamp(WRITTEN))})} == merged.members
    assert {"x"} == merged.gained


def test_who_went_between_our_read_and_our_write_is_there_again() -> None:
    """And is to be removed once more."""
    merged = changed(seen_there("y", 5), 15, removed={"y"}, ours=REPLACED)
    assert {"y": Member(False, {"lance": Presence(True, Stamp(WRITTEN))})} == merged.members
    assert {"y"} == merged.lost


def test_news_of_our_own_array_is_nobodys_edit() -> None:
    """It says that x is gone, because we wrote without knowing x."""
    merged = changed(seen_there("x", 15), 20, removed={"x"}, ours=REPLACED)
    assert {"x": Member(True, {"lance": Presence(False, at(20))})} == merged.members
    assert frozenset() == merged.lost


def test_the_two_kinds_of_news_may_be_swapped() -> None:
    """First what our array made of x, then that somebody had added it."""
    first = changed({}, 20, removed={"x"}, ours=REPLACED)
    second = changed(first.members, 15, added={"x"}, ours=REPLACED)
    assert second.members["x"].wanted
    assert not second.members["x"].shown_by("lance")


def test_while_our_array_is_on_its_way_nobody_is_believed_gone() -> None:
    """Whether a person or our write took x away, only a read tells; who comes is believed."""
    replacing = Ours(Patch({}, frozenset("a")), replacing=True)
    merged = changed(seen_there("x", 5), 15, added={"b"}, removed={"x"}, ours=replacing)
    assert merged.doubtful
    assert merged.members["x"].wanted
    assert merged.members["b"].wanted


def test_what_news_told_before_our_write_was_answered_is_undone_on_the_copy() -> None:
    """As it was when we read: x was not there, y was. What people want stays."""
    members = seen_there("x", 15) | {"y": Member(False, {"lance": Presence(False, at(15))})} | seen_there("z", 5)
    after = undo(members, "lance", {"y": True, "z": True}, Replaced(READ, WRITTEN))
    assert (True, False) == (after["x"].wanted, after["x"].shown_by("lance"))
    assert (False, True) == (after["y"].wanted, after["y"].shown_by("lance"))
    assert members["z"] is after["z"]
