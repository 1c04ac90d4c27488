"""Teach: people who tell who members are, row by row. Called by the CLI. Nothing is sent from here.

A key is the CRM's id, so what is taught counts as if the CRM had said it. An id that belongs to another member stays
with that one, and the row is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Final

from models.audit import Action
from models.person import EMAIL, Naming, Person, address, is_named
from worker.engine.rules import Rules
from worker.errors import UsageError
from worker.ports import Store, Tx
from worker.sync.stand import due_now, take_in_people

#: Rows that share a transaction; ever more where lists move on by them, since each transaction loads all that differs
#: on the lists that it touches, which is what those before it have moved.
_FEW: Final = 500
_MOST: Final = 16_000
_GROWTH: Final = 2
#: Refused rows that are told one by one; of the others only the number is.
_SOME: Final = 20


@dataclass(frozen=True, slots=True)
class Told:
    """One row: what it says of one member, by key."""

    line: int
    person: Person


@dataclass(frozen=True, slots=True)
class Refused:
    """One row that was not taken in, or not all of it."""

    line: int
    why: str


@dataclass(slots=True)
class Taught:
    """What the rows came to."""

    rows: int = 0
    #: Members that have an id or an address that they did not have before.
    members: int = 0
    #: Lead lists on which somebody can be told of now, or turned out to be somebody else.
    lists: set[int] = field(default_factory=set)
    refused: int = 0
    #: The first of them.
    first: list[Refused] = field(default_factory=list)

    def refuse(self, rows: Sequence[Refused]) -> None:
        """These were not taken in."""
        self.refused += len(rows)
        self.first += rows[: _SOME - len(self.first)]


def namer(rules: Rules) -> str:
    """The remote whose ids are keys; the first in `sync.authority` if there are several. Raises `UsageError`."""
    if rules.namer is None:
        raise UsageError(
            "no remote in the settings has ids that are members' keys: configure the CRM, "
            "or set member_ids = 'shared' for the remote whose ids it uses"
        )
    return rules.namer


async def teach(
    store: Store,
    rules: Rules,
    rows: Iterable[Told | Refused],
    *,
    only_check: bool = False,
    announce: Callable[[frozenset[str]], None] = lambda _remotes: None,
) -> Taught:
    """Take in some rows at a time, whatever their number. `announce` hears which remotes have something due."""
    taught, remote, left, size = Taught(), namer(rules), iter(rows), _FEW
    while some := list(islice(left, size)):
        taught.rows += len(some)
        taught.refuse([one for one in some if isinstance(one, Refused)])
        told = [one for one in some if isinstance(one, Told)]
        if told:
            step = await store.run(partial(_teach, rules=rules, remote=remote, told=told, only_check=only_check))
            taught.members += step.members
            taught.lists |= step.lists
            taught.refuse(step.refused)
            announce(step.due)
            size = min(_MOST, size * _GROWTH) if step.lists else _FEW
    if not only_check and taught.rows:
        await store.run(partial(_audit, remote=remote, taught=taught))
    return taught


# -- below here: how


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    members: int
    refused: list[Refused]
    lists: frozenset[int] = frozenset()
    due: frozenset[str] = frozenset()


def _teach(tx: Tx, rules: Rules, remote: str, told: Sequence[Told], *, only_check: bool) -> _Step:
    handles = [(one, list(_handles(one.person, rules))) for one in told]
    members, refused = _judged(handles, _owners(tx, handles))
    if only_check:
        return _Step(members=members, refused=refused)
    lists = take_in_people(tx, remote, [one.person for one in told], rules)
    numbers = frozenset(one.id for one in lists)
    return _Step(members=members, refused=refused, lists=numbers, due=due_now(tx, lists))


def _judged(
    told: Sequence[tuple[Told, list[tuple[str, str]]]], owners: dict[tuple[str, str], str]
) -> tuple[int, list[Refused]]:
    """How many members get something new by these rows, and which rows name what is another member's."""
    taught, refused, merged = set[str](), list[Refused](), dict[str, str]()
    for one, handles in told:
        key, taken = one.person.id, list[str]()
        for handle in handles:
            owner = owners.get(handle)
            owner = merged.get(owner, owner) if owner is not None else None
            if owner is not None and owner != key and is_named(owner):
                taken.append("e-mail address" if handle[0] == EMAIL else f"id on {handle[0]}")
                continue
            if owner is not None and owner != key:
                merged[owner] = key
            if owner != key:
                taught.add(key)
            owners[handle] = key
        if taken:
            refused.append(Refused(one.line, f"its {' and '.join(taken)} belongs to another member, and stays there"))
    return len(taught), refused


def _handles(person: Person, rules: Rules) -> Iterator[tuple[str, str]]:
    for on, one in person.ids.items():
        if on in rules.remotes and rules.remotes[on].naming is Naming.ID:
            yield on, one
    if person.email:
        yield EMAIL, address(person.email)


def _owners(tx: Tx, told: Sequence[tuple[Told, list[tuple[str, str]]]]) -> dict[tuple[str, str], str]:
    by_system: dict[str, list[str]] = {}
    for _, handles in told:
        for system, one in handles:
            by_system.setdefault(system, []).append(one)
    found: Mapping[str, Mapping[str, str]] = {on: tx.identities.keys(on, ids) for on, ids in by_system.items()}
    return {(on, one): key for on, keys in found.items() for one, key in keys.items()}


def _audit(tx: Tx, remote: str, taught: Taught) -> None:
    """Only numbers: who the members are stands in the file."""
    after = {"rows": taught.rows, "members": taught.members, "lists": len(taught.lists), "refused": taught.refused}
    tx.audit.note(Action.TEACH, remote, {}, after)
