"""Parts of a transaction, one a theme: scans, who members are, upkeep, plans, what people do.

`worker.ports.Tx` holds one of each; the SQL store has a module for each, and so has its twin in memory.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from models.audit import Action
from models.lead_list import Field
from models.person import Details
from models.plan import KeptPlan
from models.scan import Finding, Quiet, Scan, Trigger


class Kept(enum.Enum):
    """What `sync.keep_days` ends the keeping of."""

    CHANGES = enum.auto()
    ATTEMPTS = enum.auto()
    SCANS = enum.auto()  #: certificates that no later decision needs
    PLANS = enum.auto()
    GONE = enum.auto()  #: that a list was found to be gone


@dataclass(frozen=True, slots=True)
class Astray:
    """A copy that nobody could have moved on, because its rows contradict each other."""

    list_id: int
    remote: str
    #: What was found, and what was done about it.
    found: str


@dataclass(frozen=True, slots=True)
class Glance:
    """How the last scan of a remote stands, at a glance."""

    #: None when there was none.
    started_at: datetime | None
    under_way: bool = False
    #: Under way, and no worker has it in hand.
    waits: bool = False


class Scans(Protocol):
    """The part of a transaction that knows scans."""

    def latest(self, remote: str) -> Scan | None:
        """The scan of a remote that is under way, else the one that was begun last. Locks it."""
        ...

    def glance(self, remotes: Collection[str]) -> dict[str, Glance]:
        """How `latest` of each of these remotes stands, in one look at all. Locks nothing."""
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

    def was_read(self, number: int, cursor: str) -> bool:
        """Whether the page at this cursor is among those read so far."""
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

    def quiet(self, remote: str, ids: Collection[str]) -> dict[str, Quiet]:
        """Those of these lists there of which nothing is in question. Locks nothing."""
        ...

    def countable(self, remote: str, ids: Collection[str]) -> list[str]:
        """Those of these lists there whose membership is known, and is not going to be read anyway. Locks nothing."""
        ...

    def named(self, remote: str, name: str) -> list[str]:
        """Lists on the remote that show this name, and pending ones that a create under way gives it; case and spacing
        do not count, nor what is beyond 100 characters.
        """
        ...

    def count_doubted(self, remote: str) -> int:
        """Copies that a complete scan did not show and that have not answered for themselves yet."""
        ...

    def found_gone(self, remote: str, remote_id: str) -> None:
        """One more list is gone, as `latest` suspected. That is kept, so that late news of it makes no new list."""
        ...

    def gone_since(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
        """Those of these lists (remote, id there) that were found to be gone, and when."""
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


#: A call that comes later has no trace.
TRACED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Trace:
    """What made a field of a list wanted, or shown: a span of OpenTelemetry."""

    list_id: int
    #: None for what is about no field, as a link.
    field: Field | None
    traceparent: str


class Traces(Protocol):
    """The part of a transaction that knows traces. Not asked while tracing is off."""

    def keep(self, traces: Sequence[Trace]) -> None:
        """For a while; old ones go."""
        ...

    def of(self, since: Mapping[int, datetime], most: int) -> dict[int, list[Trace]]:
        """The newest of each list since its moment, up to `most` a list."""
        ...


class Audit(Protocol):
    """The part of a transaction that keeps what people do."""

    #: Whose transaction this is; empty when nobody said.
    who: str

    def note(self, what: Action, target: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """One thing that this person changes. `target` is what a command would name."""
        ...
