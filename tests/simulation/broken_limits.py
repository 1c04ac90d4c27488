"""What is replaced in the rate budget to break it on purpose. Used by `mutants.py`."""

from __future__ import annotations

from typing import Any

from worker.limits.base import Ending, Grant, Window
from worker.limits.memory import MemoryBudget
from worker.limits.throttle import Throttle
from worker.simulation.history import History
from worker.simulation.remote import STRICT


def no_limit(_old: Any) -> Any:
    """Whatever is asked for is granted."""

    async def reserve(_self: MemoryBudget, _lane: Any, want: int, _reports: Any = ()) -> Grant:
        return Grant(tickets=tuple(str(number) for number in range(1, want + 1)))

    return reserve


def a_limit_each(_old: Any) -> Any:
    """Each worker has a budget of its own."""

    def tickets(self: History, remote: str) -> Any:
        if not self.remotes[remote].habits.strict:
            return self.turnstiles[remote]
        windows = [Window(limit=limit, seconds=seconds) for limit, seconds in STRICT]
        return Throttle(MemoryBudget(windows, hold_s=40.0, now=self.loop.time, spread=lambda: 0.5), self.loop.time)

    return tickets


def free_at_once(old: Any) -> Any:
    """A place is free again with its answer, and not one window later."""

    def take_in(self: Any, report: Any) -> Any:
        old(self, report)
        if report.ending is not Ending.UNKNOWN:
            self.places.drop(int(report.ticket))

    return take_in
