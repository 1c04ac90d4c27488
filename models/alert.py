"""Alerts: states that people are told of, once when one turns bad and once when it recovers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime


class AlertKind(enum.StrEnum):
    """Which states. Receivers rely on the words."""

    PAUSED = "paused"  #: nothing is sent to a remote, until people resume it
    BREAKER = "breaker"  #: a remote keeps failing, and only probes go out
    STALE = "stale"  #: a due copy has waited for longer than `alerts.stale_after_s`
    PARKED = "parked"  #: more copies of a remote are parked than `alerts.parked_above`
    SCAN = "scan"  #: a scan is held for a person, or the last one ended early
    NUMBERS = "numbers"  #: copies did not stand as they should


#: (kind, remote or nothing)
AlertKey = tuple[AlertKind, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """How one state looks now. What cannot be told now is not judged."""

    kind: AlertKind
    #: A remote, or empty for all of leadsync.
    about: str
    bad: bool
    #: One sentence, nothing of any list or person.
    says: str
    next_step: str = ""

    @property
    def key(self) -> AlertKey:
        """Which state it is."""
        return self.kind, self.about


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One state became bad, or good again, and that is told by a message."""

    id: int
    kind: AlertKind
    about: str
    #: Counts the alerts of this state; 0 is none but the state before the first one.
    nth: int
    bad: bool
    at: datetime
    says: str
    next_step: str
    #: Since when it looks otherwise; None while it looks as it was told.
    wavers_since: datetime | None
    #: The id of the message that tells it.
    message: str
    #: When it was told; None while it must still be.
    told_at: datetime | None
    tries: int
    due_at: datetime
    #: Why the last try failed.
    trouble: str

    @property
    def key(self) -> AlertKey:
        """Which state it is."""
        return self.kind, self.about
