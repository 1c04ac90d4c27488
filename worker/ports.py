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
from typing import NewType, Protocol, TypeVar

from models.lead_list import Kind, LeadList
from models.ledger import Attempt, Change
from worker.limits.base import Budget, Lane
from worker.parts import Audit, Identities, Plans, Scans, Traces, Upkeep
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
    def traces(self) -> Traces:
        """What it knows of traces."""
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

    def due_remotes(self, remotes: Collection[str]) -> list[str]:
        """Those of the remotes that `count_due` finds something for and that are not paused, in one look at all."""
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

    async def alone(self, entry: Entry) -> int:
        """This worker is about to try it alone, which is noted before. Answers with how many others tried it alone and
        never came back: an entry that kills its worker is known by that.
        """
        ...

    async def came_back(self, entry: Entry) -> None:
        """This worker lives, whatever came of its try."""
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
