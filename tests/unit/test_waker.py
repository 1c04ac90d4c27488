"""A nudge wakes its scan at once, and a storm of nudges costs one look at a time."""

from __future__ import annotations

import asyncio
import threading

from tests.support.waiting import wait_until
from worker.web.waker import Waker


def test_a_storm_of_nudges_is_one_look() -> None:
    """Whoever wakes is not kept waiting, however long the look takes; after the rest comes the next one."""
    looks, go = list[str](), threading.Event()

    def look(remote: str) -> None:
        looks.append(remote)
        go.wait(10)

    async def scene() -> None:
        waker = Waker(look, rest_s=0)
        for _ in range(100):
            waker.wake("instantly")
        waker.wake("other")
        await asyncio.to_thread(wait_until, lambda: len(looks) == 2, what="both are looked at")
        assert sorted(looks) == ["instantly", "other"]
        go.set()
        for _ in range(10_000):
            waker.wake("instantly")
            await asyncio.sleep(0)
        await asyncio.to_thread(wait_until, lambda: len(looks) > 2, what="it is looked at again")

    asyncio.run(asyncio.wait_for(scene(), 20))
