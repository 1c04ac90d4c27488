"""Membership: a set that merges element by element, so that it never conflicts. Called by observe and plan. Pure.

Added there since last seen: wanted gains it. Removed there since last seen: wanted loses it. Without a
last-seen state nothing is ever removed: a join is a union.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from models.lead_list import Member, Presence, Seen, Stamp
from models.observation import MembersSeen, Observation
from models.patch import Patch


@dataclass(frozen=True, slots=True)
class Merged:
    """All elements afterwards, and which ones wanted gained and lost."""

    members: Mapping[str, Member]
    gained: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()


def merge(
    known: Mapping[str, Member],
    floor: Seen | None,
    seen: Observation,
    shown: MembersSeen,
    *,
    takes: bool,
    ours: Patch | None = None,
) -> Merged:
    """Take news about membership in. `known` must hold every element named, and for a whole set all of them.

    `floor` is when the whole set was last seen there: news about an element that is older than its own row,
    or older than the floor where it has none, is late and ignored. With `takes` false the copy is noted but
    wanted stays; the same goes for what writes of `ours`, in flight or given up, would have done there.
    """
    after, gained, lost = dict(known), set[str](), set[str]()
    for name, present in _news(known, seen.remote, shown):
        member = known.get(name)
        last = member.seen.get(seen.remote) if member else None
        if _overtaken(last, floor, seen.stamp):
            continue
        theirs = takes and not _is_ours(ours, name, present=present)
        moved = _step(member or Member(False), seen.remote, last, Presence(present, seen.stamp), shown, takes=theirs)
        after[name] = moved
        if moved.wanted != (member is not None and member.wanted):
            (gained if moved.wanted else lost).add(name)
    return Merged(after, frozenset(gained), frozenset(lost))


@dataclass(frozen=True, slots=True)
class Braked(Merged):
    """What was merged, without the removals that are too many to be believed."""

    #: Elements that wanted would have lost, or that the remote would; a person decides.
    stopped: frozenset[str] = frozenset()


def braked(
    known: Mapping[str, Member],
    merged: Merged,
    remote: str,
    *,
    takes: bool,
    held: bool,
    brake: Callable[[int, int], bool],
) -> Braked:
    """Hold what would remove too much at once: what left the remote from wanted, or, where edits there do not
    count, what the remote shows from it. `brake(moved, of)` says whether it is too much (design rule 8). While a
    removal is `held` there, what goes after it is held with it, or a list that is emptied in two steps would be.
    """
    if takes:
        wanted = sum(member.wanted for member in known.values())
        stopped = merged.lost if held or brake(len(merged.lost), wanted) else frozenset[str]()
        kept = {name: replace(merged.members[name], wanted=True) for name in stopped}
        return Braked({**merged.members, **kept}, merged.gained, merged.lost - stopped, stopped)
    shown = {name for name, member in merged.members.items() if member.shown_by(remote)}
    surplus = frozenset(
        name for name in shown if not merged.members[name].wanted and not _was_shown(known.get(name), remote)
    )
    stopped = surplus if held or brake(len(surplus), len(shown)) else frozenset()
    return Braked(merged.members, merged.gained, merged.lost, stopped)


def _was_shown(member: Member | None, remote: str) -> bool:
    return member is not None and member.shown_by(remote)


def difference(members: Mapping[str, Member], remote: str) -> tuple[frozenset[str], frozenset[str]]:
    """What must be added to, and removed from, `remote` to show what is wanted."""
    differing = [(name, m.wanted) for name, m in members.items() if m.wanted != m.shown_by(remote)]
    add = frozenset(name for name, wanted in differing if wanted)
    return add, frozenset(name for name, wanted in differing if not wanted)


def _news(known: Mapping[str, Member], remote: str, shown: MembersSeen) -> Iterable[tuple[str, bool]]:
    """Every element the news speaks of. A whole set also speaks of what it leaves out, where that was seen before."""
    for name in sorted(shown.added):
        yield name, True
    absent = [n for n, m in known.items() if remote in m.seen and n not in shown.added] if shown.whole else ()
    for name in sorted(shown.removed.union(absent)):
        yield name, False


def _is_ours(ours: Patch | None, name: str, *, present: bool) -> bool:
    return ours is not None and name in (ours.add if present else ours.remove)


def _overtaken(last: Presence | None, floor: Seen | None, stamp: Stamp) -> bool:
    if last is not None and stamp.older_than(last.stamp):
        return True
    return floor is not None and stamp.older_than(floor.stamp)


def _step(
    member: Member, remote: str, last: Presence | None, now: Presence, shown: MembersSeen, *, takes: bool
) -> Member:
    """One element: an edit there is a move between last seen and now. A named removal is itself proof of an edit."""
    seen = {**member.seen, remote: now}
    was = last is not None and last.present
    edited = now.present != was or (not now.present and not shown.whole and last is None)
    if takes and edited and now.present != member.wanted:
        return replace(member, wanted=now.present, seen=seen)
    return replace(member, seen=seen)
