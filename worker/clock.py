"""The clock of this process, for waiting and measuring. Due times and leases are on the database's clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """Implements `Clock`. Its twin is the clock of a virtual-time loop."""

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)
