"""Membership: what a remote shows of a list's members, as news of keys. Called by settle and scan.

A membership may have a million members, and mostly nothing is new. So a whole one is compared by its tally first; only
when that differs, all rows of the list are loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from models.lead_list import Copy, Field, LeadList, Member, Presence, Replaced, with_copy
from models.observation import MembersSeen, Observation, Shown
from models.patch import Patch
from models.scan import Quiet
from models.values import replace
from worker.engine import tally
from worker.engine.drift import has_same_version
from worker.engine.members import undo
from worker.engine.rules import Rules
from worker.ports import Every, Tx
from worker.sync.identity import ids_in, in_part, keys_of, tally_there


def in_short(
    tx: Tx, seen: Observation, lead_list: LeadList, rules: Rules, patch: Patch | None = None
) -> Observation | None:
    """The news in keys, when it needs no more of the list than is loaded: parts of a membership, or a whole one that is
    as the copy showed it but for our own `patch`, whose members are loaded. None when all rows must be.
    """
    if seen.members is None or not seen.members.whole:
        return in_full(tx, seen, rules)
    copy = lead_list.copies[seen.remote]
    if copy.tally is None or Field.MEMBERS in copy.abandoned:
        return None
    ours = _ours(copy, lead_list.members, patch or Patch())
    expected = tally.moved(copy.tally, seen.remote, lead_list.members, _after(lead_list.members, ours, seen))
    there = tally_there(tx, seen.remote, seen.members.added, rules)
    return replace(seen, members=ours) if tally.same_members(expected, there) else None


def in_full(tx: Tx, seen: Observation, rules: Rules) -> Observation:
    """The news in keys; of a whole membership, all of them."""
    return in_part(tx, seen, keys_of(tx, seen.remote, ids_in([seen]), rules), rules)[0]


def overwritten(lead_list: LeadList, read: Observation, written: Observation) -> LeadList:
    """After our own write of the whole membership, which was read and written at these moments: what news told of
    between them is no longer there.
    """
    copy = lead_list.copies[written.remote]
    replaced = Replaced(read.stamp.time, written.stamp.time)
    shown = dict.fromkeys(read.members.added, True) if read.members else {}
    members = undo(lead_list.members, copy.remote, shown, replaced) if _is_all(read) else dict(lead_list.members)
    counted = copy.tally and tally.moved(copy.tally, copy.remote, lead_list.members, members)
    return with_copy(replace(lead_list, members=members), replace(copy, replaced=replaced, tally=counted))


#: Lists by their id on a remote, locked, each with what was seen of it, in keys.
Looked = dict[str, tuple[LeadList, Observation]]


def looked_at(tx: Tx, remote: str, seen: Mapping[str, Observation], rules: Rules) -> Looked:
    """What some looks tell of lists that are known, with as many members as that needs."""
    numbers = tx.find([(remote, on) for on in seen])
    lists = tx.load(set(numbers.values()))
    # One that was unlinked or joined between our look and our lock is met again by the next scan.
    known = {on: lists[number] for (_, on), number in numbers.items() if _holds(lists.get(number), remote, on)}
    short = {on: in_short(tx, seen[on], one, rules) for on, one in known.items()}
    unclear = [known[on].id for on, one in short.items() if one is None]
    lists |= tx.load(unclear, dict.fromkeys(unclear, Every.MEMBER))
    return {on: (lists[known[on].id], one or in_full(tx, seen[on], rules)) for on, one in short.items()}


def are_old_news(tx: Tx, remote: str, copy: Quiet, shown: Shown, rules: Rules) -> bool:
    """Whether these are the members that the copy showed before."""
    if shown.members is None or not rules.remotes[remote].direction(Field.MEMBERS).used:
        return shown.moved is None
    seen = copy.seen.get(Field.MEMBERS)
    if seen is None or copy.tally is None or shown.rows not in (None, copy.tally.rows):
        return False
    same = has_same_version(seen, shown, rules.remotes[remote])
    return same and tally.same_members(copy.tally, tally_there(tx, remote, shown.members, rules))


def _holds(lead_list: LeadList | None, remote: str, remote_id: str) -> bool:
    copy = lead_list.copies.get(remote) if lead_list else None
    return copy is not None and copy.remote_id == remote_id


def members_named(tx: Tx, observations: Iterable[Observation], rules: Rules) -> set[str]:
    """Keys of the members that news of parts speaks of: their rows are needed."""
    parts = [one for one in observations if one.members is not None and not one.members.whole]
    return {key for one in parts for key in keys_of(tx, one.remote, ids_in([one]), rules).values()}


def held_off(lead_list: LeadList, remote: str, why: Mapping[str, str]) -> LeadList:
    """With the members that the remote did not take: it is not told of them again before more is known of them."""
    known = {key: lead_list.members[key] for key in why if key in lead_list.members}
    marked = {key: replace(one, excluded={**one.excluded, remote: why[key]}) for key, one in known.items()}
    return replace(lead_list, members={**lead_list.members, **marked}) if marked else lead_list


def _is_all(read: Observation) -> bool:
    return read.members is not None and read.members.whole and not read.members.rest_as_known


def _ours(copy: Copy, members: Mapping[str, Member], patch: Patch) -> MembersSeen:
    """What our patch brought there and took away, as far as it was not so before."""
    add = frozenset(key for key in patch.add if key in members and not members[key].shown_by(copy.remote))
    remove = frozenset(key for key in patch.remove if key in members and members[key].shown_by(copy.remote))
    return MembersSeen(whole=True, added=add, removed=remove, rest_as_known=True)


def _after(members: Mapping[str, Member], ours: MembersSeen, seen: Observation) -> dict[str, Member]:
    def shown(keys: Collection[str], *, present: bool) -> dict[str, Member]:
        presence = Presence(present, seen.stamp)
        return {key: replace(members[key], seen={**members[key].seen, seen.remote: presence}) for key in keys}

    return shown(ours.added, present=True) | shown(ours.removed, present=False)
