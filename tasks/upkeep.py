"""Doors of upkeep: the tick finds what no message announced; trim keeps the stream short."""

from __future__ import annotations

from worker.celery_app import TaskName, app
from worker.dispatch import put_off, ring, ring_all
from worker.ports import Tx
from worker.wiring import process_runtime


@app.task(name=TaskName.TICK)
def tick() -> None:
    """Ring for due copies in the database and for entries in the stream, whoever forgot to."""
    runtime = process_runtime()
    remotes = tuple(runtime.settings.remotes)

    def due(tx: Tx) -> list[str]:
        counts = {remote: tx.count_due(remote, 1) for remote in remotes}
        return [remote for remote, count in counts.items() if count.live or count.retry]

    with put_off(TaskName.TICK):
        ring_all(runtime.bells, runtime.store.run_now(due))
    with put_off(TaskName.TICK):
        if runtime.run(runtime.stream("tick").waiting()):
            ring(runtime.bells, TaskName.INTAKE)


@app.task(name=TaskName.TRIM)
def trim() -> None:
    """Remove entries that every consumer group has acknowledged."""
    runtime = process_runtime()
    with put_off(TaskName.TRIM):
        runtime.run(runtime.stream("tick").trim())
