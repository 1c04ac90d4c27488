"""Plan: what push would send to one copy, and why each field is or is not in it. Pure.

The same function feeds push, the dry run, `show` and the counts of `status`. An empty patch means no call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from models.lead_list import (
    NOBODY,
    SCALARS,
    Abandoned,
    Copy,
    Field,
    Kind,
    LeadList,
    Member,
    Standing,
    Value,
    Waiting,
)
from models.patch import CopyPlan, Patch, Reason
from models.values import replace
from worker.engine import members
from worker.engine.observe import as_shown
from worker.engine.rules import FEW, Direction, NoMapping, RemoteRules, Rules

#: Reasons that keep a difference from ever being sent without a person or a setting.
_EXCLUDING = frozenset({Reason.NO_MAPPING, Reason.EXCLUDED})

#: Nothing is left to be held there, however that came about: it shows what is wanted, or may be told.
_SETTLED = frozenset({Reason.EQUAL, Reason.EQUAL_AS_SHOWN, Reason.DIFFERS})

#: Reasons that end by themselves, after a read or after a while, or that are as good as sent once a person says so.
_WAITING = frozenset({Reason.UNSEEN, Reason.READ_BACK, Reason.BRAKE})


def plan(lead_list: LeadList, copy: Copy, rules: RemoteRules, now: datetime) -> CopyPlan:
    """Fields this remote can be written, whose wanted value, as that remote would show it, differs from the copy."""
    reasons = {field: _reason(lead_list, copy, field, rules, now) for field in SCALARS}
    fields = {f: lead_list.wanted[f].value for f, reason in reasons.items() if reason is Reason.DIFFERS}
    add, remove = _members(lead_list, copy, rules)
    reasons[Field.MEMBERS] = _members_reason(lead_list, copy, rules, now, add, remove)
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
    compared = [
        name
        for name, copy in lead_list.copies.items()
        if name in rules.remotes and _is_compared(copy, Field.MEMBERS, rules.remotes[name])
    ]
    return {name: _marked(member, compared) for name, member in lead_list.members.items()}


def _marked(member: Member, compared: Iterable[str]) -> Member:
    differs = any(member.wanted != member.shown_by(on) and members.reachable(member, on) for on in compared)
    return member if differs == member.differs else replace(member, differs=differs)


def _restand(lead_list: LeadList, copy: Copy, rules: Rules, now: datetime) -> Copy:
    if copy.remote not in rules.remotes:
        return copy  # the remote left the settings: nothing is known of it, so nothing is claimed
    remote_rules = rules.remotes[copy.remote]
    # What it comes to once it has been looked at: a hint must not hide that there is something new to say.
    seen = replace(copy, look=False) if copy.look else copy
    looked = plan(lead_list, seen, remote_rules, now)
    copy = _without_expired(lead_list, copy, looked, remote_rules, now)
    if copy.parked is not None and copy.parked.digest and _is_another(lead_list, copy, looked.patch):
        copy = replace(copy, parked=None, tries=0)  # another patch is another chance
    if copy.intent is None and not copy.pending and Reason.UNSEEN in looked.reasons.values():
        copy = replace(copy, look=True)
    if copy.approved and copy.approved != signature(copy, offered(lead_list, copy, remote_rules, now)):
        copy = replace(copy, approved="")  # it was sent, or is no longer what the person saw
    if copy.held:
        copy = replace(copy, held={f: seen for f, seen in copy.held.items() if looked.reasons[f] not in _SETTLED})
    planned = looked if copy is seen else plan(lead_list, copy, remote_rules, now)
    match planned.standing:
        case Standing.DUE:
            due = _due(copy, planned, remote_rules, now)
            return due if lead_list.hold_on(copy.remote) is None else _on_hold(due, planned)
        case Standing.IN_SYNC:
            return _rest(copy, Standing.IN_SYNC, since=None)
        case standing:
            return _rest(copy, standing, since=copy.since or now)


def signature(copy: Copy, patch: Patch) -> str:
    """What a person lets through: this patch, for this list, over these values. It no longer fits when one has moved.

    Members need no base of their own: what is to be added is not there, what is to be removed is, and others do not
    matter.
    """
    base = {field.value: copy.seen[field].value for field in patch.fields if field in copy.seen}
    contents = (copy.remote_id, patch.digest(), base)
    return hashlib.sha256(orjson.dumps(contents, option=orjson.OPT_SORT_KEYS)).hexdigest()


def tried(kind: Kind | None, copy: Copy, patch: Patch) -> str:
    """By what a patch that was parked is known again. To create a list is another thing once its kind is known."""
    return patch.digest() + ("?" if copy.pending and kind is None else "")


def offered(lead_list: LeadList, copy: Copy, rules: RemoteRules, now: datetime) -> Patch:
    """What people are shown and may let through: the whole patch, even where a read or an older write comes first.
    It stays the same while that passes, unless something new is seen.
    """
    return plan(lead_list, replace(copy, look=False, abandoned={}), rules, now).patch


def let_through(copy: Copy, patch: Patch, rules: RemoteRules) -> bool:
    """Whether the patch may be sent as far as people are concerned. A part of what they saw may not."""
    return not asks_first(copy, patch, rules) or copy.approved == signature(copy, patch)


def asks_first(copy: Copy, patch: Patch, rules: RemoteRules) -> bool:
    """A person must have seen the patch: all are to be seen, or this one costs money."""
    return rules.review or _enriches_many(copy, patch, rules)


def _enriches_many(copy: Copy, patch: Patch, rules: RemoteRules) -> bool:
    """It adds many members to a list on which each may start paid work (docs/remotes: Instantly's enrichment)."""
    if rules.enrich_at_once is None or len(patch.add) <= rules.enrich_at_once:
        return False
    seen = copy.seen.get(Field.ENRICHMENT)
    return patch.fields.get(Field.ENRICHMENT, seen and seen.value) is True


def _due(copy: Copy, planned: CopyPlan, rules: RemoteRules, now: datetime) -> Copy:
    waiting, due_at = copy.waiting, copy.due_at
    # What could not be told was no wait of ours: it begins with what can be.
    since = now if copy.standing is Standing.EXCLUDED else copy.since or now
    held = _held_for_a_person(copy, planned, rules)
    if held is not None:
        return _changed(copy, standing=Standing.DUE, waiting=held, due_at=None, since=since)
    if copy.standing is not Standing.DUE or due_at is None:
        due_at, waiting = now, Waiting.TURN
    if copy.look:
        waiting = waiting if waiting in (Waiting.BACKOFF, Waiting.READ_BACK) else Waiting.FIRST_READ
    elif planned.not_before is not None and not (
        planned.patch and copy.parked is None and let_through(copy, planned.patch, rules)
    ):
        due_at, waiting = max(due_at, planned.not_before), Waiting.READ_BACK
    elif waiting in (Waiting.FIRST_READ, Waiting.READ_BACK):
        waiting, due_at = Waiting.TURN, min(due_at, now)
    return _changed(copy, standing=Standing.DUE, waiting=waiting, due_at=due_at, since=since)


def _on_hold(copy: Copy, planned: CopyPlan) -> Copy:
    """It is read like any other, and what was sent is waited for; what it is to be told waits for its release."""
    due_at = copy.due_at if copy.look or copy.intent is not None else planned.not_before
    return _changed(copy, waiting=Waiting.HOLD, due_at=due_at)


def _held_for_a_person(copy: Copy, planned: CopyPlan, rules: RemoteRules) -> Waiting | None:
    """Why nothing of it is sent before a person has spoken; None when something can be done now, or later by itself."""
    if copy.look or copy.intent is not None or planned.not_before is not None:
        return None
    if not planned.patch:
        return Waiting.BRAKE if Reason.BRAKE in planned.reasons.values() else None
    if let_through(copy, planned.patch, rules):
        return None
    return Waiting.REVIEW if rules.review else Waiting.BRAKE


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
    if copy.look or (seen is None and not copy.pending):
        return Reason.UNSEEN
    return Reason.READ_BACK if late else Reason.DIFFERS


def _members_reason(
    lead_list: LeadList, copy: Copy, rules: RemoteRules, now: datetime, add: frozenset[str], remove: frozenset[str]
) -> Reason:
    if _is_unread(copy, rules):
        return Reason.UNSEEN
    blocked = _blocked(copy, Field.MEMBERS, rules)
    if blocked is not None:
        return blocked
    abandoned = copy.abandoned.get(Field.MEMBERS)
    late, takes = abandoned is not None and abandoned.until > now, rules.direction(Field.MEMBERS).takes
    if not takes and not add and not _is_shown_elsewhere(lead_list, copy):
        return Reason.NOTHING_WANTED
    if not (add or remove or late):
        return Reason.EXCLUDED if copy.excluded else Reason.EQUAL
    # Where edits do not count, the rest may go once it is only a few.
    if (add or remove) and Field.MEMBERS in copy.held and (takes or len(remove) > FEW):
        return Reason.BRAKE
    if late:
        return Reason.UNSEEN if copy.look or Field.MEMBERS not in copy.seen else Reason.READ_BACK
    doubled = rules.members_apart and _may_be_doubled(lead_list, copy, abandoned)
    return Reason.UNSEEN if copy.look or Field.MEMBERS not in copy.seen or doubled else Reason.DIFFERS


def _is_unread(copy: Copy, rules: RemoteRules) -> bool:
    """Its members count, and nothing else would read them: they are apart, and neither a list nor a page shows them."""
    takes = rules.members_apart and rules.direction(Field.MEMBERS).takes
    return takes and Field.MEMBERS not in copy.seen and not copy.pending


def _blocked(copy: Copy, field: Field, rules: RemoteRules) -> Reason | None:
    """Why this field is never written there, whatever its value."""
    if rules.direction(field) is Direction.NONE or field in copy.hidden:
        return Reason.NO_FIELD
    return None if _is_compared(copy, field, rules) else Reason.DIRECTION


def _is_compared(copy: Copy, field: Field, rules: RemoteRules) -> bool:
    """It is written there; or a person is to decide what was edited there, even if nothing is ever written."""
    direction = rules.direction(field)
    return direction.writes or (direction.takes and field in copy.held)


def _members(lead_list: LeadList, copy: Copy, rules: RemoteRules) -> tuple[frozenset[str], frozenset[str]]:
    if not (lead_list.members and _is_compared(copy, Field.MEMBERS, rules)):
        return frozenset(), frozenset()
    add, remove = members.difference(lead_list.members, copy.remote)
    # A base that is unknown removes nothing (design rule 8): who else would know what does not belong there?
    takes = rules.direction(Field.MEMBERS).takes
    return add, remove if takes or _is_shown_elsewhere(lead_list, copy) else frozenset()


def _is_shown_elsewhere(lead_list: LeadList, copy: Copy) -> bool:
    """Another copy has shown its whole membership."""
    return any(Field.MEMBERS in other.seen for remote, other in lead_list.copies.items() if remote != copy.remote)


def _may_land_late(copy: Copy, field: Field, value: Value, now: datetime) -> bool:
    """An older write of *another* value may still arrive and undo ours. The same value may be sent again."""
    abandoned = copy.abandoned.get(field)
    return abandoned is not None and abandoned.until > now and abandoned.value != value


def _not_before(copy: Copy, reasons: dict[Field, Reason]) -> datetime | None:
    if not copy.abandoned:
        return None
    waits = [copy.abandoned[f].until for f, reason in reasons.items() if reason is Reason.READ_BACK]
    return max(waits, default=None)


def _standing(copy: Copy, patch: Patch, reasons: dict[Field, Reason]) -> Standing:
    said: Iterable[Reason] = reasons.values()
    # A call in flight is settled by its answer, or looked at when its lease ends: never forgotten as in sync.
    if patch or copy.look or copy.intent is not None or not _WAITING.isdisjoint(said):
        return Standing.PARKED if _stays_parked(copy, said) else Standing.DUE
    if Reason.CONFLICT in said:
        return Standing.CONFLICT
    return Standing.EXCLUDED if _EXCLUDING.intersection(said) else Standing.IN_SYNC


def _stays_parked(copy: Copy, said: Iterable[Reason]) -> bool:
    """A person is waited for. One that failed to be told something can be read all the same, and may be told another
    thing when that need not wait any longer.
    """
    if copy.parked is None:
        return False
    return copy.pending or not copy.parked.digest or not (copy.look or Reason.READ_BACK in said)


def is_parked(lead_list: LeadList, copy: Copy, patch: Patch) -> bool:
    """This very patch has failed, and waits for a person."""
    return copy.parked is not None and tried(lead_list.kind, copy, patch) == copy.parked.digest


def _is_another(lead_list: LeadList, copy: Copy, patch: Patch) -> bool:
    return bool(patch) and copy.parked is not None and tried(lead_list.kind, copy, patch) != copy.parked.digest


def _without_expired(lead_list: LeadList, copy: Copy, looked: CopyPlan, rules: RemoteRules, now: datetime) -> Copy:
    """Without the writes that can no longer arrive, and of which nothing is left to learn. Where nothing is going to be
    written in their place, a last look must tell whether one did arrive; where something is, its answer will. `settle`
    forgets them then: until something is seen, what landed unseen is ours and no edit. Members are not written over
    each other, and nothing is on hold.
    """
    over = {field: one for field, one in copy.abandoned.items() if one.until <= now}
    if not over or copy.look or copy.intent is not None:
        return copy  # a look that comes first must still know them
    held = lead_list.hold_on(copy.remote) is not None
    wanted = {field for field, one in over.items() if _is_wanted(lead_list, field, one)}
    if rules.members_apart and _may_be_doubled(lead_list, copy, over.get(Field.MEMBERS)):
        wanted -= {Field.MEMBERS}
    differs = {field for field in over if looked.reasons[field] is Reason.DIFFERS}
    told_anew = wanted if held else wanted | (differs - {Field.MEMBERS})
    kept = {field: one for field, one in copy.abandoned.items() if field not in wanted - differs}
    return replace(copy, abandoned=kept, look=not over.keys() <= told_anew)


def _may_be_doubled(lead_list: LeadList, copy: Copy, abandoned: Abandoned | None) -> bool:
    """Rows are made for members, and were perhaps made already: told once more, they would be there twice."""
    added = abandoned.add if abandoned is not None else frozenset[str]()
    return any(not lead_list.members.get(key, NOBODY).shown_by(copy.remote) for key in added)


def _is_wanted(lead_list: LeadList, field: Field, abandoned: Abandoned) -> bool:
    if field is Field.MEMBERS:
        known = lead_list.members
        return all(
            key in known and known[key].wanted is (key in abandoned.add) for key in abandoned.add | abandoned.remove
        )
    wanted = lead_list.wanted.get(field)
    return wanted is not None and wanted.value == abandoned.value
