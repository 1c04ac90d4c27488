"""Door of intake. Rung by the doorbell when entries arrive, and by the tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billiard import current_process
from celery import Task

from tasks import marks
from worker.celery_app import TaskName, app
from worker.dispatch import answered, put_off, ring_all
from worker.sync.intake import drain
from worker.wiring import Runtime, process_runtime


@app.task(name=TaskName.INTAKE, bind=True)
def intake(self: Task[Any, Any]) -> None:
    """Take in all entries of the stream, and ring for the remotes that have something due."""
    runtime = process_runtime()
    # Stable over restarts of this child, so that its successor finds what it left unfinished.
    consumer = f"{self.request.hostname}.{getattr(current_process(), 'index', 0)}"
    with put_off(TaskName.INTAKE):
        runtime.run(_drain(runtime, consumer, lambda: marks.leave(self)))


async def _drain(runtime: Runtime, consumer: str, proceed: Callable[[], None]) -> None:
    await answered(runtime.redis, TaskName.INTAKE)
    events = runtime.settings.events

    def announce(remotes: frozenset[str]) -> None:
        proceed()
        ring_all(runtime.bells, remotes)

    await drain(
        runtime.stream(consumer),
        runtime.store,
        runtime.registry.rules,
        batch=events.batch,
        takeover_s=events.takeover_s,
        announce=announce,
    )
