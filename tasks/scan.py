"""Door of scans. Rung by the tick, by a nudge, by a person, and by itself while there is more to do."""

from __future__ import annotations

import asyncio
from functools import partial

from worker.celery_app import TaskName, app
from worker.dispatch import in_turn, put_off, ring, ring_all
from worker.sync.scan import Scanned
from worker.sync.scan import scan as scan_remote
from worker.wiring import Runtime, process_runtime

#: Seconds a scan goes on before another worker may have it; the page that it waits for is taken in first.
SLICE_S = 5.0


@app.task(name=TaskName.SCAN)
def scan(remote: str) -> None:
    """Go on with the scan of one remote, as the only worker that does. The process does not wait with it."""
    runtime = process_runtime()
    if remote in runtime.settings.remotes:
        runtime.begin(_scan(runtime, remote))


async def _scan(runtime: Runtime, remote: str) -> None:
    with put_off(TaskName.SCAN, remote=remote):
        scanned, again = await in_turn(runtime.redis, partial(_slice, runtime, remote), TaskName.SCAN, remote)
        await asyncio.to_thread(ring_all, runtime.bells, scanned.due if scanned else ())
        if again or (scanned is not None and scanned.more):
            await asyncio.to_thread(ring, runtime.bells, TaskName.SCAN, remote)


async def _slice(runtime: Runtime, remote: str) -> Scanned | None:
    door, rules = runtime.door(remote), runtime.registry.rules
    return await scan_remote(door, runtime.store, rules, runtime.clock, for_s=SLICE_S)
