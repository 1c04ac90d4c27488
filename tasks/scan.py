"""Door of scans. Rung by the tick, by a nudge, by a person, and by itself while there is more to do."""

from __future__ import annotations

import asyncio

from worker.celery_app import TaskName, app
from worker.dispatch import Turn, answered, put_off, ring, ring_all
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
        scanned, more = await _slice(runtime, remote)
        await asyncio.to_thread(ring_all, runtime.bells, scanned.due if scanned else ())
        if more:
            await asyncio.to_thread(ring, runtime.bells, TaskName.SCAN, remote)


async def _slice(runtime: Runtime, remote: str) -> tuple[Scanned | None, bool]:
    """What came of it, and whether there is more to do at once."""
    await answered(runtime.redis, TaskName.SCAN, remote)
    turn = Turn(runtime.redis, TaskName.SCAN, remote)
    if not await turn.take():
        return None, False
    scanned, again = None, False
    try:
        door, rules = runtime.door(remote), runtime.registry.rules
        scanned = await scan_remote(door, runtime.store, rules, runtime.clock, for_s=SLICE_S)
    finally:
        again = await turn.end()
    return scanned, again or (scanned is not None and scanned.more)
