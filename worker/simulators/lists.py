"""The lead lists a simulator holds: create, change, delete, pages, and their past for reads that lag."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from worker.simulators.wire import new_id

#: An ordered set. Never changed in place: lists share it with their past.
Members = Mapping[str, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimList:
    """One lead list as a simulator holds it, in canonical words."""

    id: str
    #: Order of creation; ties of equal time stamps are broken by it.
    number: int
    name: str
    created_at: float
    updated_at: float
    kind: str = "person"
    owner: str | None = None
    enrichment: bool | None = None
    #: Ids of members; at Instantly the ids of lead rows.
    members: Members = field(default_factory=dict)
    #: Users with access (Lance).
    users: tuple[str, ...] = ()
    #: Fields of this product that have no canonical name.
    extra: Mapping[str, Any] | None = None
    version: int = 1


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one lead list."""

    #: The list as it is now; as it last was, when it is gone.
    held: SimList
    #: The list before; None when it is new.
    before: SimList | None
    gone: bool = False


#: Place of a list in the order of pages: milliseconds of creation, number.
Place = tuple[int, int]


def place(held: SimList) -> Place:
    """Where *held* stands in the order of pages."""
    # Cut, not rounded, to the millisecond: as `iso` writes it.
    return round(held.created_at * 1_000_000) // 1000, held.number


class Lists:
    """All lead lists of one simulator, by id and in order of creation."""

    def __init__(self) -> None:
        self._now: dict[str, SimList] = {}
        self._order: list[tuple[Place, str]] = []
        #: Earlier states, oldest first: until when they were true, and None where the list did not exist.
        self._past: dict[str, list[tuple[float, SimList | None]]] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._now)

    def __iter__(self) -> Iterator[SimList]:
        return (self._now[list_id] for _, list_id in self._order)

    def get(self, list_id: str) -> SimList | None:
        """The list as it is."""
        return self._now.get(list_id)

    def seen(self, list_id: str, since: float) -> SimList | None:
        """The list as it was at *since*; as it is when that is all we know."""
        for until, state in self._past.get(list_id, ()):
            if until > since:
                return state
        return self._now.get(list_id)

    def next_number(self) -> int:
        """The number of the next new list."""
        self._number += 1
        return self._number

    def put(self, new: SimList, *, now: float, lag_s: float) -> None:
        """Store a new list or a new state of one."""
        if new.id not in self._now:
            insort(self._order, (place(new), new.id))
        self._remember(new.id, now, lag_s)
        self._now[new.id] = new

    def drop(self, gone: SimList, *, now: float, lag_s: float) -> None:
        """Delete a list."""
        self._remember(gone.id, now, lag_s)
        del self._now[gone.id]
        del self._order[bisect_left(self._order, (place(gone), gone.id))]

    def _remember(self, list_id: str, now: float, lag_s: float) -> None:
        if not lag_s:
            self._past.pop(list_id, None)
            return
        past = [entry for entry in self._past.get(list_id, ()) if entry[0] > now - lag_s]
        self._past[list_id] = [*past, (now, self._now.get(list_id))]

    def after(self, last: Place | None, *, newest_first: bool = False) -> Iterator[str]:
        """Ids of the lists that follow *last* in the order of pages."""
        if newest_first:
            end = len(self._order) if last is None else bisect_left(self._order, (last, ""))
            return (self._order[i][1] for i in range(end - 1, -1, -1))
        begin = 0 if last is None else bisect_right(self._order, (last, "\uffff"))
        return (self._order[i][1] for i in range(begin, len(self._order)))


def merged(members: Members, added: Collection[str], removed: Collection[str] = ()) -> Members:
    """*members* after these changes; the same object when nothing changes. Added wins over removed."""
    gone = members.keys() & (set(removed) - set(added))
    new = [member for member in added if member not in members]
    if not gone and not new:
        return members
    return {**{m: None for m in members if m not in gone}, **dict.fromkeys(new)}


_FIRST = (
    "ada",
    "blaise",
    "carl",
    "dorothy",
    "emmy",
    "felix",
    "grace",
    "henri",
    "ida",
    "julia",
    "kurt",
    "lise",
)
_PLACES = ("Atlantis", "Brigadoon", "Camelot", "Elbonia", "Freedonia", "Lilliput", "Narnia", "Ruritania")
_TRADES = ("bakers", "bookshops", "breweries", "dentists", "florists", "hotels", "roofers", "wineries")


#: Owners of seeded lists, as the CRM spells users.
SEED_OWNERS = tuple(f"crm-user-{n}" for n in range(1, 6))


def seed_lists(count: int, chance: Random, *, kind: str = "person", most_members: int = 8) -> list[dict[str, Any]]:
    """Made-up lead lists for `POST /_sim/seed`: fakes that look like fakes, the same for the same *chance*.

    Persons are addresses at example.com: the one spelling that Instantly, Lance and the CRM all take.
    """
    return [_made_up(n, chance, kind, most_members) for n in range(1, count + 1)]


def _made_up(n: int, chance: Random, kind: str, most_members: int) -> dict[str, Any]:
    size = chance.randint(0, most_members)
    if kind == "company":
        members = [new_id(0.0, chance) for _ in range(size)]
    else:
        people = chance.sample(range(100_000), size)
        members = [f"{chance.choice(_FIRST)}.fake{number}@example.com" for number in people]
    return {
        "id": new_id(1_700_000_000 + n, chance),
        "kind": kind,
        "name": f"{chance.choice(_PLACES)} {chance.choice(_TRADES)} {n}",
        "owner": chance.choice(SEED_OWNERS),
        "enrichment": chance.random() < 0.5,
        "members": members,
    }
