"""An observation: one remote showed this of one list. Made from events, reads, scans and answers to our own patches."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from models.lead_list import Field, Kind, Stamp, Value


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One list as a connector read it from an answer: canonical fields, no remote name, no stamp yet."""

    remote_id: str
    kind: Kind | None = None
    #: Only what the remote really showed.
    fields: Mapping[Field, Value] = field(default_factory=dict)
    #: The whole membership, or None when the answer did not hold it.
    members: frozenset[str] | None = None
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
            members=None if self.members is None else MembersSeen(whole=True, added=self.members),
        )
