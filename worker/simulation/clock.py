"""A loop whose time jumps to the next timer instead of waiting: the clock of simulations.

The use cases run on it unchanged, over the in-memory twins of their ports.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)


class _Jump(selectors.DefaultSelector):
    """Asked to wait, moves the clock on instead."""

    moved_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing ever becomes readable here: only time passes."""
        if timeout is None:
            raise RuntimeError("everybody waits and nobody has set a timer: this would wait for ever")
        if timeout > 0.0:
            self.moved_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Implements `Clock`, beside being the loop."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._jump.moved_s

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._jump.moved_s

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)

    def now(self) -> datetime:
        """The database's clock."""
        return START + timedelta(seconds=self._jump.moved_s)


def run_virtually(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run to the end, in as little real time as the work itself needs."""
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
