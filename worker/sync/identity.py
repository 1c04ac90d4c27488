"""Identity: which ids on which remotes are one and the same member. Called by intake, settle, scan and push.

A key is the CRM's id, or stands for it until the CRM says one. Ids of a remote become keys when something is taken in,
and keys become ids again when something is sent. An id belongs to the member it was given to first; only members that
the CRM has not named become others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from models.lead_list import Tally
from models.observation import MembersSeen, Observation
from models.patch import Patch
from models.person import EMAIL, LONGEST, Details, Naming, Person, address, filled, is_named, unnamed
from worker.engine.rules import Rules
from worker.engine.tally import tally_of, together
from worker.ports import Tx

log = structlog.get_logger(__name__)

#: (system, id)
Handle = tuple[str, str]

#: Ids whose keys are looked up at once, where only their tally is asked for.
_SOME = 10_000


@dataclass(slots=True)
class Learned:
    """What some people taught."""

    #: Keys of members that have an id they did not have before.
    keys: set[str] = field(default_factory=set)
    #: Members that turned out to be others: {old key: key}.
    merged: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.keys or self.merged)


def learn(tx: Tx, remote: str, people: Sequence[Person], rules: Rules) -> Learned:
    """Take in what one remote says of who its members are. Rows of lists are not touched: see `worker.sync.stand`."""
    learned = Learned()
    said = [(one, _handles(one, remote, rules)) for one in people if one.says_more]
    if not said:
        return learned
    known = _known(tx, {handle for _, handles in said for handle in handles})
    new, details = dict[Handle, str](), dict[str, Details]()
    naming, matched = rules.remotes[remote].naming, set(known.values())
    # The CRM says which address counts; another remote's is taken for who has none.
    reached = {} if naming is Naming.KEY else tx.identities.ids(EMAIL, matched)
    held = tx.identities.ids(remote, matched) if naming is Naming.ID else {}
    for person, every in said:
        handles = [handle for handle in every if not _is_shared(handle, person, known, held)]
        key = _key(person, remote, handles, known, rules)
        if naming is Naming.ID:
            held[key] = (*held.get(key, ()), person.id)
        for handle in handles:
            before = known.get(handle)
            if before is None and handle == _told_address(person) and key in reached:
                continue
            if before == key:
                continue
            if before is not None and is_named(before):
                log.warning("id_belongs_to_another_member", remote=remote, system=handle[0])
                continue
            if before is not None:
                _merge(before, key, known, new, learned)
            known[handle] = new[handle] = key
            learned.keys.add(key)
        details[key] = filled(_details(person), details.get(key, Details()))
    if naming is not Naming.KEY:  # what the CRM calls somebody stays
        known_as = tx.identities.details(details)
        details = {key: filled(known_as.get(key, Details()), one) for key, one in details.items()}
    _write(tx, new, learned, details)
    return learned


def keys_of(tx: Tx, remote: str, ids: Collection[str], rules: Rules) -> dict[str, str]:
    """The keys of the members with these ids there; one that nobody knows gets a key of its own."""
    if rules.remotes[remote].naming is Naming.KEY or not ids:
        return {one: one for one in ids}
    keys = dict[str, str]()
    for system, some in _by_system(remote, ids, rules).items():
        found = tx.identities.keys(system, some)
        minted = {one: _unnamed(remote, one) for one in some if one not in found}
        if minted:
            tx.identities.add(system, minted)
        keys |= found | minted
    return keys


def in_keys(seen: Observation, keys: Mapping[str, str]) -> Observation:
    """The observation with keys in the place of ids."""
    if seen.members is None:
        return seen
    added = frozenset(keys[one] for one in seen.members.added)
    # One of several ids of a member is gone: the member is not.
    removed = frozenset(keys[one] for one in seen.members.removed) - added
    return replace(seen, members=MembersSeen(whole=seen.members.whole, added=added, removed=removed))


def ids_in(observations: Iterable[Observation]) -> set[str]:
    """All ids of members that these speak of."""
    shown = (one.members for one in observations if one.members is not None)
    return {name for members in shown for name in members.added | members.removed}


def tally_there(tx: Tx, remote: str, ids: Collection[str], rules: Rules) -> Tally | None:
    """Of a whole membership by ids, without keeping its keys; None when somebody in it is not known."""
    if rules.remotes[remote].naming is Naming.KEY:
        return tally_of(ids)
    total = Tally()
    for system, all_ids in _by_system(remote, ids, rules).items():
        for start in range(0, len(all_ids), _SOME):
            some = all_ids[start : start + _SOME]
            found = tx.identities.keys(system, some)
            if len(found) < len(some):
                return None
            total = together(total, tally_of(found.values()))
    return total


def lacking(tx: Tx, remote: str, keys: Collection[str], rules: Rules) -> dict[str, str]:
    """Those of these members that the remote cannot be told of, and why."""
    match rules.remotes[remote].naming:
        case Naming.KEY:
            return {key: f"no id on {remote} is known" for key in keys if not is_named(key)}
        case Naming.ID:
            known = tx.identities.ids(remote, keys)
            return {key: f"no id on {remote} is known" for key in keys if key not in known}
        case Naming.EMAIL:
            known = tx.identities.ids(EMAIL, keys)
            return {key: "no e-mail address of its own is known" for key in keys if key not in known}


def in_ids(tx: Tx, remote: str, patch: Patch, rules: Rules) -> Patch:
    """The patch with the remote's ids in the place of keys. A member goes with all its ids, and comes with one."""
    if not (patch.add or patch.remove) or rules.remotes[remote].naming is Naming.KEY:
        return patch
    there = _ids_there(tx, remote, patch.add | patch.remove, rules)
    add = {key: there[key][-1] for key in patch.add if key in there}
    remove = frozenset(one for key in patch.remove for one in there.get(key, ()))
    people = dict[str, Person]()
    if rules.remotes[remote].naming is Naming.EMAIL:
        details = tx.identities.details(patch.add)
        people = {one: _person(one, details.get(key, Details())) for key, one in add.items()}
    return replace(patch, add=frozenset(add.values()), remove=remove, people=people)


# -- below here: how


def _handles(person: Person, remote: str, rules: Rules) -> list[Handle]:
    """By what a person can be known again, the surest first."""
    handles = list[Handle]()
    naming = rules.remotes[remote].naming
    if naming is Naming.ID or (naming is Naming.EMAIL and "@" not in person.id):
        handles.append((remote, person.id))
    for on, one in person.ids.items():
        if on in rules.remotes and rules.remotes[on].naming is Naming.ID:
            handles.append((on, one))
    email = person.id if naming is Naming.EMAIL and "@" in person.id else person.email
    if email and "@" in email:
        handles.append((EMAIL, address(email)))
    return [handle for handle in dict.fromkeys(handles) if 0 < len(handle[1]) <= LONGEST]


def _is_shared(
    handle: Handle, person: Person, known: Mapping[Handle, str], held: Mapping[str, tuple[str, ...]]
) -> bool:
    """An address of somebody with another id there: two people share it, so it does not tell who this one is."""
    ids = held.get(known.get(handle, ""), ())
    return handle[0] == EMAIL and bool(ids) and person.id not in ids


def _told_address(person: Person) -> Handle | None:
    """The address that a remote tells beside its own id."""
    return (EMAIL, address(person.email)) if person.email and address(person.email) != person.id else None


def _known(tx: Tx, handles: Iterable[Handle]) -> dict[Handle, str]:
    by_system: dict[str, list[str]] = {}
    for system, one in handles:
        by_system.setdefault(system, []).append(one)
    return {(on, one): key for on, ids in by_system.items() for one, key in tx.identities.keys(on, ids).items()}


def _key(person: Person, remote: str, handles: Sequence[Handle], known: Mapping[Handle, str], rules: Rules) -> str:
    """What the CRM calls it; else the member that has one of its ids; else one that nobody knew."""
    if rules.remotes[remote].naming is Naming.KEY:
        return person.id
    for on, one in person.ids.items():
        if on in rules.remotes and rules.remotes[on].naming is Naming.KEY:
            return one
    found = [known[handle] for handle in handles if handle in known]
    return next(filter(is_named, found), found[0] if found else _unnamed(remote, person.id))


def _unnamed(remote: str, one: str) -> str:
    """Keys stand in the ledger and in logs: an e-mail address must not; and there is room for so many characters."""
    key = unnamed(remote, one)
    return unnamed(remote, hashlib.sha256(one.encode()).hexdigest()[:20]) if "@" in one or len(key) > LONGEST else key


def _merge(old: str, key: str, known: dict[Handle, str], new: dict[Handle, str], learned: Learned) -> None:
    """One that the CRM had not named turned out to be this one."""
    for handles in (known, new):
        for handle, whose in handles.items():
            if whose == old:
                handles[handle] = key
    for earlier, later in learned.merged.items():
        if later == old:
            learned.merged[earlier] = key
    learned.merged[old] = key


def _write(tx: Tx, new: Mapping[Handle, str], learned: Learned, details: Mapping[str, Details]) -> None:
    for old, key in learned.merged.items():
        tx.identities.rename(old, key)
    by_system: dict[str, dict[str, str]] = {}
    for (system, one), key in new.items():
        by_system.setdefault(system, {})[one] = key
    for system, ids in by_system.items():
        tx.identities.add(system, ids)
    tx.identities.describe({key: one for key, one in details.items() if one != Details()})


def _by_system(remote: str, ids: Collection[str], rules: Rules) -> dict[str, list[str]]:
    """In order, because the database finds neighbours faster."""
    if rules.remotes[remote].naming is not Naming.EMAIL:
        return {remote: sorted(ids)}
    systems: dict[str, list[str]] = {}
    for one in sorted(ids):
        systems.setdefault(EMAIL if "@" in one else remote, []).append(one)
    return systems


def _ids_there(tx: Tx, remote: str, keys: Collection[str], rules: Rules) -> dict[str, tuple[str, ...]]:
    there = tx.identities.ids(remote, keys)
    if rules.remotes[remote].naming is Naming.EMAIL:
        emails = tx.identities.ids(EMAIL, keys)
        there = {key: (*there.get(key, ()), *emails.get(key, ())) for key in there.keys() | emails.keys()}
    return there


def _details(person: Person) -> Details:
    """No more of each name than there is room for."""
    first, last, company = person.first_name, person.last_name, person.company_name
    return Details(
        first_name=first and first[:LONGEST],
        last_name=last and last[:LONGEST],
        company_name=company and company[:LONGEST],
    )


def _person(one: str, details: Details) -> Person:
    return Person(
        id=one,
        email=one,
        first_name=details.first_name,
        last_name=details.last_name,
        company_name=details.company_name,
    )
