"""A remote of the simulation: its lists, its habits, and every write of ours that was on its way to it.

Draws no fault: what befalls a request is `wire.py`. Judges look at `writes`, `flights` and `over`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

from models.lead_list import SCALARS, Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from models.values import replace
from worker.remotes.base import Answer, Connector, Page, Request, Send
from worker.remotes.crm.connector import LISTS, CrmConnector
from worker.remotes.memory import MemoryWire
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import Fault

#: The windows that a strict remote counts in: so many requests in so many seconds.
STRICT = ((4, 1.0), (90, 60.0))


class VersionedConnector(CrmConnector):
    """Lists carry their versions and members, as in the CRM."""


class UnversionedConnector(CrmConnector):
    """Lists carry neither versions nor members, as in Instantly."""

    async def get(self, send: Send, remote_id: str) -> Shown:
        """See `Connector.get`."""
        return _bare(await super().get(send, remote_id))

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        """See `Connector.patch`."""
        shown = await super().patch(send, remote_id, kind, patch)
        return shown and _bare(shown)

    async def create(self, send: Send, kind: Kind | None, patch: Patch, at: datetime) -> Shown:
        """See `Connector.create`."""
        return _bare(await super().create(send, kind, patch, at))

    async def page(self, send: Send, cursor: str | None) -> Page:
        """See `Connector.page`."""
        page = await super().page(send, cursor)
        return Page(tuple(_bare(shown) for shown in page.items), page.next)


def _bare(shown: Shown) -> Shown:
    return replace(shown, version=None, members=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a remote always does, in good times and bad."""

    versioned: bool = True
    #: Lists on one page.
    page: int = 5
    #: Its clock is ahead of ours by this much.
    skew_s: float = 0.0
    #: How it spells names.
    spell: Callable[[str], str] | None = None
    #: Fields that it answers for and never takes.
    ignores: frozenset[Field] = frozenset()
    #: Numbers of lists of which it refuses every write.
    refuses: frozenset[str] = frozenset()
    strict: bool = False
    #: Members are rows with ids of their own, apart from their list: see `leads.py`.
    apart: bool = False
    #: There: members that it does not take, and what it counts them as.
    keeps_off: Mapping[str, str] = field(default_factory=dict)
    #: There: what becomes of a member that is there already.
    doubles: str = "refused"
    #: There: whether it says how many rows it has deleted.
    counts_deleted: bool = True

    @property
    def has_members(self) -> bool:
        """In its lists, or apart from them."""
        return self.versioned or self.apart

    def shows(self, field: Field, value: Value) -> Value:
        """What becomes of a value there."""
        if field is Field.NAME and self.spell is not None and isinstance(value, str):
            return self.spell(value)
        return value


@dataclass(slots=True, kw_only=True)
class Flight:
    """One write of ours on its way."""

    list_id: str
    body: Mapping[str, Any]
    left: float
    landed: float | None = None
    #: When its good answer was back.
    answered: float | None = None
    #: Parts of it that were so already: seen there, they count as its doing, and nobody can tell.
    so_already: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One write of ours that was applied."""

    at: datetime
    remote_id: str
    body: Mapping[str, Any]
    before: Shown | None
    after: Shown
    #: Some fault left it unclear whether this or an earlier one had been done.
    unclear: bool

    @property
    def idle(self) -> bool:
        """It changed nothing."""
        return self.before == self.after


class SimulatedRemote(MemoryWire):
    """Lists by id, how they were, and what was written."""

    def __init__(self, name: str, loop: VirtualLoop, habits: Habits) -> None:
        self.name, self.habits, self._loop = name, habits, loop
        self.connector: Connector = (VersionedConnector if habits.versioned else UnversionedConnector)(name)
        #: The number of the list that each id was born with: names begin with it.
        self.born: dict[str, str] = {}
        self.past: list[tuple[float, dict[str, Shown]]] = []
        self.writes: list[Written] = []
        self.flights: list[Flight] = []
        self.deleted: set[str] = set()
        #: Numbers of lists that were created there by us, as often as that was done.
        self.created: Counter[str] = Counter()
        #: Requests under way, and writes that may still land, by number of the list.
        self.busy: Counter[str] = Counter()
        #: Requests beyond the strict limit.
        self.over = 0
        self.calls = 0
        self._unclear_until: dict[str, float] = {}
        #: What was written there by writes of which we do not know whether they were done.
        self._unclear: dict[str, set[tuple[str, object]]] = {}
        self._arrived: deque[float] = deque()
        #: Called with each list that a write of ours changed.
        self.changed: Callable[[Shown], None] = lambda _shown: None
        #: Called with each write of ours before it is applied.
        self.landing: Callable[[Flight], None] = lambda _flight: None
        super().__init__((), habits.page)

    # -- lists

    def put(self, shown: Shown) -> Shown:
        """Store a list as it is now, as this remote spells it."""
        name = self.habits.shows(Field.NAME, shown.fields[Field.NAME])
        if name != shown.fields[Field.NAME]:
            shown = replace(shown, fields={**shown.fields, Field.NAME: name})
        self.born.setdefault(shown.remote_id, number_in(shown.fields[Field.NAME]))
        self._now = max(self._now, self._loop.now() + timedelta(seconds=self.habits.skew_s))
        stored = super().put(shown)
        self._remember()
        return stored

    def hold(self, before: Shown, member: str, *, there: bool) -> Shown:
        """A person adds a member to a list, or takes it off."""
        known = before.members or frozenset()
        return self.put(replace(before, members=known | {member} if there else known - {member}))

    def takes(self, member: str) -> bool:
        """Whether it has room for this member at all."""
        return bool(member)

    def delete(self, remote_id: str) -> None:
        """A person deletes a list."""
        del self.lists[remote_id]
        self.deleted.add(remote_id)
        self._remember()

    def of(self, number: str) -> list[Shown]:
        """The lists there that were born with this number: one, or none."""
        return [shown for one, shown in self.lists.items() if self.born[one] == number]

    def _remember(self) -> None:
        self.past.append((self._loop.time(), dict(self.lists)))

    # -- requests

    def number(self, request: Request) -> str:
        """The number of the list that a request is about; empty for a page."""
        if request.path == LISTS:
            return number_in(request.body["name"]) if request.writes else ""
        one = request.path.removeprefix(LISTS).strip("/")
        return self.born.get(one, one)

    def told(self, request: Request) -> Mapping[str, Any]:
        """What a write says, in canonical words."""
        body: Mapping[str, Any] = request.body
        return body

    def about(self, request: Request, answer: Answer) -> str:
        """The id of the list that a write was about, which was done."""
        del request
        remote_id: str = orjson.loads(answer.body)["id"]
        return remote_id

    def hears(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        """An answer is on its way back."""

    def leaves(self, request: Request) -> Flight:
        """A write of ours is on its way."""
        number, body = self.number(request), self.told(request)
        there = [shown.fields for shown in self.of(number)]
        so = frozenset(f for f in SCALARS if f in body and any(one.get(f) == body[f] for one in there))
        flight = Flight(list_id=number, body=body, left=self._loop.time(), so_already=so)
        self.flights.append(flight)
        return flight

    def counts(self) -> bool:
        """A request has arrived; whether that is too many."""
        if not self.habits.strict:
            return False
        now = self._loop.time()
        self._arrived.append(now)
        while self._arrived[0] <= now - 60.0:
            self._arrived.popleft()
        too_many = any(sum(one > now - seconds for one in self._arrived) > limit for limit, seconds in STRICT)
        self.over += too_many
        return too_many

    def doubt(self, remote_id: str, seconds: float) -> None:
        """For so long it may be unclear what has been written to a list."""
        self._unclear_until[remote_id] = max(self._unclear_until.get(remote_id, 0.0), self._loop.time() + seconds)

    def leaves_unclear(self, remote_id: str, body: Mapping[str, Any]) -> None:
        """A write was done, and we do not know: it may be done again, however much later."""
        self._unclear.setdefault(remote_id, set()).update(parts(body))

    def do(self, request: Request, flight: Flight | None) -> Answer:
        """What the request asks for, at once."""
        self.calls += 1
        one = request.path.removeprefix(LISTS).strip("/")
        if not request.writes:
            return at_once(super().exchange(request))
        if self.number(request) in self.habits.refuses:
            return Answer(status=422, body=orjson.dumps({"error": {"message": "this list is read-only"}}))
        before = self.lists.get(one)
        if flight is not None:
            self.landing(flight)
        answer = at_once(super().exchange(self._taken(request)))
        if flight is not None and flight.landed is None:
            flight.landed = self._loop.time()
        if answer.status == 200:
            self._note(request, before, orjson.loads(answer.body)["id"])
        return answer

    def _taken(self, request: Request) -> Request:
        """What it takes of a write."""
        body = {key: value for key, value in request.body.items() if key not in self.habits.ignores}
        if request.method == "POST":
            body = {**dict.fromkeys(SCALARS), **body}
        if "name" in body:
            body["name"] = self.habits.shows(Field.NAME, body["name"])
        return replace(request, body=body)

    def _note(self, request: Request, before: Shown | None, remote_id: str) -> None:
        after, body = self.lists[remote_id], self.told(request)
        unclear = self._loop.time() < self._unclear_until.get(remote_id, 0.0)
        unclear |= parts(body) <= self._unclear.get(remote_id, set())
        written = Written(
            at=self._loop.now(), remote_id=remote_id, body=body, before=before, after=after, unclear=unclear
        )
        self.writes.append(written)
        if before is None:
            self.created[self.born[remote_id]] += 1
        if not written.idle:
            self.changed(after)


def parts(body: Mapping[str, Any]) -> set[tuple[str, object]]:
    """Each field with its value, and each member that is added or removed."""
    members = {(key, one) for key in ("members_added", "members_removed") for one in body.get(key, ())}
    return members | {(key, value) for key, value in body.items() if not key.startswith("members_")}


def number_in(name: object) -> str:
    """The number of a list, with which its name begins however it is spelled."""
    return str(name).split(maxsplit=1)[0]


def at_once(work: Any) -> Answer:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("it waited")


def contradict(one: Flight, other: Flight) -> bool:
    """Whether the two would write different things to one place."""
    scalars = [field for field in SCALARS if field in one.body and field in other.body and field not in one.so_already]
    if any(one.body[field] != other.body[field] for field in scalars):
        return True
    for some, others in ((one, other), (other, one)):
        if set(some.body.get("members_added", ())) & set(others.body.get("members_removed", ())):
            return True
    return False
