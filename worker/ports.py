"""The five ports through which engine and use cases reach the world: Store, Stream, Remote, Budget and Clock.

Use cases are plain coroutines. Production runs them on asyncio, one loop per process; a simulation runs the same
coroutines on a virtual-time loop over the in-memory twins. Every await on a port is a place where a simulation
may crash, delay, reorder or fail.

| port   | production                         | twin                           |
| ------ | ---------------------------------- | ------------------------------ |
| Store  | `worker.store.sql.SqlStore`        | `worker.store.memory`          |
| Stream | `worker.stream.redis_stream`       | `worker.stream.memory`         |
| Remote | `worker.remotes.*` over `http.py`  | `worker.remotes.memory`        |
| Budget | `worker.limits.budget`             | `worker.limits.memory`         |
| Clock  | `worker.clock.SystemClock`         | the virtual-time loop's        |

Storage is synchronous: a use case hands `Store.run` a function that takes a transaction, and that function
happens wholly or not at all.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NewType, Protocol, TypeVar

from models.audit import Action
from models.lead_list import Kind, LeadList
from models.ledger import Attempt, Change
from models.person import Details
from models.plan import KeptPlan
from models.scan import Finding, Scan, Trigger
from worker.limits.base import Budget, Lane
from worker.remotes.base import Connector

__all__ = ["Budget", "Clock", "Connector", "Lane", "Store", "Stream", "Tx"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: (remote name, list id there)
RemoteKey = tuple[str, str]
EntryId = NewType("EntryId", str)


class Every(enum.Enum):
    """Asks `Tx.load` for all members of a list."""

    MEMBER = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """An entry that could not be taken in. Kept as received, with the reason."""

    entry_id: str
    reason: str
    event: str


@dataclass(frozen=True, slots=True)
class RemoteState:
    """Whether a remote may be called, as people and lost credentials decided."""

    paused: bool = False
    cause: str = ""
    next_step: str = ""
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class DueCount:
    """How much of one remote can be pushed now, by lane."""

    live: int = 0
    retry: int = 0


class Kept(enum.Enum):
    """What `sync.keep_days` ends the keeping of."""

    CHANGES = enum.auto()
    ATTEMPTS = enum.auto()
    SCANS = enum.auto()  #: certificates that no later decision needs
    PLANS = enum.auto()


@dataclass(frozen=True, slots=True)
class Astray:
    """A copy that nobody could have moved on, because its rows contradict each other."""

    list_id: int
    remote: str
    #: What was found, and what was done about it.
    found: str


class Tx(Protocol):
    """One transaction. Everything it reads is locked until its end where the database needs that."""

    @property
    def now(self) -> datetime:
        """The database's clock: the only one leases and due times are measured with."""
        ...

    @property
    def scans(self) -> Scans:
        """What it knows of scans."""
        ...

    @property
    def plans(self) -> Plans:
        """What it knows of plans."""
        ...

    @property
    def upkeep(self) -> Upkeep:
        """What keeps it tidy and true."""
        ...

    @property
    def audit(self) -> Audit:
        """What people do."""
        ...

    @property
    def identities(self) -> Identities:
        """What it knows of who members are."""
        ...

    def find(self, keys: Collection[RemoteKey]) -> dict[RemoteKey, int]:
        """Numbers of the lead lists that are linked to these remote lists."""
        ...

    def create(self, kinds: Sequence[Kind | None]) -> list[int]:
        """Numbers for new, empty lead lists."""
        ...

    def load(self, ids: Collection[int], members: Mapping[int, Collection[str] | Every] = ...) -> dict[int, LeadList]:
        """Lead lists with their copies and, of the members, those that differ anywhere and those named. Locks them."""
        ...

    def save(self, changed: Iterable[tuple[LeadList | None, LeadList]]) -> None:
        """Write what differs between (before, after); before is None for a new list."""
        ...

    def drop(self, list_id: int, into: int) -> None:
        """Forget a lead list whose copies were moved `into` another; its ledger moves too."""
        ...

    def due(self, remote: str, limit: int) -> list[int]:
        """Up to `limit` lists whose copy on `remote` may be pushed now: due, not leased; first tries first."""
        ...

    def count_due(self, remote: str, limit: int) -> DueCount:
        """The same without locking, counted up to `limit`."""
        ...

    def note(self, list_id: int, changes: Sequence[Change]) -> None:
        """Add rows to the ledger of changes."""
        ...

    def attempted(self, attempts: Sequence[Attempt]) -> None:
        """Add rows to the ledger of attempts."""
        ...

    def reject(self, rejects: Sequence[Reject]) -> None:
        """Keep entries that could not be taken in. An entry id that is known already is left as it is."""
        ...

    def remote_state(self, remote: str) -> RemoteState:
        """Whether the remote is paused. Not paused when nobody ever said."""
        ...

    def set_remote_state(self, remote: str, state: RemoteState) -> None:
        """Pause or resume."""
        ...


class Scans(Protocol):
    """The part of a transaction that knows scans."""

    def latest(self, remote: str) -> Scan | None:
        """The scan of a remote that is under way, else the one that was begun last. Locks it."""
        ...

    def get(self, number: int) -> Scan | None:
        """One scan. Locks it."""
        ...

    def last_complete(self, remote: str) -> Scan | None:
        """The last one that is complete."""
        ...

    def open(self, remote: str, trigger: Trigger) -> Scan:
        """Begin a new one; only one of a remote is ever under way."""
        ...

    def save(self, scan: Scan) -> None:
        """Write how it stands."""
        ...

    def supersede(self, remote: str) -> None:
        """Scans of the remote that are held no longer matter: a later one knows better."""
        ...

    def add_page(self, scan: Scan, ids: Sequence[str]) -> None:
        """The page at the scan's cursor was read, and showed these lists."""
        ...

    def cursors(self, number: int) -> set[str | None]:
        """The cursors of all pages read so far."""
        ...

    def shown(self, number: int) -> set[str]:
        """Every list shown so far."""
        ...

    def find(self, number: int, findings: Sequence[Finding]) -> None:
        """Keep lists that it found changed; a later look at the same one counts."""
        ...

    def count_findings(self, number: int) -> int:
        """How many are kept."""
        ...

    def findings(self, number: int, limit: int) -> list[Finding]:
        """Some of them."""
        ...

    def taken(self, number: int, ids: Collection[str]) -> None:
        """These need not be kept any longer."""
        ...

    def forget(self, number: int) -> None:
        """Its pages and findings; the certificate stays."""
        ...

    def linked(self, remote: str, before: datetime) -> list[str]:
        """Lists on the remote linked before then, in order, but for pending ones and those known to be gone."""
        ...

    def lacking(self, remote: str, after: int, limit: int) -> list[int]:
        """Up to `limit` lead lists without a copy on the remote, in order, with numbers beyond `after`."""
        ...

    def named(self, remote: str, name: str) -> list[str]:
        """Lists on the remote that show this name, and pending ones that a create under way gives it; case and spacing
        do not count, nor what is beyond 100 characters.
        """
        ...

    def count_doubted(self, remote: str) -> int:
        """Copies that a complete scan did not show and that have not answered for themselves yet."""
        ...

    def count_gone(self, remote: str) -> None:
        """One more list is gone, as `latest` suspected."""
        ...


class Identities(Protocol):
    """The part of a transaction that knows who members are: their keys, and their ids on each remote.

    A `system` is a remote, or `models.person.EMAIL` for e-mail addresses. A member may have several ids in one system
    (two rows of one person there); an id belongs to one member only.
    """

    def keys(self, system: str, ids: Collection[str]) -> dict[str, str]:
        """Keys of the members with these ids, by id. Ids that nobody has are left out."""
        ...

    def ids(self, system: str, keys: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Ids of these members, by key, the one that was learned last at the end. Members without one are left out."""
        ...

    def add(self, system: str, ids: Mapping[str, str]) -> None:
        """Give members ids: {id: key}. An id that belonged to another member belongs to this one now."""
        ...

    def mint(self, system: str, ids: Mapping[str, str]) -> dict[str, str]:
        """Give ids that nobody had to new members: {id: key}. Answers with whose they are now: another transaction may
        have been first.
        """
        ...

    def details(self, keys: Collection[str]) -> dict[str, Details]:
        """What these members are called, by key. Those of whom nothing is known are left out."""
        ...

    def describe(self, details: Mapping[str, Details]) -> None:
        """Keep what members are called: {key: details}. What is None there is kept as it was."""
        ...

    def rename(self, old: str, new: str) -> None:
        """All ids and details of one key become those of another, which keeps its own details."""
        ...

    def lists(self, key: str) -> list[int]:
        """Lead lists with a row for this member."""
        ...

    def excluded(self, keys: Collection[str]) -> dict[int, set[str]]:
        """Lead lists from some remote of which one of these members is excluded, and which ones."""
        ...

    def count_excluded(self, list_id: int) -> dict[str, int]:
        """Members that are excluded from each remote of a list."""
        ...


class Upkeep(Protocol):
    """The part of a transaction that forgets what is old, and finds what does not add up."""

    def forget(self, kept: Kept, before: datetime, limit: int) -> int:
        """Forget what is older, among the `limit` oldest rows; answers with how many went."""
        ...

    def lists(self, after: int, limit: int) -> list[int]:
        """The next lead lists by number."""
        ...

    def small(self, ids: Collection[int], limit: int) -> set[int]:
        """Those of these lists that have at most so many members."""
        ...

    def mend(self, after: int, last: int | None) -> list[Astray]:
        """Mend what cannot even be loaded among the lists after the one and up to the other, None for all that follow:
        each copy has a link, each link a copy, and each copy a standing that is one.
        """
        ...


class Plans(Protocol):
    """The part of a transaction that knows what waits to be sent, and what people have seen of it."""

    def waiting(self, remote: str | None, after: int, limit: int) -> list[int]:
        """Lists with a copy that is due, on that remote or on any: numbers above `after`, in order."""
        ...

    def keep(self, plan: KeptPlan) -> None:
        """Keep what a person is shown. The same plan again is as new; others that are too many or too old go."""
        ...

    def find(self, digits: str) -> list[KeptPlan]:
        """Plans whose hash begins so; two at most, since more than one is too many."""
        ...


class Audit(Protocol):
    """The part of a transaction that keeps what people do."""

    #: Whose transaction this is; empty when nobody said.
    who: str

    def note(self, what: Action, target: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """One thing that this person changes. `target` is what a command would name."""
        ...


class Store(Protocol):
    """The database."""

    async def run(self, work: Callable[[Tx], T]) -> T:
        """`work` in one transaction, committed when this returns. `work` may be called again after a
        serialisation failure, so it must have no effect but through its transaction.

        Raises `Transient` when the database is away or locked for too long.
        """
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the stream."""

    id: EntryId
    #: The `event` field; None when the entry has no such field.
    event: bytes | None
    #: How often it was handed out, this time included.
    deliveries: int = 1


class Stream(Protocol):
    """The stream of events, read as one consumer of a group. All calls may raise `RedisAway`."""

    async def read(self, count: int) -> list[Entry]:
        """Entries nobody has taken yet."""
        ...

    async def unfinished(self, count: int) -> list[Entry]:
        """Entries this consumer took and never acknowledged: it was killed."""
        ...

    async def take_over(self, count: int, idle_s: float) -> list[Entry]:
        """Entries that any consumer took and left for `idle_s`: it is dead."""
        ...

    async def ack(self, ids: Sequence[EntryId]) -> None:
        """Done, after the commit."""
        ...

    async def forgive(self, entries: Sequence[Entry]) -> None:
        """This delivery does not count: it failed for a reason that has nothing to do with the entries."""
        ...

    async def trim(self) -> int:
        """Remove what every group has acknowledged; answers with how many entries went."""
        ...

    async def forget_consumers(self, idle_s: float) -> int:
        """Forget consumers of our group that hold no entry and have asked for nothing for `idle_s`; answers with how
        many. One that lives after all is known again with its next call.
        """
        ...


class Clock(Protocol):
    """Time for waiting and measuring. Due times and leases are on the database's clock, never on this one."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
