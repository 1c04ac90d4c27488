"""Door of push. Rung after intake, or begun by it; rung by the tick, and by itself while something is left."""

from __future__ import annotations

import asyncio
from functools import partial

from worker.celery_app import TaskName, app
from worker.dispatch import in_turn, put_off, ring
from worker.sync.push import Pushed
from worker.sync.push import push as push_remote
from worker.wiring import Runtime, process_runtime

#: Seconds a push goes on before it lets another worker have the remote; calls in flight end after that.
SLICE_S = 5.0


@app.task(name=TaskName.PUSH)
def push(remote: str) -> None:
    """Push what is due on one remote, as the only worker that does. The process does not wait with it."""
    runtime = process_runtime()
    runtime.begin(push_in_turn(runtime, remote))


async def push_in_turn(runtime: Runtime, remote: str, *, rung: bool = True) -> None:
    """One slice; then the next worker is rung for what is left. Nothing for a remote that left the settings.

    Not `rung`: begun without a message, by whoever has just made something due there.
    """
    if remote not in runtime.settings.remotes:
        return
    work = partial(_slice, runtime, remote, 0 if rung else 1)
    with put_off(TaskName.PUSH, remote=remote):
        done, again = await in_turn(runtime.redis, work, TaskName.PUSH, remote, rung=rung)
        if again or (done is not None and done.calls > 0 and done.due.live + done.due.retry > 0):
            # A broker that does not answer must not stop what else goes on here.
            await asyncio.to_thread(ring, runtime.bells, TaskName.PUSH, remote)


async def _slice(runtime: Runtime, remote: str, expects: int) -> Pushed:
    door, rules = runtime.door(remote), runtime.registry.rules
    return await push_remote(door, runtime.store, rules, runtime.clock, for_s=SLICE_S, expects=expects)
