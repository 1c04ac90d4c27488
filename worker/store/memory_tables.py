"""What the in-memory store knows, as dictionaries. Used by its transactions, and by tests that look into them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from operator import attrgetter, methodcaller

from models.audit import Audited
from models.lead_list import LeadList
from models.ledger import Attempt, Change
from models.person import Details
from models.plan import KeptPlan
from models.scan import Finding, Scan
from worker.parts import Trace
from worker.ports import Reject, RemoteKey, RemoteState


@dataclass
class Tables:
    """Everything the store knows. Values are frozen, so a transaction copies only the dictionaries."""

    lists: dict[int, LeadList] = field(default_factory=dict)
    links: dict[RemoteKey, int] = field(default_factory=dict)
    changes: list[tuple[int, Change]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    rejects: dict[str, Reject] = field(default_factory=dict)
    remotes: dict[str, RemoteState] = field(default_factory=dict)
    scans: dict[int, Scan] = field(default_factory=dict)
    pages: dict[tuple[int, int], tuple[str | None, tuple[str, ...]]] = field(default_factory=dict)
    findings: dict[tuple[int, str], Finding] = field(default_factory=dict)
    linked_at: dict[RemoteKey, datetime] = field(default_factory=dict)
    plans: dict[str, KeptPlan] = field(default_factory=dict)
    #: When lists were found to be gone.
    gone: dict[RemoteKey, datetime] = field(default_factory=dict)
    #: When each of the changes was noted.
    noted_at: list[datetime] = field(default_factory=list)
    audit: list[Audited] = field(default_factory=list)
    #: {(system, id): key}, in the order in which they were learned.
    identities: dict[tuple[str, str], str] = field(default_factory=dict)
    people: dict[str, Details] = field(default_factory=dict)
    #: In the order in which they were kept.
    traces: list[tuple[datetime, Trace]] = field(default_factory=list)
    numbers: int = 0

    def snapshot(self) -> Tables:
        """A copy that the original's transactions no longer touch."""
        kept = object.__new__(Tables)
        vars(kept).update(zip(_COLLECTIONS, map(_copied, _collections(self)), strict=True), numbers=self.numbers)
        return kept


# One snapshot a transaction, and simulations make hundreds of millions of those: no loop of Python's goes over it.
_COLLECTIONS = tuple(one.name for one in fields(Tables) if one.name != "numbers")
_collections, _copied = attrgetter(*_COLLECTIONS), methodcaller("copy")
