"""Plan: what push would send to one copy, and why each field is or is not in it. Pure.

The same function feeds push, the dry run, `show` and the counts of `status`. An empty patch means no call.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from models.lead_list import SCALARS, Abandoned, Copy, Field, LeadList, Member, Standing, Value, Waiting
from models.patch import CopyPlan, Patch, Reason
from worker.engine import members
from worker.engine.observe import as_shown
from worker.engine.rules import Direction, NoMapping, RemoteRules, Rules

#: Reasons that keep a difference from ever being sent without a person or a setting.
_EXCLUDING = frozenset({Reason.NO_MAPPING})

#: The copy shows what is wanted: no conflict is left there, however that came about.
_AGREED = frozenset({Reason.EQUAL, Reason.EQUAL_AS_SHOWN})

#: Reasons that end by themselves: after a read, or after a while.
_WAITING = frozenset({Reason.UNSEEN, Reason.READ_BACK})


def plan(lead_list: LeadList, copy: Copy, rules: RemoteRules, now: datetime) -> CopyPlan:
    """Fields this remote can be written, whose wanted value, as that remote would show it, differs from the copy."""
    reasons = {field: _reason(lead_list, copy, field, rules, now) for field in SCALARS}
    fields = {f: lead_list.wanted[f].value for f, reason in reasons.items() if reason is Reason.DIFFERS}
    add, remove = _members(lead_list, copy, rules)
    reasons[Field.MEMBERS] = _members_reason(copy, rules, now, differs=bool(add or remove))
    if reasons[Field.MEMBERS] is not Reason.DIFFERS:
        add = remove = frozenset()
    patch = Patch(fields, add, remove)
    return CopyPlan(
        patch=patch,
        reasons=reasons,
        standing=_standing(copy, patch, reasons),
        not_before=_not_before(copy, reasons),
    )


def restand(lead_list: LeadList, rules: Rules, now: datetime) -> LeadList:
    """Every copy's standing, recomputed from state. Called in each transaction that touched the list."""
    copies = {name: _restand(lead_list, copy, rules, now) for name, copy in lead_list.copies.items()}
    return replace(lead_list, copies=copies, members=_mark_differing(lead_list, rules))


def _mark_differing(lead_list: LeadList, rules: Rules) -> Mapping[str, Member]:
    """The store finds members that differ anywhere by this mark, without reading the others."""
    if not lead_list.members:
        return lead_list.members
    written = [
        name
        for name in lead_list.copies
        if name in rules.remotes and rules.remotes[name].direction(Field.MEMBERS).writes
    ]
    return {
        name: replace(member, differs=any(member.wanted != member.shown_by(remote) for remote in written))
        for name, member in lead_list.members.items()
    }


def _restand(lead_list: LeadList, copy: Copy, rules: Rules, now: datetime) -> Copy:
    if copy.remote not in rules.remotes:
        return copy  # the remote left the settings: nothing is known of it, so nothing is claimed
    remote_rules = rules.remotes[copy.remote]
    # What it comes to once it has been looked at: a hint must not hide that there is something new to say.
    seen = replace(copy, look=False) if copy.look else copy
    looked = plan(lead_list, seen, remote_rules, now)
    copy = _without_expired(lead_list, copy, looked, now)
    if copy.parked is not None and copy.parked.digest and _is_another(looked.patch, copy.parked.digest):
        copy = replace(copy, parked=None, tries=0)  # another patch is another chance
    if copy.intent is None and Reason.UNSEEN in looked.reasons.values():
        copy = replace(copy, look=True)
    if copy.held:
        copy = replace(copy, held={f: seen for f, seen in copy.held.items() if looked.reasons[f] not in _AGREED})
    planned = looked if copy is seen else plan(lead_list, copy, remote_rules, now)
    match planned.standing:
        case Standing.DUE:
            return _due(copy, planned, now)
        case Standing.IN_SYNC:
            return _rest(copy, Standing.IN_SYNC, since=None)
        case standing:
            return _rest(copy, standing, since=copy.since or now)


def _due(copy: Copy, planned: CopyPlan, now: datetime) -> Copy:
    waiting, due_at = copy.waiting, copy.due_at
    if copy.standing is not Standing.DUE or due_at is None:
        due_at, waiting = now, Waiting.TURN
    if copy.look:
        waiting = waiting if waiting in (Waiting.BACKOFF, Waiting.READ_BACK) else Waiting.FIRST_READ
    elif planned.not_before is not None and not planned.patch:
        due_at, waiting = max(due_at, planned.not_before), Waiting.READ_BACK
    elif waiting in (Waiting.FIRST_READ, Waiting.READ_BACK):
        waiting, due_at = Waiting.TURN, min(due_at, now)
    return _changed(copy, standing=Standing.DUE, waiting=waiting, due_at=due_at, since=copy.since or now)


def _rest(copy: Copy, standing: Standing, *, since: datetime | None) -> Copy:
    parked = copy.parked if standing is Standing.PARKED else None
    return _changed(copy, standing=standing, waiting=None, due_at=None, since=since, tries=0, parked=parked)


def _changed(copy: Copy, **values: Any) -> Copy:
    """`replace`, but the very same object when nothing would change: most copies of most lists stand as they stood."""
    return copy if all(getattr(copy, name) == value for name, value in values.items()) else replace(copy, **values)


def _reason(lead_list: LeadList, copy: Copy, field: Field, rules: RemoteRules, now: datetime) -> Reason:
    blocked = _blocked(copy, field, rules)
    if blocked is not None:
        return blocked
    wanted, seen = lead_list.wanted.get(field), copy.seen.get(field)
    if wanted is None:
        return Reason.NOTHING_WANTED
    try:
        shown = as_shown(copy, field, wanted.value, rules)
    except NoMapping:
        return Reason.CONFLICT if field in copy.held else Reason.NO_MAPPING
    # Equal now is not equal for good while an older write of another value may still undo it.
    late = _may_land_late(copy, field, wanted.value, now)
    if seen is not None and seen.value == shown and not late:
        return Reason.EQUAL if shown == wanted.value else Reason.EQUAL_AS_SHOWN
    if field in copy.held:
        return Reason.CONFLICT
    if seen is None or copy.look:
        return Reason.UNSEEN
    return Reason.READ_BACK if late else Reason.DIFFERS


def _members_reason(copy: Copy, rules: RemoteRules, now: datetime, *, differs: bool) -> Reason:
    blocked = _blocked(copy, Field.MEMBERS, rules)
    if blocked is not None:
        return blocked
    abandoned = copy.abandoned.get(Field.MEMBERS)
    late = abandoned is not None and abandoned.until > now
    if not (differs or late):
        return Reason.EQUAL
    if copy.look or Field.MEMBERS not in copy.seen:
        return Reason.UNSEEN
    return Reason.READ_BACK if late else Reason.DIFFERS


def _blocked(copy: Copy, field: Field, rules: RemoteRules) -> Reason | None:
    """Why this field is never written there, whatever its value."""
    direction = rules.direction(field)
    if direction is Direction.NONE or field in copy.hidden:
        return Reason.NO_FIELD
    return None if direction.writes else Reason.DIRECTION


def _members(lead_list: LeadList, copy: Copy, rules: RemoteRules) -> tuple[frozenset[str], frozenset[str]]:
    if not rules.direction(Field.MEMBERS).writes:
        return frozenset(), frozenset()
    return members.difference(lead_list.members, copy.remote)


def _may_land_late(copy: Copy, field: Field, value: Value, now: datetime) -> bool:
    """An older write of *another* value may still arrive and undo ours. The same value may be sent again."""
    abandoned = copy.abandoned.get(field)
    return abandoned is not None and abandoned.until > now and abandoned.value != value


def _not_before(copy: Copy, reasons: dict[Field, Reason]) -> datetime | None:
    waits = [copy.abandoned[f].until for f, reason in reasons.items() if reason is Reason.READ_BACK]
    return max(waits, default=None)


def _standing(copy: Copy, patch: Patch, reasons: dict[Field, Reason]) -> Standing:
    said: Iterable[Reason] = reasons.values()
    # A call in flight is settled by its answer, or looked at when its lease ends: never forgotten as in sync.
    if patch or copy.look or copy.intent is not None or not _WAITING.isdisjoint(said):
        return Standing.DUE if copy.parked is None else Standing.PARKED
    if Reason.CONFLICT in said:
        return Standing.CONFLICT
    return Standing.EXCLUDED if _EXCLUDING.intersection(said) else Standing.IN_SYNC


def _is_another(patch: Patch, digest: str) -> bool:
    return bool(patch) and patch.digest() != digest


def _without_expired(lead_list: LeadList, copy: Copy, looked: CopyPlan, now: datetime) -> Copy:
    """Without the writes that can no longer arrive. Where nothing else is going to be written over one of them,
    a last look must tell whether it did arrive; `settle` forgets it then.
    """
    over = {field: one for field, one in copy.abandoned.items() if one.until <= now}
    if not over or copy.look or copy.intent is not None:
        return copy  # a look that comes first must still know them
    settled = {f for f, one in over.items() if looked.reasons[f] is Reason.DIFFERS or _is_wanted(lead_list, f, one)}
    kept = {field: one for field, one in copy.abandoned.items() if field not in settled}
    return replace(copy, abandoned=kept, look=len(settled) < len(over))


def _is_wanted(lead_list: LeadList, field: Field, abandoned: Abandoned) -> bool:
    wanted = lead_list.wanted.get(field)
    return field is not Field.MEMBERS and wanted is not None and wanted.value == abandoned.value
