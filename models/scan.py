"""The scan: one look at every list of a remote, and the certificate that it ends in."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from models.lead_list import Field, Kind, Seen, Tally
from models.observation import Shown


class Trigger(enum.StrEnum):
    """Why a scan was begun."""

    SCHEDULE = "schedule"  #: `scan_every_s` has passed
    NUDGE = "nudge"  #: a webhook said that something changed there, but not which list
    PERSON = "person"  #: `leadsync scan REMOTE`


class ScanState(enum.StrEnum):
    """Where a scan stands."""

    READING = "reading"  #: pages are being read
    TAKING = "taking"  #: what it found is being taken in
    CHECKING = "checking"  #: lists that it did not show are being read by id
    COMPLETE = "complete"  #: every list was shown, or answered for by id
    HELD = "held"  #: it would change too much: a person decides
    INCOMPLETE = "incomplete"  #: it ended early; the note says why
    REFUSED = "refused"  #: a person decided that nothing of it is to be taken in
    SUPERSEDED = "superseded"  #: it was held, and a later scan of the same remote has ended


#: A worker has something to do for it.
UNDER_WAY = frozenset({ScanState.READING, ScanState.TAKING, ScanState.CHECKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """One scan with what it has counted so far: its certificate, once it has ended."""

    id: int
    remote: str
    trigger: Trigger
    state: ScanState
    started_at: datetime
    ended_at: datetime | None = None
    #: Why it waits, is held or ended early; one sentence.
    note: str = ""
    #: The page to read next; None for the first.
    cursor: str | None = None
    #: When a worker may go on with it.
    due_at: datetime
    #: Failed calls in a row.
    tries: int = 0
    #: Grows with every worker that takes it up: what a former one brings no longer counts.
    fence: int = 0
    lease_until: datetime | None = None
    pages: int = 0
    #: Digest of their cursors, in order: scans that read the same pages have the same, whoever took them up.
    chain: str = ""
    #: Different lists shown.
    lists: int = 0
    #: Lists that nobody knew.
    new: int = 0
    #: Known lists that showed other values than they last had.
    drift: int = 0
    #: Of these, taken in.
    repaired: int = 0
    #: Lists that our own calls moved while they were read, and that are read again one by one.
    moved: int = 0
    #: Known lists that were not shown.
    missing: int = 0
    #: Of these, answered 404 by id.
    gone: int = 0


def chained(chain: str, cursor: str | None) -> str:
    """The digest of a chain of cursors with one more: 16 hex digits."""
    link = f"{chain} {'' if cursor is None else f'={cursor}'}"
    return hashlib.sha256(link.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Finding:
    """A known list that showed something else than it last did, to be taken in when the whole scan is believed."""

    shown: Shown
    #: The database's clock before its page was asked for.
    asked_at: datetime


@dataclass(frozen=True, slots=True)
class Quiet:
    """A copy of which nothing is in question, as it was last seen: no call of ours is under way or of unknown outcome,
    nothing is held, nothing is to be read.
    """

    #: Of its list.
    kind: Kind | None
    seen: Mapping[Field, Seen]
    hidden: frozenset[Field]
    tally: Tally | None
    #: Fields that somebody has said a value for.
    wanted: frozenset[Field]
