"""Wakes the scan of a remote that was nudged. Used by `webhooks.py`, whose answer waits for nothing of this."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

#: A storm of nudges costs one look a second; beat's tick finds what came in between.
_REST_S = 1.0


class Waker:
    """One look at a remote at a time, in a thread."""

    def __init__(self, look: Callable[[str], None], *, rest_s: float = _REST_S) -> None:
        self._look, self._rest_s = look, rest_s
        self._busy: dict[str, asyncio.Task[None]] = {}

    def wake(self, remote: str) -> None:
        """Returns at once."""
        if remote not in self._busy:
            self._busy[remote] = asyncio.create_task(self._wake(remote))

    async def _wake(self, remote: str) -> None:
        try:
            await asyncio.to_thread(self._look, remote)
            await asyncio.sleep(self._rest_s)
        finally:
            del self._busy[remote]
