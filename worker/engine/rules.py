"""What the engine must know of settings and connectors, as plain values. Built once by `worker.remotes.registry`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from models.lead_list import Field, Value
from models.person import Naming

#: Up to so many lists or members may go or change at once, whatever share they are.
FEW = 10

#: A remote's clock may be ahead of ours by this much, and is believed all the same.
CLOCK_SKEW = timedelta(minutes=5)


class Direction(enum.StrEnum):
    """Which way one field flows between a remote and wanted."""

    BOTH = "both"  #: edits there count, and it is written
    PUSH = "push"  #: it is written; edits there are overwritten
    PULL = "pull"  #: edits there count; it is never written
    OFF = "off"  #: not compared at all
    NONE = "none"  #: this kind of remote has no such field

    @property
    def takes(self) -> bool:
        """Edits made there set wanted."""
        return self in (Direction.BOTH, Direction.PULL)

    @property
    def writes(self) -> bool:
        """Wanted is written there."""
        return self in (Direction.BOTH, Direction.PUSH)

    @property
    def used(self) -> bool:
        """It is compared at all."""
        return self.takes or self.writes


class Policy(enum.StrEnum):
    """Who wins when one field was edited on two sides before they met."""

    AUTHORITY = "authority"  #: the remote that stands first in `sync.authority`
    NEWEST = "newest"  #: the later stamp; authority breaks a tie
    HOLD = "hold"  #: nobody: both values are kept until a person decides


class OnGone(enum.StrEnum):
    """What becomes of a copy whose list is gone from its remote."""

    HOLD = "hold"  #: parked for a person
    UNLINK = "unlink"  #: the copy is let go; the others stay
    RECREATE = "recreate"  #: a new list is created there


class NoMapping(Exception):
    """The wanted value has no counterpart on that remote."""


def same(field: Field, value: Value) -> Value:
    """The spelling of remotes that show what they are told."""
    del field
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRules:
    """One remote as the engine sees it."""

    #: Position in `sync.authority`; lower wins. Remotes that are not named share the last place.
    rank: int
    directions: Mapping[Field, Direction]
    #: A canonical value as this remote would show it, in canonical form. Raises `NoMapping`.
    spell: Callable[[Field, Value], Value] = same
    #: Lists carry a version: an event's payload can be believed, and stale reads can be told.
    versioned: bool = True
    #: Nothing is sent there before a person has seen it.
    review: bool = False
    #: Lists that it has no copy of are created there.
    creates: bool = False
    on_gone: OnGone = OnGone.HOLD
    #: By what it knows members.
    naming: Naming = Naming.KEY
    #: Members are written as a whole: what others changed meanwhile is overwritten.
    replaces_members: bool = False
    #: So many members may be added and removed by one patch; None for any number.
    members_at_once: int | None = None
    #: Members are read by calls of their own.
    members_apart: bool = False
    #: Seconds after which members that are apart are read anew.
    members_every_s: float = 86_400.0
    #: More members than this are not added to a list whose enrichment is on before a person has seen it.
    enrich_at_once: int | None = None

    def direction(self, field: Field) -> Direction:
        """A field that nobody configured does not exist there."""
        return self.directions.get(field, Direction.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """All remotes, and the conflict policy of each field."""

    remotes: Mapping[str, RemoteRules]
    policies: Mapping[Field, Policy] = field(default_factory=dict)
    #: Share of lists, or of one list's members, that may go or change at once without a person.
    brake: float = 0.3

    def too_many(self, moved: int, of: int) -> bool:
        """Whether the brake holds a change of `moved` out of `of`. A few are never too many."""
        return moved > FEW and moved > self.brake * of

    @property
    def namings(self) -> dict[str, Naming]:
        """By what each remote knows members."""
        return {name: one.naming for name, one in self.remotes.items()}

    @property
    def namer(self) -> str | None:
        """The remote whose ids are members' keys; the first in authority if there are several."""
        namers = [name for name, one in self.remotes.items() if one.naming is Naming.KEY]
        return min(namers, key=lambda name: (self._rank(name), name), default=None)

    def policy(self, field: Field) -> Policy:
        """Authority, unless settings say otherwise."""
        return self.policies.get(field, Policy.AUTHORITY)

    def outranks(self, remote: str, other: str) -> bool:
        """Whether `remote` stands above `other`. A remote that left the settings stands below all."""
        return self._rank(remote) < self._rank(other)

    def _rank(self, remote: str) -> int:
        rules = self.remotes.get(remote)
        return rules.rank if rules else len(self.remotes) + 1
