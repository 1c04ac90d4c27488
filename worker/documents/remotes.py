"""The state of the remotes and of Redis, as `status` shows it; also says why a due copy really waits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from models.lead_list import Waiting
from worker.errors import RedisAway
from worker.limits.base import BudgetState
from worker.ports import RemoteState
from worker.wiring import Runtime

Unknown = Literal["unknown"]
UNKNOWN: Final[Unknown] = "unknown"

_WINDOW = {1.0: "second", 60.0: "minute"}

#: What is called as soon as there is a place in the rate budget.
_NEXT: Final = (Waiting.TURN, Waiting.FIRST_READ)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDocument:
    """A rate budget: places taken and places there are, per window."""

    used: dict[str, int]
    limit: dict[str, int]
    #: Share of the configured limit in force: below 1.0 after a 429, growing back.
    share: float
    #: Seconds until calls go out again after a 429; 0 when they do.
    backoff_s: float
    #: Seconds until the breaker lets the next probe out; null while it is closed.
    breaker_s: float | None


@dataclass(frozen=True, slots=True)
class Brakes:
    """What holds whole remotes: their state and their budgets."""

    configured: frozenset[str]
    states: Mapping[str, RemoteState]
    budgets: Mapping[str, BudgetState | None]

    def state(self, remote: str) -> RemoteState:
        """As people and lost credentials decided."""
        return self.states.get(remote, RemoteState())

    def word(self, remote: str) -> Literal["active", "paused", "unknown"]:
        """Active only when it is known that calls may go out: without its budget nobody calls."""
        if self.state(remote).paused:
            return "paused"
        return UNKNOWN if self.budgets.get(remote) is None else "active"

    def waiting(self, remote: str, stored: Waiting | None, *, in_flight: bool = False) -> Waiting:
        """Why a due copy there waits: what holds the whole remote comes before the copy's own reason."""
        budget = self.budgets.get(remote)
        if in_flight:
            return Waiting.IN_FLIGHT
        if stored in (Waiting.BRAKE, Waiting.REVIEW, Waiting.HOLD):
            return stored  # a person decides first, whatever holds the remote
        if remote not in self.configured or self.state(remote).paused:
            return Waiting.PAUSED
        if budget is not None and budget.breaker_s:  # at 0 a probe may go: the copy waits for something of its own
            return Waiting.BREAKER
        own = stored or Waiting.TURN
        if budget is not None and (budget.backoff_s > 0 or (budget.spent and own in _NEXT)):
            return Waiting.BUDGET
        return own


async def ask_budgets(runtime: Runtime) -> dict[str, BudgetState | None]:
    """The budget of each configured remote; None where Redis does not tell."""

    async def ask(remote: str) -> BudgetState | None:
        try:
            return await runtime.budget(remote).state()
        except RedisAway:
            return None

    names = list(runtime.settings.remotes)
    return dict(zip(names, await asyncio.gather(*map(ask, names)), strict=True))


def budget_document(budget: BudgetState | None) -> BudgetDocument | Unknown:
    """What `status` shows of it."""
    if budget is None:
        return UNKNOWN
    windows = {_WINDOW.get(seconds, f"{seconds:g} s"): places for seconds, places in budget.used.items()}
    return BudgetDocument(
        used={word: used for word, (used, _) in windows.items()},
        limit={word: limit for word, (_, limit) in windows.items()},
        share=budget.share,
        backoff_s=budget.backoff_s,
        breaker_s=budget.breaker_s,
    )


def age_s(since: datetime | None, now: datetime) -> float | None:
    """Seconds since then; clocks of two machines may differ, so never below zero."""
    return None if since is None else max(0.0, round((now - since).total_seconds(), 3))
