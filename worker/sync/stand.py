"""Stand: after a transaction has touched lists, what is missing, who cannot be told of where, and how each copy stands.

Every use case ends with it before it saves. When members turn out to be others, or get an id that they lacked, the
lists that they are on stand anew too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from models.lead_list import NOBODY, Abandoned, Copy, Field, LeadList, Member, Standing
from models.patch import Patch
from models.person import Person
from models.values import replace
from worker.engine.join import union_of
from worker.engine.missing import with_missing
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.engine.tally import moved
from worker.ports import Tx
from worker.sync.identity import lacking
from worker.sync.learning import learn

#: A list before, None for a new one, and after.
Pair = tuple[LeadList | None, LeadList]


def stand(tx: Tx, changed: Iterable[Pair], rules: Rules) -> list[Pair]:
    """The lists as they are to be saved."""
    whole = [(before, with_missing(after, rules)) for before, after in changed]
    return [(before, restand(after, rules, tx.now)) for before, after in _with_exclusions(tx, whole, rules)]


def due_now(tx: Tx, lists: Iterable[LeadList]) -> frozenset[str]:
    """Remotes on which one of these lists has something due."""
    copies = (copy for one in lists for copy in one.copies.values() if copy.standing is Standing.DUE)
    return frozenset(copy.remote for copy in copies if copy.due_at is not None and copy.due_at <= tx.now)


def take_in_people(tx: Tx, remote: str, people: Sequence[Person], rules: Rules) -> list[LeadList]:
    """Learn who members are; lists that this changes are saved. Answers with those lists."""
    learned = learn(tx, remote, people, rules)
    if not learned:
        return []
    numbers: dict[int, set[str]] = {}
    for old, new in learned.merged.items():
        for number in tx.identities.lists(old):
            numbers.setdefault(number, set()).update((old, new))
    for number, keys in tx.identities.excluded(learned.keys).items():
        numbers.setdefault(number, set()).update(keys)
    pairs = list[Pair]()
    for number, before in tx.load(numbers, numbers).items():
        after = before
        for old, new in learned.merged.items():
            if old in numbers[number]:
                after = _merged(after, old, new)
        pairs.append((before, _may_be_told(after, learned.keys)))
    stood = stand(tx, pairs, rules)
    tx.save(stood)
    return [after for _, after in stood]


def _merged(lead_list: LeadList, old: str, new: str) -> LeadList:
    """Two members of a list turned out to be one."""
    one, other = lead_list.members.get(old), lead_list.members.get(new)
    if one is None:
        return lead_list
    union = replace(union_of(other, one) if other else one, excluded={}, differs=True)
    members = {key: member for key, member in lead_list.members.items() if key != old} | {new: union}
    gone = {key: lead_list.members[key] for key in (old, new) if key in lead_list.members}
    nobody = dict.fromkeys(gone, NOBODY)
    copies = {
        remote: replace(
            copy,
            tally=copy.tally and moved(moved(copy.tally, remote, gone, nobody), remote, {}, {new: union}),
            intent=copy.intent and replace(copy.intent, patch=_renamed(copy.intent.patch, old, new)),
            abandoned={field: _given_up(one, old, new) for field, one in copy.abandoned.items()},
        )
        for remote, copy in lead_list.copies.items()
    }
    return replace(lead_list, members=members, copies=copies)


def _renamed(patch: Patch, old: str, new: str) -> Patch:
    return replace(patch, add=_with(patch.add, old, new), remove=_with(patch.remove, old, new))


def _given_up(one: Abandoned, old: str, new: str) -> Abandoned:
    return replace(one, add=_with(one.add, old, new), remove=_with(one.remove, old, new))


def _with(keys: frozenset[str], old: str, new: str) -> frozenset[str]:
    return keys - {old} | {new} if old in keys else keys


def _may_be_told(lead_list: LeadList, keys: Iterable[str]) -> LeadList:
    """Whatever they were excluded for is judged afresh."""
    freed = {key: replace(lead_list.members[key], excluded={}) for key in keys if key in lead_list.members}
    return replace(lead_list, members={**lead_list.members, **freed})


# -- exclusions


def _with_exclusions(tx: Tx, changed: Sequence[Pair], rules: Rules) -> list[Pair]:
    """Members that a remote is to be told of and cannot be; and of those that it can be, no such mark."""
    asked: dict[str, set[str]] = {}
    for _, after in changed:
        for remote in _told(after, rules):
            asked.setdefault(remote, set()).update(_unclear(after, remote))
    why = {remote: lacking(tx, remote, keys, rules) for remote, keys in asked.items() if keys}
    return [(before, _excluded(before, after, why, rules)) for before, after in changed]


def _told(lead_list: LeadList, rules: Rules) -> list[str]:
    """Remotes with a copy that is told of members."""
    if not lead_list.members:
        return []
    return [
        remote
        for remote, copy in lead_list.copies.items()
        if remote in rules.remotes
        and rules.remotes[remote].direction(Field.MEMBERS).writes
        and Field.MEMBERS not in copy.hidden
    ]


def _unclear(lead_list: LeadList, remote: str) -> list[str]:
    """Members to be told of there, of which it is not known yet whether they can be."""
    return [
        key
        for key, member in lead_list.members.items()
        if member.wanted and remote not in member.excluded and not member.shown_by(remote)
    ]


def _excluded(before: LeadList | None, after: LeadList, why: Mapping[str, Mapping[str, str]], rules: Rules) -> LeadList:
    told = frozenset(_told(after, rules))
    members = {key: _judged(key, member, told, why) for key, member in after.members.items()} if after.members else {}
    counts = {remote: _count(before, copy, members) for remote, copy in after.copies.items()}
    if all(members[key] is member for key, member in after.members.items()) and all(
        after.copies[remote].excluded == count for remote, count in counts.items()
    ):
        return after
    copies = {remote: replace(copy, excluded=counts[remote]) for remote, copy in after.copies.items()}
    return replace(after, members=members, copies=copies)


def _judged(key: str, member: Member, told: frozenset[str], why: Mapping[str, Mapping[str, str]]) -> Member:
    if not member.excluded and not any(key in why.get(remote, ()) for remote in told):
        return member
    still = {
        remote: reason
        for remote, reason in member.excluded.items()
        if remote in told and member.wanted and not member.shown_by(remote)
    }
    if member.wanted:
        new = {remote: why[remote][key] for remote in told if key in why.get(remote, ())}
        still |= {remote: reason for remote, reason in new.items() if not member.shown_by(remote)}
    return member if still == member.excluded else replace(member, excluded=still)


def _count(before: LeadList | None, copy: Copy, members: Mapping[str, Member]) -> int:
    """Those that were loaded tell how many came and went; of a copy that is new to the list, all are loaded."""
    old = before.copies.get(copy.remote) if before else None
    now = sum(copy.remote in member.excluded for member in members.values())
    if before is None or old is None or old.remote_id != copy.remote_id:
        return now
    return old.excluded + now - sum(copy.remote in member.excluded for member in before.members.values())
