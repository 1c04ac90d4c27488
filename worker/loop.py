"""The event loop of one process, in a thread of its own: work that waits for a remote goes on while the process does
something else. Made by `worker.wiring` for Celery's children, after the fork.

A hundred remotes share a few processes, and most of a push is waiting: for answers, and for places in rate budgets. A
process that waited with it would do nothing meanwhile, and two slow remotes could stop everything else.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: A process waits so long with what it begins. What is done by then kept it busy, so that another one takes what comes
#: next; what is not, mostly waits.
HOLD_S = 0.005
#: Pieces of work that may go on in one process; with as many, it waits for the first to end.
AT_ONCE = 256
#: No piece of work may take longer. All that it waits for has an end of its own, long before.
LIMIT_S = 600.0


class Loop:
    """Runs coroutines for the one thread that owns it; they may begin others themselves, in the loop's own thread."""

    def __init__(self, *, hold_s: float = HOLD_S, at_once: int = AT_ONCE, limit_s: float = LIMIT_S) -> None:
        self._hold_s, self._at_once, self._limit_s = hold_s, at_once, limit_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loop", daemon=True)
        self._thread.start()
        self._going = set[Future[None]]()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for its end."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # where waiting for it was broken off

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait a moment for its end, then let it go on by itself. What it raises later is in the log."""
        if len(self._going) >= self._at_once:
            wait(self._going, return_when=FIRST_COMPLETED)
        future = asyncio.run_coroutine_threadsafe(self._limited(work), self._loop)
        if future in wait({future}, timeout=self._hold_s).done:
            future.result()
            return
        self._keep(future)

    def go_on(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """From inside the loop: begin this too, and do not wait for it. False when enough goes on already."""
        if len(self._going) >= self._at_once:
            return False
        self._keep(asyncio.run_coroutine_threadsafe(self._limited(work()), self._loop))
        return True

    def drain(self, most_s: float | None = None) -> bool:
        """Wait until everything that was begun has ended. True when it has."""
        return not wait(set(self._going), timeout=most_s).not_done

    def close(self) -> None:
        """Stop the loop. Coroutines that are left are forgotten: cancel them before."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _limited(self, work: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(self._limit_s):
            await work

    def _keep(self, future: Future[None]) -> None:
        self._going.add(future)
        future.add_done_callback(self._ended)

    def _ended(self, future: Future[None]) -> None:
        self._going.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            log.error("task_failed", exc_info=error)
