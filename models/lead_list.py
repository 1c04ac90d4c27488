"""The lead list and its copies: what was seen, what is wanted. Frozen values that engine, use cases and store share.

A missing key in `seen` or `wanted` means "nobody has said"; None as a value means "empty there". The two are
never confused: an unknown field is neither sent nor cleared.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.patch import Patch
from models.values import replace

#: Value of a scalar field in canonical form.
Value = str | bool | None


class Field(enum.StrEnum):
    """Canonical fields of a lead list."""

    NAME = "name"  #: text, never null
    OWNER = "owner"  #: the CRM's user id, or null
    ENRICHMENT = "enrichment"  #: boolean, or null
    MEMBERS = "members"  #: a set of ids; merges element by element


#: In `LeadList.holds`, what stands for all copies of the list: those that it has, and those that it will get.
WHOLE = ""

#: What stands for an id until the remote has given one: `pending:` and the number of the lead list.
PENDING = "pending:"

#: Fields with one value, in the order people are shown them.
SCALARS = (Field.NAME, Field.OWNER, Field.ENRICHMENT)


class Kind(enum.StrEnum):
    """What a list's members are. Fixed at birth."""

    PERSON = "person"  #: members are people
    COMPANY = "company"  #: members are companies


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a remote showed something, on that remote's own clock (ours, for remotes without versions)."""

    time: datetime
    #: CloudEvents `sequence`: orders the events of one list before `time` does.
    sequence: int | None = None

    def older_than(self, other: Stamp) -> bool:
        """Strictly older. Sequences decide when both have one and they differ, else the times."""
        if self.sequence is not None and other.sequence is not None and self.sequence != other.sequence:
            return self.sequence < other.sequence
        return self.time < other.time

    def same_as(self, other: Stamp) -> bool:
        """Neither is older."""
        return not self.older_than(other) and not other.older_than(self)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The agreed value of one field, who set it and when."""

    value: Value
    stamp: Stamp
    #: Name of the remote where the value was set.
    origin: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What one copy last showed for one field. For `members` the value is None and the stamp says
    when the whole set was last seen: an element without a row of its own was absent then.
    """

    value: Value
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Spelling:
    """Learned from an answer: this remote shows our `wanted` as `shown` (trimmed, cut, lower-cased)."""

    wanted: Value
    shown: Value
    #: False after one answer that might as well have been a person's edit; True once it is beyond doubt.
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A write of unknown outcome: until then, seeing `value` there is our own late write, not a person's edit."""

    value: Value
    until: datetime
    #: For `members`, what it would add and remove.
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    #: How many writes of this value have no known outcome: each may land on its own.
    times: int = 1


@dataclass(frozen=True, slots=True)
class Tally:
    """All members that a copy shows, in short: two sets with the same keys have the same tally."""

    #: How many.
    count: int = 0
    #: Sum of a hash of each key, modulo 2**64: it does not depend on order, and moves with each that comes or goes.
    digest: int = 0
    #: Rows that the remote counted when it was last read; there may be several for one member. None: not counted.
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Replaced:
    """Our own write of the whole membership: what others changed between the two moments is overwritten there."""

    #: When what we wrote was read, and when it was written, both as versions of the remote's.
    read: datetime
    landed: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """The call in flight, committed before it is sent. While it is, `Copy.look` tells of hints that came meanwhile."""

    #: Empty for a read; for a create, what the new list is to show.
    patch: Patch
    sent_at: datetime


class Standing(enum.StrEnum):
    """Where a copy stands. Every copy has exactly one, so the counts of `status` add up."""

    IN_SYNC = "in_sync"  #: shows what is wanted
    DUE = "due"  #: differs, or must be read; will be pushed at `due_at`
    CONFLICT = "conflict"  #: edited on two sides, held for a person
    EXCLUDED = "excluded"  #: differs only in what this remote cannot be given
    PARKED = "parked"  #: only a person can move it on


class Waiting(enum.StrEnum):
    """Why a due copy has not been pushed yet."""

    TURN = "turn"  #: nothing holds it but the queue
    BUDGET = "budget"  #: the rate budget is spent
    BACKOFF = "backoff"  #: the last call failed; tried again at `due_at`
    PAUSED = "paused"  #: the remote is paused, by a person or for lost access
    BREAKER = "breaker"  #: the remote keeps failing; one probe at a time
    READ_BACK = "read-back"  #: a write of unknown outcome must be looked at first, or waited out
    FIRST_READ = "first read"  #: just linked or only hinted at: read before anything is sent
    FIRST_SCAN = "first scan"  #: to be created, once a complete scan has told what is there already
    BRAKE = "brake"  #: it would remove so much that a person decides first
    REVIEW = "review"  #: sent only by `leadsync apply`
    HOLD = "on hold"  #: a person holds it: read as ever, and told nothing until somebody releases it
    IN_FLIGHT = "in flight"  #: being pushed at this moment


@dataclass(frozen=True, slots=True)
class Hold:
    """A person holds a list, or one copy of it: nothing is written there until somebody releases it."""

    #: As the audit names them.
    who: str
    since: datetime


class Absence(enum.StrEnum):
    """Proofs that a list is no longer there. One alone proves nothing (design rule 8)."""

    NOT_LISTED = "not listed"  #: a complete scan did not show it
    NOT_FOUND = "not found"  #: the remote answered 404 for its id


#: Both proofs: the list is gone.
GONE = frozenset(Absence)


@dataclass(frozen=True, slots=True)
class Parked:
    """Why only a person can move a copy on, and what that person can do."""

    cause: str
    next_step: str
    #: Digest of the patch that failed; another patch is another chance.
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One lead list on one remote, as last seen there, and what stands between it and wanted."""

    remote: str
    remote_id: str
    seen: Mapping[Field, Seen] = field(default_factory=dict)
    #: Fields that a read of the whole list did not show: they do not exist there.
    hidden: frozenset[Field] = frozenset()
    spelling: Mapping[Field, Spelling] = field(default_factory=dict)
    #: Fields in a held conflict, with what this remote showed.
    held: Mapping[Field, Seen] = field(default_factory=dict)
    abandoned: Mapping[Field, Abandoned] = field(default_factory=dict)
    #: Must be read before anything is sent.
    look: bool = False
    #: Then its members must be read too, where that takes calls of their own.
    look_members: bool = False
    #: Of the members that it shows; None until its whole membership was seen.
    tally: Tally | None = None
    #: Members that are wanted and that it cannot be told of.
    excluded: int = 0
    replaced: Replaced | None = None
    #: What speaks for the list being gone there; emptied by the first sight of it.
    absent: frozenset[Absence] = frozenset()
    #: Signature of the patch that a person let through, where patches wait for that.
    approved: str = ""
    standing: Standing = Standing.IN_SYNC
    waiting: Waiting | None = None
    due_at: datetime | None = None
    #: Since when it has not been in sync.
    since: datetime | None = None
    #: Failed calls in a row.
    tries: int = 0
    parked: Parked | None = None
    #: Grows with every claim; an answer counts only if it still matches.
    fence: int = 0
    lease_until: datetime | None = None
    intent: Intent | None = None
    #: When our last call ended: what was read before then may show what was before that call.
    landed_at: datetime | None = None

    @property
    def pending(self) -> bool:
        """The list is still to be created there."""
        return self.remote_id.startswith(PENDING)


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether one remote last showed one member, and when it said so."""

    present: bool
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Member:
    """One element of a list's membership: wanted or not, and what each remote last showed."""

    wanted: bool
    seen: Mapping[str, Presence] = field(default_factory=dict)
    #: Some remote that is to show it does not, or the other way round. Set by `plan.restand`.
    differs: bool = False
    #: Remotes that cannot be told of it though it is wanted there, and why.
    excluded: Mapping[str, str] = field(default_factory=dict)

    def shown_by(self, remote: str) -> bool:
        """Whether `remote` last showed it."""
        presence = self.seen.get(remote)
        return presence is not None and presence.present


#: One that nobody wants, and that nobody shows.
NOBODY = Member(wanted=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadList:
    """One logical list. `members` holds only the elements that were loaded: all that differ, and those asked for."""

    #: 0 until the store has given it a number.
    id: int = 0
    kind: Kind | None = None
    #: Remotes from which a person, or `on_gone`, took it away: it is not created there by itself.
    apart: frozenset[str] = frozenset()
    #: What people hold, by remote; `WHOLE` for the list on all of them.
    holds: Mapping[str, Hold] = field(default_factory=dict)
    wanted: Mapping[Field, Wanted] = field(default_factory=dict)
    copies: Mapping[str, Copy] = field(default_factory=dict)
    members: Mapping[str, Member] = field(default_factory=dict)

    def hold_on(self, remote: str) -> Hold | None:
        """Who holds its copy there, alone or with the whole list; None when nobody does."""
        return (self.holds.get(WHOLE) or self.holds.get(remote)) if self.holds else None


def with_copy(lead_list: LeadList, copy: Copy) -> LeadList:
    """The list with this copy in the place of the one on its remote."""
    return replace(lead_list, copies={**lead_list.copies, copy.remote: copy})
