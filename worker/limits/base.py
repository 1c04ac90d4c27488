"""What a rate budget is: the port that push and scan reserve through. Two forms: `budget.py` (Redis), `memory.py`.

One budget per remote, shared by all workers (design rule 10). A request holds its place from the moment it
is reserved until its answer plus one window: the server counts it somewhere in between, so no strict sliding
window can see more than the limit.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class Lane(enum.StrEnum):
    """Who may spend the budget first, in this order."""

    LIVE = "live"  #: a change somebody is waiting for
    RETRY = "retry"  #: a second try; must not crowd out first tries
    SCAN = "scan"  #: reconciliation reads; takes what is left, but never less than a trickle


class Ending(enum.StrEnum):
    """How a reserved call ended, as far as the budget is concerned."""

    ANSWERED = "answered"  #: the remote answered and is well, whatever it said
    FAILED = "failed"  #: 5xx, or no connection: counts towards the breaker
    LIMITED = "limited"  #: 429: everybody pauses
    UNKNOWN = "unknown"  #: may still arrive: keeps its place for the whole hold; counts towards the breaker
    UNSENT = "unsent"  #: never left this process: its place is free at once


class Wait(enum.StrEnum):
    """Why nothing was granted."""

    BUDGET = "budget"  #: every place in some window is taken
    BACKOFF = "backoff"  #: the remote answered 429 and named (or we chose) a time to come back
    BREAKER = "breaker"  #: the remote keeps failing; one probe at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """At most `limit` requests in any `seconds` seconds."""

    limit: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of one reserved call."""

    ticket: str
    ending: Ending
    #: Seconds between the answer's arrival and this report; reports may be batched without wasting budget.
    age_s: float = 0.0
    #: The remote's own wish with a 429 or 503, in seconds.
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Permission to send `len(tickets)` requests now; or none, and when to ask again."""

    tickets: tuple[str, ...] = ()
    wait_s: float = 0.0
    why: Wait | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """What `status` shows of a budget."""

    #: Places taken and places there are, per window length in seconds.
    used: dict[float, tuple[int, int]]
    #: Share of the configured limit in force: below 1.0 after a 429, growing back.
    share: float
    #: Seconds until calls may go out again after a 429; 0 when they may.
    backoff_s: float
    #: Seconds until the breaker lets the next probe out; None while it is closed.
    breaker_s: float | None

    @property
    def spent(self) -> bool:
        """Every place in some window is taken."""
        return any(taken >= there for taken, there in self.used.values())


class Budget(Protocol):
    """All calls may raise `RedisAway`: a budget that cannot be asked grants nothing (fails closed)."""

    async def reserve(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Grant:
        """Hand in `reports`, then take up to `want` places in every window at once, atomically.

        Fewer than `want` may be granted; with none, `wait_s` says when asking again can succeed.
        `want` may be 0 to only report.
        """
        ...

    async def state(self) -> BudgetState:
        """A look without taking anything."""
        ...
