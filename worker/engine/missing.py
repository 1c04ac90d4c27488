"""Missing: copies that are to be created, and copies whose list is no longer there. Pure; called by all use cases.

A copy that is to be created is a copy like any other: due, planned, shown, paused, parked. Until the remote has given
it an id it goes by `pending:` and the number of its lead list; what it would be told is the patch of `plan`.
"""

from __future__ import annotations

from models.lead_list import GONE, PENDING, Absence, Copy, Field, LeadList, with_copy
from models.values import replace
from worker.engine.rules import Rules


def with_missing(lead_list: LeadList, rules: Rules) -> LeadList:
    """With a pending copy on each remote that creates lists and has none of this one.

    Not before somebody has said a name, and not where the list was taken away from.
    """
    missing = [
        remote
        for remote, one in rules.remotes.items()
        if one.creates and remote not in lead_list.copies and remote not in lead_list.apart
    ]
    pending = {remote: pending_copy(lead_list, remote) for remote in missing if nameable(lead_list, rules, remote)}
    if not pending or not _exists(lead_list):
        return lead_list
    return replace(lead_list, copies={**lead_list.copies, **pending})


def pending_copy(lead_list: LeadList, remote: str) -> Copy:
    """The copy to be created there. The list must have its number."""
    return Copy(remote=remote, remote_id=f"{PENDING}{lead_list.id}")


def nameable(lead_list: LeadList, rules: Rules, remote: str) -> bool:
    """Whether a new list there can be given its name: no remote here makes one without."""
    return Field.NAME in lead_list.wanted and rules.remotes[remote].direction(Field.NAME).writes


def under_way(copy: Copy) -> bool:
    """A create was sent, and nobody knows yet what came of it."""
    return copy.pending and (copy.intent is not None or bool(copy.abandoned))


def is_only_meant(copy: Copy) -> bool:
    """It is to be created, and surely was not yet."""
    return copy.pending and not under_way(copy)


def without_pending(lead_list: LeadList, remote: str) -> LeadList:
    """Make room for a list that turned out to exist there. Not while a create is in flight: that makes another one."""
    copy = lead_list.copies.get(remote)
    if copy is None or not _can_go(copy):
        return lead_list
    return replace(lead_list, copies={name: one for name, one in lead_list.copies.items() if name != remote})


def returned(lead_list: LeadList, remote: str) -> LeadList:
    """The list is shown there: what spoke for its being gone is void, and what was parked for a 404 is read again."""
    copy = lead_list.copies[remote]
    if not copy.absent:
        return lead_list
    not_found = Absence.NOT_FOUND in copy.absent
    parked, look = (None, True) if not_found else (copy.parked, copy.look)
    back = replace(copy, absent=frozenset(), parked=parked, look=look)
    return with_copy(lead_list, back)


def without(lead_list: LeadList, remote: str) -> LeadList:
    """Let its copy go. What it showed last is forgotten, so that a later link removes nothing; all of the list's
    members must be loaded. A list that is nowhere any more is created nowhere.
    """
    members = {
        name: replace(
            member,
            seen={on: shown for on, shown in member.seen.items() if on != remote},
            excluded={on: why for on, why in member.excluded.items() if on != remote},
        )
        for name, member in lead_list.members.items()
    }
    copies = {on: other for on, other in lead_list.copies.items() if on != remote}
    if all(map(is_only_meant, copies.values())):
        copies = {}
    return replace(lead_list, copies=copies, members=members)


def let_go(lead_list: LeadList, remote: str) -> LeadList:
    """Without its copy there and what people hold of that alone, as `without`; it is not created there by itself."""
    left, holds = without(lead_list, remote), {on: one for on, one in lead_list.holds.items() if on != remote}
    return replace(left, apart=left.apart | {remote}, holds=holds)


def _can_go(copy: Copy) -> bool:
    return copy.pending and copy.intent is None


def _exists(lead_list: LeadList) -> bool:
    """Somewhere, as far as is known."""
    return any(not copy.pending and copy.absent != GONE for copy in lead_list.copies.values())


def doubted(lead_list: LeadList, remote: str) -> LeadList:
    """A scan did not show it. An older 404 does not count any more: it is asked for again."""
    copy = lead_list.copies.get(remote)
    if copy is None or copy.pending or copy.absent == GONE:
        return lead_list
    # Whatever it was parked for: only a read tells whether it is still there.
    return with_copy(lead_list, replace(copy, absent=frozenset({Absence.NOT_LISTED}), parked=None, look=True))
