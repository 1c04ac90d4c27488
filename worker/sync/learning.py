"""Learning: which ids on which remotes are one and the same member. Called by `worker.sync.stand`.

An id belongs to the member it was given to first; only members that the CRM has not named become others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from models.person import EMAIL, LONGEST, Details, Naming, Person, address, filled, is_named
from worker.engine.rules import Rules
from worker.ports import Tx
from worker.sync.identity import key_of_stranger

log = structlog.get_logger(__name__)

#: (system, id)
Handle = tuple[str, str]


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
    said = [(one, _handles(one, remote, rules)) for one in people if one.says_more]
    if not said:
        return Learned()
    lesson = _Lesson(tx, remote, said, rules)
    for person, handles in said:
        lesson.take(person, handles)
    lesson.write()
    return lesson.learned


class _Lesson:
    """What one remote says of some people, beside what is known of them: looked up once, written once."""

    def __init__(self, tx: Tx, remote: str, said: Sequence[tuple[Person, Sequence[Handle]]], rules: Rules) -> None:
        self._tx, self._remote, self._rules = tx, remote, rules
        self.learned = Learned()
        handles = {handle for _, every in said for handle in every}
        self._known, self._new, self._details = _known(tx, handles), dict[Handle, str](), dict[str, Details]()
        self._handles: dict[str, set[Handle]] = {}
        for handle, key in self._known.items():
            self._handles.setdefault(key, set()).add(handle)
        #: Keys that became this one.
        self._became: dict[str, list[str]] = {}
        # The CRM says which address counts; another remote's is taken for who has none.
        self._by_namer = remote == rules.namer
        matched = set(self._known.values()) | {one.id for one, _ in said}
        self._addresses = tx.identities.ids(EMAIL, matched)
        systems = {on for on, _ in handles} - {EMAIL}
        #: Ids by remote and key.
        self._held = {on: tx.identities.ids(on, matched) for on in systems}

    def take(self, person: Person, every: Sequence[Handle]) -> None:
        """One of them, after those before."""
        handles = [handle for handle in every if not self._is_shared(handle, every)]
        key = _key(person, self._remote, handles, self._known, self._rules)
        for on, one in every:
            if on != EMAIL:
                self._held[on][key] = (*self._held[on].get(key, ()), one)
        for handle in handles:
            self._give(key, handle, told=handle == _told_address(person))
        self._details[key] = filled(_details(person), self._details.get(key, Details()))

    def write(self) -> None:
        """All that is new."""
        identities, details = self._tx.identities, self._details
        if not self._by_namer:  # what the CRM calls somebody stays
            before = identities.details(details)
            details = {key: filled(before.get(key, Details()), one) for key, one in details.items()}
        for old, key in self.learned.merged.items():
            identities.rename(old, key)
        by_system: dict[str, dict[str, str]] = {}
        for (system, one), key in self._new.items():
            by_system.setdefault(system, {})[one] = key
        for system, ids in by_system.items():
            identities.add(system, ids)
        identities.describe({key: one for key, one in details.items() if one != Details()})

    def _give(self, key: str, handle: Handle, *, told: bool) -> None:
        """This id to this member, unless it is another's. `told`: an address beside the remote's own id."""
        before = self._known.get(handle)
        if before is None and told and not self._by_namer and key in self._addresses:
            return
        if before == key:
            newest = self._addresses.get(key, (handle[1],))[-1]
            if self._by_namer and handle[0] == EMAIL and newest != handle[1]:
                self._new[handle] = key  # it is the newest once more
            return
        if before is not None and is_named(before):
            log.warning("id_belongs_to_another_member", remote=self._remote, system=handle[0])
            return
        if before is not None:
            self._merge(before, key)
        self._known[handle] = self._new[handle] = key
        self._handles.setdefault(key, set()).add(handle)
        self.learned.keys.add(key)

    def _is_shared(self, handle: Handle, every: Sequence[Handle]) -> bool:
        """An address of somebody with another id on a remote: two share it, so it does not tell who this one is."""
        if handle[0] != EMAIL or handle not in self._known:
            return False
        owner = self._known[handle]
        theirs = [(one, self._held[on].get(owner, ())) for on, one in every if on != EMAIL]
        return any(ids and one not in ids for one, ids in theirs)

    def _merge(self, old: str, key: str) -> None:
        """One that the CRM had not named turned out to be this one."""
        theirs = self._handles.pop(old, set())
        for handle in theirs:
            self._known[handle] = key
            if handle in self._new:
                self._new[handle] = key
        self._handles.setdefault(key, set()).update(theirs)
        became = [*self._became.pop(old, ()), old]
        self.learned.merged.update(dict.fromkeys(became, key))
        self._became.setdefault(key, []).extend(became)


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
    return next(filter(is_named, found), found[0] if found else key_of_stranger(remote, person.id))


def _details(person: Person) -> Details:
    """No more of each name than there is room for."""
    first, last, company = person.first_name, person.last_name, person.company_name
    return Details(
        first_name=first and first[:LONGEST],
        last_name=last and last[:LONGEST],
        company_name=company and company[:LONGEST],
    )
