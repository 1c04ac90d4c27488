"""What people decide about held fields: conflicts under the policy `hold`, and removals that the brake stopped.

Called by the CLI and the web. Nothing is sent from here: the answer names the remotes that have something
due now. All copies of the list that hold the field are let go at once, whatever each of them shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from models.audit import Action
from models.lead_list import Copy, Field, LeadList, Member, Stamp, Wanted
from models.ledger import Change, ChangeKind
from models.values import replace
from worker.engine.observe import as_shown
from worker.engine.rules import NoMapping, RemoteRules, Rules
from worker.errors import UsageError
from worker.ports import Every, RemoteKey, Store, Tx
from worker.sync.operate import BY_COMMAND, chunks, no_remote
from worker.sync.stand import due_now, stand

#: Instead of a remote: what is wanted stays.
WANTED: Final = "wanted"

#: A held field of the list that has this copy.
HeldField = tuple[RemoteKey, Field]


@dataclass(frozen=True, slots=True)
class Resolved:
    """How many held fields were decided, and which remotes have something due now."""

    fields: int = 0
    due: frozenset[str] = frozenset()

    def __add__(self, other: Resolved) -> Resolved:
        return Resolved(self.fields + other.fields, self.due | other.due)


async def resolve(store: Store, rules: Rules, which: Sequence[HeldField], *, use: str) -> Resolved:
    """What the remote `use` shows becomes wanted; or, with `WANTED`, what is wanted overwrites the copies.

    Fields that are held no more, and those that the remote has never shown, are left as they are.
    """
    check(use, rules)
    resolved = Resolved()
    for some in chunks(which):
        resolved += await store.run(partial(_each, rules=rules, which=some, use=use))
    return resolved


def check(use: str, rules: Rules) -> None:
    """Raise unless it names a remote, or what is wanted."""
    if use != WANTED and use not in rules.remotes:
        raise no_remote(use, rules, WANTED)


def field_named(name: str) -> Field:
    """The field that a person means."""
    try:
        return Field(name)
    except ValueError:
        raise UsageError(f"there is no field {name!r}; known: {', '.join(Field)}") from None


def _each(tx: Tx, rules: Rules, which: Sequence[HeldField], use: str) -> Resolved:
    numbers = tx.find({key for key, _ in which})
    fields = dict.fromkeys((numbers[key], field) for key, field in which if key in numbers)
    every = {number: Every.MEMBER for number, field in fields if field is Field.MEMBERS}
    before = tx.load({number for number, _ in fields}, every)
    after, decided = dict(before), 0
    for number, field in fields:
        step = _step(after[number], field, use, rules, tx) if number in after else None
        if step is not None:
            after[number] = step[0]
            tx.note(number, [step[1]])
            _audit(tx, after[number], step[1], use)
            decided += 1
    stood = stand(tx, [(before[one.id], one) for one in after.values() if one is not before[one.id]], rules)
    tx.save(stood)
    touched = [one for _, one in stood]
    return Resolved(decided, due_now(tx, touched))


def _audit(tx: Tx, lead_list: LeadList, change: Change, use: str) -> None:
    """Of members only how many: the ledger names them."""
    field, copies = str(change.field), lead_list.copies.values()
    told = (change.old, change.new)
    was, now = map(len, told) if change.field is Field.MEMBERS else told
    words = ("lost", "gained") if change.field is Field.MEMBERS else ("wanted", "wanted")
    target = f"{' '.join(f'{copy.remote}:{copy.remote_id}' for copy in copies)} {field}"
    tx.audit.note(Action.RESOLVE, target, {words[0]: was}, {words[1]: now, "use": use})


def _step(lead_list: LeadList, field: Field, use: str, rules: Rules, tx: Tx) -> tuple[LeadList, Change] | None:
    """One held field; None when it is held no more, or `use` has never shown it."""
    copy = lead_list.copies.get(use)
    if not any(field in one.held for one in lead_list.copies.values()):
        return None
    if use != WANTED and (copy is None or (field not in copy.held and field not in copy.seen)):
        return None
    stamp = _newest(lead_list, field, tx)
    released = replace(lead_list, copies={name: _released(one, field) for name, one in lead_list.copies.items()})
    if field is Field.MEMBERS:
        members = dict(lead_list.members) if copy is None else _as_shown(lead_list.members, use)
        lost = [name for name, one in lead_list.members.items() if one.wanted and not members[name].wanted]
        gained = [name for name, one in members.items() if one.wanted and not lead_list.members[name].wanted]
        return replace(released, members=members), _told(field, sorted(lost), sorted(gained), use, stamp)
    old = lead_list.wanted[field]
    new = replace(old, stamp=stamp) if copy is None else _shown(copy, field, old, rules.remotes[use], stamp)
    decided = replace(released, wanted={**lead_list.wanted, field: new})
    return decided, _told(field, old.value, new.value, new.origin, stamp)


def _newest(lead_list: LeadList, field: Field, tx: Tx) -> Stamp:
    """A decision comes after all that is known: news of older edits, still on its way, must not undo it by its time."""
    wanted = lead_list.wanted.get(field)
    known = [one.seen[field].stamp.time for one in lead_list.copies.values() if field in one.seen]
    return Stamp(max(tx.now, *known, *([wanted.stamp.time] if wanted else [])))


def _released(copy: Copy, field: Field) -> Copy:
    if field not in copy.held:
        return copy
    return replace(copy, held={held: seen for held, seen in copy.held.items() if held is not field})


def _shown(copy: Copy, field: Field, wanted: Wanted, rules: RemoteRules, stamp: Stamp) -> Wanted:
    """What the remote shows, as wanted. A copy that agrees may spell it its own way; that is no other value."""
    shown = copy.held.get(field) or copy.seen[field]
    try:
        agrees = field not in copy.held and shown.value == as_shown(copy, field, wanted.value, rules)
    except NoMapping:
        agrees = False
    return replace(wanted, stamp=stamp) if agrees else Wanted(shown.value, stamp, copy.remote)


def _as_shown(members: Mapping[str, Member], remote: str) -> dict[str, Member]:
    """Wanted as the remote shows it. Members that it was never told of, nor told us of, stay as they are."""
    return {
        name: replace(one, wanted=one.seen[remote].present) if remote in one.seen else one
        for name, one in members.items()
    }


def _told(field: Field, old: object, new: object, origin: str, stamp: Stamp) -> Change:
    kind = ChangeKind.RESOLVED
    return Change(kind=kind, field=field, old=old, new=new, origin=origin, stamp=stamp, cause=BY_COMMAND)
