"""Observe: what one observation does to a lead list. The whole policy, as docs/how-it-works.md draws it.

| seen before there | against wanted      | what happened in the world           | what we do                       |
| ----------------- | ------------------- | ------------------------------------ | -------------------------------- |
| newer stamp       | -                   | late or duplicate news               | ignore                           |
| -                 | value == wanted     | our echo, or the same edit twice     | copy = value                     |
| never             | nothing wanted      | first sight of this field anywhere   | copy = value; wanted = value     |
| never             | value != wanted     | copies differ when first linked      | copy = value; authority decides  |
| same value        | value != wanted     | our patch is still on its way        | nothing                          |
| other value       | wanted == seen      | a person edited it there             | copy = value; wanted = value     |
| other value       | wanted != seen      | edited there *and* somewhere else    | conflict: policy decides         |

Called by intake (events), settle (reads and answers) and scan. Pure.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from models.lead_list import (
    SCALARS,
    Abandoned,
    Copy,
    Field,
    LeadList,
    Member,
    Seen,
    Spelling,
    Stamp,
    Tally,
    Value,
    Wanted,
)
from models.ledger import Change, ChangeKind
from models.observation import Evidence, MembersSeen, Observation
from models.patch import Patch
from models.values import replace
from worker.engine import conflict, members, tally
from worker.engine.conflict import Winner
from worker.engine.members import Braked
from worker.engine.rules import CLOCK_SKEW, NoMapping, RemoteRules, Rules

V = TypeVar("V")


class Verdict(enum.StrEnum):
    """What one shown value means, one member a row of the table."""

    AGREE = "agree"  #: the copy shows what is wanted
    FIRST = "first"  #: nobody had said a value yet
    LINK = "link"  #: first sight there, and it differs
    PENDING = "pending"  #: nothing new there; our patch is on its way
    EDIT = "edit"  #: a person edited it there, and nobody else did
    CONFLICT = "conflict"  #: edited there and somewhere else


class News(enum.StrEnum):
    """How a stamp stands against the last one seen on this copy."""

    FRESH = "fresh"  #: newer, or the first
    SAME = "same"  #: the very stamp already seen
    LATE = "late"  #: older: overtaken by what we know


@dataclass(frozen=True, slots=True)
class Observed:
    """The list afterwards, and what the ledger is to say about it."""

    lead_list: LeadList
    changes: tuple[Change, ...] = ()


def judge(before: Seen | None, wanted: Wanted | None, value: Value, shown: Value) -> Verdict:
    """The table, row by row. `shown` is the wanted value as this remote shows it."""
    if wanted is not None and value == shown:
        return Verdict.AGREE
    match before, wanted:
        case _, None:
            return Verdict.FIRST
        case None, _:
            return Verdict.LINK
        case Seen(value=old), _ if old == value:
            return Verdict.PENDING
        case Seen(value=old), _ if old == shown:
            return Verdict.EDIT
        case _:
            return Verdict.CONFLICT


def news(before: Seen | None, stamp: Stamp) -> News:
    """Stamps of one copy are compared with each other only."""
    if before is None or before.stamp.older_than(stamp):
        return News.FRESH
    return News.LATE if stamp.older_than(before.stamp) else News.SAME


def observe(lead_list: LeadList, seen: Observation, rules: Rules) -> Observed:
    """Take `seen` in. The copy it speaks of must be part of `lead_list`.

    An event that repeats a known stamp with other contents is a hint (the copy is to be read), because one
    of the two must be wrong. A read is what the remote shows now, so the same stamp is taken.
    """
    copy, wanted, changes = lead_list.copies[seen.remote], dict(lead_list.wanted), list[Change]()
    said = _scalars_said(copy, seen, rules.remotes[seen.remote])
    for name in said.taken:
        step = _observe_scalar(copy, name, wanted.get(name), seen, rules)
        copy = step.copy
        changes += step.changes
        if step.wanted is not None:
            wanted[name] = step.wanted
    copy, all_members = _showing(copy, said), lead_list.members
    if seen.members is not None:
        merged = _observe_members(lead_list, copy, seen, seen.members, rules)
        copy, all_members = merged.copy, merged.members
        changes += merged.changes
    copies, kind = {**lead_list.copies, seen.remote: copy}, lead_list.kind or seen.kind
    after = replace(lead_list, kind=kind, wanted=wanted, copies=copies, members=all_members)
    return Observed(after, tuple(changes))


def as_shown(copy: Copy, field: Field, value: Value, rules: RemoteRules) -> Value:
    """The wanted value as this copy's remote shows it: learned from an answer, else as the connector spells it.

    Raises `NoMapping` when it has no counterpart there.
    """
    learned = copy.spelling.get(field)
    if learned is not None and learned.sure and learned.wanted == value:
        return learned.shown
    return rules.spell(field, value)


def alike(value: Value, shown: Value) -> bool:
    """Equal, or text that differs only in case and spacing: as a remote might spell what it was told."""
    if isinstance(value, str) and isinstance(shown, str):
        return bare(value) == bare(shown)
    return value == shown


def bare(text: str) -> str:
    """Without case and spacing."""
    return "".join(text.split()).casefold()


def is_cut(value: Value, shown: Value) -> bool:
    """Whether `shown` is the beginning of `value`, whatever their case and spacing: as a remote might cut it."""
    if not isinstance(value, str) or not isinstance(shown, str):
        return False
    return bool(bare(shown)) and bare(value).startswith(bare(shown))


@dataclass(frozen=True, slots=True)
class _Step:
    """What one field of one observation did."""

    copy: Copy
    changes: tuple[Change, ...] = ()
    #: The new agreement; None when wanted stays.
    wanted: Wanted | None = None
    members: Mapping[str, Member] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Said:
    """The scalar fields of one observation that are news, and whether others contradict what is known."""

    taken: Mapping[Field, Seen]
    contradicts: bool


def _scalars_said(copy: Copy, seen: Observation, rules: RemoteRules) -> _Said:
    taken, contradicts = dict[Field, Seen](), False
    for name in SCALARS:
        if name not in seen.fields or not rules.direction(name).used:
            continue
        before, now = copy.seen.get(name), Seen(seen.fields[name], seen.stamp)
        match news(before, seen.stamp):
            case News.LATE:
                continue
            case News.SAME if seen.evidence is Evidence.EVENT:
                contradicts |= before is not None and before.value != now.value
            case _:
                taken[name] = now
    return _Said(taken, contradicts)


def _showing(copy: Copy, said: _Said) -> Copy:
    """The copy with all fields at once: there are many events, and most name every field."""
    if not (said.taken or said.contradicts):
        return copy
    seen, hidden = {**copy.seen, **said.taken}, copy.hidden.difference(said.taken)
    return replace(copy, seen=seen, hidden=hidden, look=copy.look or said.contradicts)


def _observe_scalar(copy: Copy, name: Field, wanted: Wanted | None, seen: Observation, rules: Rules) -> _Step:
    """One row of the table. `copy` does not show the value yet."""
    direction = rules.remotes[copy.remote].direction(name)
    value, before = seen.fields[name], copy.seen.get(name)
    verdict = judge(before, wanted, value, _shown(copy, name, wanted, rules.remotes[copy.remote]))
    if verdict is Verdict.AGREE:
        appeared = before is None or before.value != value
        return _Step(_agreed(copy, name, wanted, seen, appeared=appeared))
    # What was shown before proves nothing: our own second try may have brought it, and the first may still land.
    if verdict is Verdict.PENDING:
        return _Step(copy)
    if copy.intent is not None and _is_in_flight(copy, name, value, rules.remotes[copy.remote]):
        return _Step(_spelled(copy, name, copy.intent.patch.fields[name], value))
    if _is_late_write(copy, name, value, rules.remotes[copy.remote], seen):
        late = _change(ChangeKind.LATE_WRITE, name, before and before.value, value, seen)
        return _Step(_one_landed(_spelled(copy, name, copy.abandoned[name].value, value), name), (late,))
    if not direction.takes:
        return _Step(copy)
    return _weigh(verdict, copy, name, wanted, seen, rules)


def _weigh(verdict: Verdict, copy: Copy, name: Field, wanted: Wanted | None, seen: Observation, rules: Rules) -> _Step:
    """The copy shows something else than wanted, and edits there count: who wins, and what the ledger keeps."""
    value, old = seen.fields[name], wanted and wanted.value
    changes: tuple[Change, ...] = ()
    winner = _winner(verdict, name, wanted, seen, rules)
    if verdict is Verdict.CONFLICT:
        kind = ChangeKind.HELD if winner is Winner.NOBODY else ChangeKind.CONFLICT
        changes = (_change(kind, name, old, value, seen),)
    match winner:
        case Winner.COPY:
            changes += (_change(ChangeKind.WANTED, name, old, value, seen),)
            return _Step(_released(copy, name), changes, Wanted(value, seen.stamp, seen.remote))
        case Winner.NOBODY:
            held = {**copy.held, name: Seen(value, seen.stamp)}
            return _Step(replace(copy, held=held), changes)
        case _:
            # What was held before, under another policy, is decided now; a value that is nothing new decides nothing.
            return _Step(_released(copy, name) if verdict is Verdict.CONFLICT else copy, changes)


def _winner(verdict: Verdict, name: Field, wanted: Wanted | None, seen: Observation, rules: Rules) -> Winner:
    if wanted is None or verdict in (Verdict.FIRST, Verdict.EDIT):
        return Winner.COPY
    match verdict:
        case Verdict.LINK:
            return conflict.by_authority(wanted, seen.remote, rules)
        case Verdict.CONFLICT:
            return conflict.decide(name, wanted, seen.remote, seen.stamp, rules)
        case _:  # PENDING: nothing new there
            return Winner.WANTED


def _observe_members(lead_list: LeadList, copy: Copy, seen: Observation, shown: MembersSeen, rules: Rules) -> _Step:
    direction = rules.remotes[copy.remote].direction(Field.MEMBERS)
    before, known = copy.seen.get(Field.MEMBERS), lead_list.members
    if not direction.used:
        return _Step(copy, members=known)
    replaces = rules.remotes[copy.remote].replaces_members
    ours = _members_ours(copy, seen, replaces=replaces)
    merged = members.merge(known, before, seen, shown, takes=direction.takes, ours=ours)
    if merged.doubtful:
        copy = replace(copy, look=True)
    undone = members.is_undone(copy.replaced, seen)
    if shown.whole and not undone:
        match news(before, seen.stamp):
            case News.LATE:
                return _Step(copy, members=known)
            case News.SAME if seen.evidence is Evidence.EVENT:
                # Elements that have newer news of their own do not contradict it.
                return _Step(copy if merged.members == known else replace(copy, look=True), members=known)
        whole = {**copy.seen, Field.MEMBERS: Seen(None, seen.stamp)}
        # A hint that came while they were being read is of something newer: the claim had cleared `look`.
        again = copy.look and copy.look_members
        copy = replace(copy, seen=whole, tally=copy.tally or _shown_before(known, copy.remote), look_members=again)
    if copy.tally is not None:
        counted = tally.moved(copy.tally, copy.remote, known, merged.members)
        copy = replace(copy, tally=tally.counted(counted, seen.rows))
    held = Field.MEMBERS in copy.held
    braked = members.braked(known, merged, copy.remote, takes=direction.takes, held=held, brake=rules.too_many)
    if braked.stopped:
        copy = replace(copy, held={**copy.held, Field.MEMBERS: Seen(None, seen.stamp)})
    return _Step(copy, _members_changes(braked, seen), members=braked.members)


def _shown_before(known: Mapping[str, Member], remote: str) -> Tally:
    """Of what was told of it piece by piece, before its whole membership was seen."""
    return tally.tally_of(key for key, member in known.items() if member.shown_by(remote))


def _members_changes(braked: Braked, seen: Observation) -> tuple[Change, ...]:
    moved, stopped = (braked.gained or braked.lost), braked.stopped
    change = _change(ChangeKind.WANTED, Field.MEMBERS, sorted(braked.lost), sorted(braked.gained), seen)
    held = _change(ChangeKind.BRAKE, Field.MEMBERS, sorted(stopped), None, seen)
    return ((change,) if moved else ()) + ((held,) if stopped else ())


def _shown(copy: Copy, name: Field, wanted: Wanted | None, rules: RemoteRules) -> Value:
    """The wanted value as shown there; itself where it has no counterpart, since nothing shown there can equal it."""
    if wanted is None:
        return None
    try:
        return as_shown(copy, name, wanted.value, rules)
    except NoMapping:
        return wanted.value


def _is_late_write(copy: Copy, name: Field, value: Value, rules: RemoteRules, seen: Observation) -> bool:
    """Whether the value is that of a write we gave up."""
    abandoned = _arriving(copy, name, seen)
    return abandoned is not None and _shows(copy, name, abandoned.value, value, rules)


def _is_in_flight(copy: Copy, name: Field, value: Value, rules: RemoteRules) -> bool:
    """Whether the value is that of our write in flight: its answer, or news that overtook it. What is wanted by
    now was decided after that write was sent.
    """
    sent = copy.intent.patch.fields if copy.intent else {}
    return name in sent and _shows(copy, name, sent[name], value, rules)


def _shows(copy: Copy, name: Field, written: Value, value: Value, rules: RemoteRules) -> bool:
    """Whether `value` is what we wrote. How it is spelled there may not be known before the answer is in."""
    try:
        return value == as_shown(copy, name, written, rules) or _may_be(written, value)
    except NoMapping:
        return _may_be(written, value)


def _may_be(written: Value, value: Value) -> bool:
    return alike(written, value) or is_cut(written, value)


def _spelled(copy: Copy, name: Field, written: Value, shown: Value) -> Copy:
    """Shown so it may be our write, cut, or a person's edit: noted, and written once more. An answer that shows the
    same is the proof.
    """
    if alike(written, shown) or not is_cut(written, shown):
        return copy
    known = copy.spelling.get(name)
    if known is not None and known.wanted == written:
        return copy
    return replace(copy, spelling={**copy.spelling, name: Spelling(written, shown, sure=False)})


def _members_ours(copy: Copy, seen: Observation, *, replaces: bool) -> members.Ours:
    """What our writes, in flight or given up, add and remove there; and the last one that wrote all anew."""
    sent, given_up = copy.intent.patch if copy.intent else Patch(), _arriving(copy, Field.MEMBERS, seen)
    replacing = replaces and bool(sent.add or sent.remove or Field.MEMBERS in copy.abandoned)
    if given_up is not None:
        sent = Patch({}, sent.add | given_up.add, sent.remove | given_up.remove)
    return members.Ours(sent, copy.replaced, replacing)


def _arriving(copy: Copy, name: Field, seen: Observation) -> Abandoned | None:
    """The write we gave up that this may show. News that was made after its time is about something else, unless
    only the remote's clock says so; a look counts even then: it is the one that settles what became of the write.
    """
    abandoned = copy.abandoned.get(name)
    if abandoned is None or (seen.evidence is Evidence.EVENT and seen.stamp.time > abandoned.until + CLOCK_SKEW):
        return None
    return abandoned


def _agreed(copy: Copy, name: Field, wanted: Wanted | None, seen: Observation, *, appeared: bool) -> Copy:
    """Nothing is held any more. An abandoned write of the wanted value is proven done when the value appeared
    and no later write of ours can have brought it.
    """
    abandoned = copy.abandoned.get(name)
    in_flight = copy.intent is not None and name in copy.intent.patch.fields
    ours = abandoned is not None and wanted is not None and abandoned.value == wanted.value
    if ours and appeared and not in_flight and seen.evidence is not Evidence.ANSWER:
        copy = _one_landed(copy, name)
    return _released(copy, name)


def _released(copy: Copy, name: Field) -> Copy:
    return replace(copy, held=_without(copy.held, name)) if name in copy.held else copy


def _one_landed(copy: Copy, name: Field) -> Copy:
    """One write that we gave up is proven done; where there were several of that value, the others may still land."""
    one = copy.abandoned[name]
    rest = {name: replace(one, times=one.times - 1)} if one.times > 1 else {}
    return replace(copy, abandoned={**_without(copy.abandoned, name), **rest})


def _without(mapping: Mapping[Field, V], name: Field) -> dict[Field, V]:
    return {key: value for key, value in mapping.items() if key is not name}


def _change(kind: ChangeKind, name: Field, old: object, new: object, seen: Observation) -> Change:
    return Change(kind=kind, field=name, old=old, new=new, origin=seen.remote, stamp=seen.stamp, cause=seen.cause)
