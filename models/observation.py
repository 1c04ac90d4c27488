"""An observation: one remote showed this of one list. Made from events, reads, scans and answers to our own patches."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.lead_list import Field, Kind, Stamp, Value
from models.person import Person


class Evidence(enum.StrEnum):
    """How we came to see it."""

    EVENT = "event"  #: a sender told us, perhaps late, perhaps twice
    READ = "read"  #: we asked for this list
    ANSWER = "answer"  #: the remote's answer to our own patch


@dataclass(frozen=True, slots=True, kw_only=True)
class MembersSeen:
    """News about membership: either the whole set, or what was added and removed."""

    #: True: `added` is the whole set and `removed` is empty.
    whole: bool
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    #: The whole set was looked at, and is as it was known but for `added` and `removed`.
    rest_as_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What `remote` showed, in canonical fields. A field that is not named was not shown."""

    remote: str
    remote_id: str
    stamp: Stamp
    evidence: Evidence
    #: For the ledger: event id, "read", "answer", "link".
    cause: str
    kind: Kind | None = None
    fields: Mapping[Field, Value] = field(default_factory=dict)
    members: MembersSeen | None = None
    #: Rows of the membership, as the remote counts them.
    rows: int | None = None
    #: Who the members are, as far as it was said.
    people: tuple[Person, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One list as a connector read it from an answer: canonical fields, no remote name, no stamp yet."""

    remote_id: str
    kind: Kind | None = None
    #: Only what the remote really showed.
    fields: Mapping[Field, Value] = field(default_factory=dict)
    #: The whole membership by ids of the remote's own, or None when the answer did not hold it.
    members: frozenset[str] | None = None
    #: Of the membership only what our own patch moved, by ids of the remote's own.
    moved: MembersSeen | None = None
    #: Members that the remote did not take, and why.
    refused: Mapping[str, str] = field(default_factory=dict)
    #: Rows of the membership as the remote counts them, where one member may have several.
    rows: int | None = None
    #: Who the members are, as far as the remote says.
    people: tuple[Person, ...] = ()
    #: What a read showed just before a patch that replaced the whole membership.
    before: Shown | None = None
    #: When the remote says it last changed; None on remotes without versions.
    version: datetime | None = None

    def on(self, remote: str, *, evidence: Evidence, asked_at: datetime, cause: str) -> Observation:
        """The observation this makes. Without a version it is stamped with the moment we asked, on our clock."""
        return Observation(
            remote=remote,
            remote_id=self.remote_id,
            stamp=Stamp(self.version or asked_at),
            evidence=evidence,
            cause=cause,
            kind=self.kind,
            fields=self.fields,
            members=self.moved if self.members is None else MembersSeen(whole=True, added=self.members),
            rows=self.rows,
            people=self.people,
        )
