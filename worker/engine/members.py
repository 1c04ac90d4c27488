"""Membership: a set that merges element by element, so that it never conflicts. Called by observe and plan. Pure.

Added there since last seen: wanted gains it. Removed there since last seen: wanted loses it. Without a
last-seen state nothing is ever removed: a join is a union.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from models.lead_list import Member, Presence, Replaced, Seen, Stamp
from models.observation import Evidence, MembersSeen, Observation
from models.patch import Patch
from models.values import replace


@dataclass(frozen=True, slots=True)
class Merged:
    """All elements afterwards, and which ones wanted gained and lost."""

    members: Mapping[str, Member]
    gained: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    #: Some news was left out: the membership is to be read.
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Ours:
    """Our own writes of the membership there, as far as news may speak of them."""

    #: What those in flight, or given up, add and remove.
    patch: Patch = field(default_factory=Patch)
    #: The last one that wrote the whole membership anew.
    replaced: Replaced | None = None
    #: One that writes the whole is under way, or may be: that somebody is gone may be its doing.
    replacing: bool = False

    def brings(self, name: str, *, present: bool) -> bool:
        """Whether that is our own doing."""
        return name in (self.patch.add if present else self.patch.remove)


#: No write of ours that news could speak of.
NOTHING = Ours()


def merge(
    known: Mapping[str, Member],
    floor: Seen | None,
    seen: Observation,
    shown: MembersSeen,
    *,
    takes: bool,
    ours: Ours = NOTHING,
) -> Merged:
    """Take news about membership in. `known` must hold every element named, and for a whole set all of them.

    `floor` is when the whole set was last seen there: news about an element that is older than its own row,
    or older than the floor where it has none, is late and ignored. With `takes` false the copy is noted but
    wanted stays; the same goes for what is `ours`. What a write of ours replaced is no longer there, but it was a
    person's edit all the same.
    """
    after, gained, lost, doubtful = dict(known), set[str](), set[str](), False
    undone, echo = is_undone(ours.replaced, seen), is_echo(ours.replaced, seen)
    for name, present in _news(known, seen.remote, shown):
        member = known.get(name)
        last = member.seen.get(seen.remote) if member else None
        if _overtaken(_theirs(last, ours.replaced if undone else None), None if undone else floor, seen.stamp):
            continue
        own = echo or ours.brings(name, present=present)
        if ours.replacing and not (present or own) and seen.evidence is Evidence.EVENT:
            doubtful = True
            continue
        now = Presence(present, seen.stamp)
        moved = _step(member or Member(False), seen.remote, last, now, shown, takes=takes and not own)
        after[name] = _as_replaced(moved, seen.remote, last, ours.replaced) if undone and ours.replaced else moved
        if moved.wanted != (member is not None and member.wanted):
            (gained if moved.wanted else lost).add(name)
    return Merged(after, frozenset(gained), frozenset(lost), doubtful)


def is_undone(replaced: Replaced | None, seen: Observation) -> bool:
    """The news is of the moment between our reading the whole membership and our writing it anew: that overwrote it."""
    if replaced is None or seen.evidence is not Evidence.EVENT:
        return False
    return replaced.read < seen.stamp.time < replaced.landed


def is_echo(replaced: Replaced | None, seen: Observation) -> bool:
    """The news is of our own writing of the whole membership, whatever it says of others' members."""
    return replaced is not None and seen.evidence is Evidence.EVENT and seen.stamp.time == replaced.landed


def undo(members: Mapping[str, Member], remote: str, read: Mapping[str, bool], replaced: Replaced) -> dict[str, Member]:
    """What others changed there while we wrote the whole membership anew, and what news told of before our write was
    answered: on the remote it is as it was when we had `read` it. What they want stays wanted.
    """
    after = dict(members)
    for name, member in members.items():
        last = member.seen.get(remote)
        if last is not None and replaced.read < last.stamp.time < replaced.landed:
            there = Presence(read.get(name, False), Stamp(replaced.landed))
            after[name] = replace(member, seen={**member.seen, remote: there})
    return after


def _theirs(last: Presence | None, replaced: Replaced | None) -> Presence | None:
    """What was last seen of an element, unless that was only what our own write made of it."""
    if last is not None and replaced is not None and last.stamp.time == replaced.landed:
        return None
    return last


def _as_replaced(member: Member, remote: str, last: Presence | None, replaced: Replaced) -> Member:
    there = Presence(last is not None and last.present, Stamp(replaced.landed))
    return replace(member, seen={**member.seen, remote: there})


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
        return Braked({**merged.members, **kept}, merged.gained, merged.lost - stopped, stopped=stopped)
    shown = {name for name, member in merged.members.items() if member.shown_by(remote)}
    surplus = frozenset(
        name for name in shown if not merged.members[name].wanted and not _was_shown(known.get(name), remote)
    )
    stopped = surplus if held or brake(len(surplus), len(shown)) else frozenset()
    return Braked(merged.members, merged.gained, merged.lost, stopped=stopped)


def _was_shown(member: Member | None, remote: str) -> bool:
    return member is not None and member.shown_by(remote)


def reachable(member: Member, remote: str) -> bool:
    """Whether the remote can be told of it."""
    return not (member.wanted and remote in member.excluded)


def difference(members: Mapping[str, Member], remote: str) -> tuple[frozenset[str], frozenset[str]]:
    """What must be added to, and removed from, `remote` to show what is wanted, as far as it can be told."""
    differing = [
        (name, m.wanted) for name, m in members.items() if m.wanted != m.shown_by(remote) and reachable(m, remote)
    ]
    add = frozenset(name for name, wanted in differing if wanted)
    return add, frozenset(name for name, wanted in differing if not wanted)


def _news(known: Mapping[str, Member], remote: str, shown: MembersSeen) -> Iterable[tuple[str, bool]]:
    """Every element the news speaks of. A whole set also speaks of what it leaves out, where that was seen before."""
    for name in sorted(shown.added):
        yield name, True
    tells_all = shown.whole and not shown.rest_as_known
    absent = [n for n, m in known.items() if remote in m.seen and n not in shown.added] if tells_all else ()
    for name in sorted(shown.removed.union(absent)):
        yield name, False


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
        # Who goes and comes back is told of once more, whatever a remote refused before.
        excluded = member.excluded if now.present else {}
        return replace(member, wanted=now.present, seen=seen, excluded=excluded)
    return replace(member, seen=seen)
