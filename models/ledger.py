"""Ledger rows as values: changes (what was agreed and why) and attempts (what was called and what came back)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.lead_list import Field, Stamp


class ChangeKind(enum.StrEnum):
    """What a change row tells."""

    WANTED = "wanted"  #: the agreed value moved from old to new
    CONFLICT = "conflict"  #: old is what was wanted, new is what the remote showed; policy decided
    HELD = "held"  #: as conflict, but a person decides
    BRAKE = "brake"  #: so many members would go that a person decides; old is what would
    APPROVED = "approved"  #: a person let a patch through to the remote, by applying a plan
    RESOLVED = "resolved"  #: a person decided a conflict or released a brake: old is what was wanted, new is what is
    GONE = "gone"  #: a complete scan and a 404 agree: the list is no longer there
    CREATED = "created"  #: the list was created there
    LATE_WRITE = "late write"  #: our own abandoned write landed after all
    LINKED = "linked"  #: a copy was tied to the list
    UNLINKED = "unlinked"  #: a copy was let go
    ON_HOLD = "on hold"  #: a person holds the list, or one copy of it: new tells which
    RELEASED = "released"  #: and released it: old tells which


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One step in a list's history."""

    kind: ChangeKind
    field: Field | None
    old: Any
    new: Any
    #: The remote it came from.
    origin: str
    stamp: Stamp
    #: Event id, "read", "answer", "link", or a person's command.
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP call for one copy: what was sent, what came back, how long it took."""

    list_id: int
    remote: str
    #: "read" or "patch".
    action: str
    lane: str
    at: datetime
    #: Patch in canonical fields; empty for a read.
    sent: dict[str, Any]
    #: HTTP status, None when there was no answer.
    status: int | None
    #: done, later, parked, paused, unclear, stale.
    outcome: str
    #: One sentence; never a body.
    note: str
    duration_ms: float
    #: From the moment the copy stopped being in sync until the answer; None for reads.
    lag_ms: float | None
