"""Door of intake. Rung by the doorbell when entries arrive, and by the tick."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from billiard import current_process
from celery import Task

from tasks import marks
from tasks.push import push_in_turn
from worker.celery_app import TaskName, app
from worker.dispatch import in_turn, put_off, ring, ring_all
from worker.sync.intake import Taken, drain
from worker.wiring import Runtime, process_runtime

#: After a batch of so few entries this process has time to push what they come to: a message to another one would take
#: longer than the rest of the way.
_FEW = 16


@app.task(name=TaskName.INTAKE, bind=True)
def intake(self: Task[Any, Any], partition: int = 0) -> None:
    """Take in all entries of one partition, and see to the remotes that have something due."""
    runtime = process_runtime()
    # Stable over restarts of this child, so that its successor finds what it left unfinished.
    worker = str(self.request.hostname)
    consumer = f"{worker}.{getattr(current_process(), 'index', 0)}"
    with put_off(TaskName.INTAKE):
        if runtime.run(take_in(runtime, consumer, partition, lambda: marks.leave(worker))):
            ring(runtime.bells, TaskName.INTAKE, partition)


async def take_in(runtime: Runtime, consumer: str, partition: int, proceed: Callable[[], None]) -> bool:
    """As the only worker that does, so that events keep their order. True when there is more to do at once.

    `proceed` hears of each batch that was taken in.
    """
    work = partial(_drain, runtime, consumer, partition, proceed)
    _, again = await in_turn(runtime.redis, work, TaskName.INTAKE, partition)
    return again


async def _drain(runtime: Runtime, consumer: str, partition: int, proceed: Callable[[], None]) -> None:
    events, told = runtime.settings.events, set[asyncio.Future[None]]()

    def tell(remotes: Collection[str]) -> None:
        proceed()
        ring_all(runtime.bells, remotes)

    def begun(remote: str) -> bool:
        return runtime.go_on(partial(push_in_turn, runtime, remote, rung=False))

    def announce(taken: Taken) -> None:
        few = taken.entries <= _FEW
        others = [one for one in taken.due if not (few and begun(one))]
        # Pushes of other remotes go on in this loop: a broker that does not answer must not stop them.
        told.add(asyncio.get_running_loop().run_in_executor(None, tell, others))

    try:
        await drain(
            runtime.stream(consumer, partition),
            runtime.store,
            runtime.registry.rules,
            batch=events.batch,
            takeover_s=events.takeover_s,
            announce=announce,
        )
    finally:
        await asyncio.gather(*told)
