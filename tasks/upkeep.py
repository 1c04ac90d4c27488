"""Doors of upkeep: the tick finds what no message announced; trim keeps the stream short; upkeep forgets what is
old, and looks whether the numbers add up.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from worker.celery_app import TaskName, app
from worker.dispatch import put_off, ring, ring_all
from worker.notes import numbers
from worker.scan_bell import ring_due_scans
from worker.settings import Settings
from worker.sync.upkeep import check, forget
from worker.wiring import Runtime, process_runtime

#: A consumer that asked for nothing for so long belongs to a worker that is gone.
_DEAD_S = 3_600.0


@app.task(name=TaskName.TICK)
def tick() -> None:
    """Ring for due copies and scans in the database and for entries in the stream, whoever forgot to."""
    runtime = process_runtime()
    remotes = tuple(runtime.settings.remotes)

    with put_off(TaskName.TICK):
        ring_all(runtime.bells, runtime.store.run_now(lambda tx: tx.due_remotes(remotes)))
    with put_off(TaskName.TICK):
        ring_due_scans(runtime, remotes)
    with put_off(TaskName.TICK):
        for partition in runtime.run(runtime.partitions()):
            if runtime.run(runtime.stream("tick", partition).waiting()):
                ring(runtime.bells, TaskName.INTAKE, partition)


@app.task(name=TaskName.TRIM)
def trim() -> None:
    """Remove entries that every consumer group has acknowledged."""
    runtime = process_runtime()
    with put_off(TaskName.TRIM):
        for partition in runtime.run(runtime.partitions()):
            runtime.run(runtime.stream("tick", partition).trim())


@app.task(name=TaskName.UPKEEP)
def upkeep() -> None:
    """Each part by itself: one that cannot be done now does not hold up the others."""
    runtime = process_runtime()
    with put_off(TaskName.UPKEEP):
        for partition in runtime.run(runtime.partitions()):
            runtime.run(runtime.stream("tick", partition).forget_consumers(_DEAD_S))
    with put_off(TaskName.UPKEEP):
        check_numbers(runtime)
    with put_off(TaskName.UPKEEP):
        runtime.run(forget(runtime.store, runtime.clock, keep_days=runtime.settings.sync.keep_days))


def check_numbers(runtime: Runtime) -> None:
    """Look at the next lists, and keep in Redis how far that came."""
    look = numbers.next_look(numbers.last_look(runtime.bells), _digest(runtime.settings))
    rules, clock = runtime.registry.rules, runtime.clock
    found = runtime.run(check(runtime.store, rules, clock, after=look.after, settled=look.settled))
    numbers.looked(runtime.bells, look, after=found.after, lists=found.lists, mismatches=found.mismatches)


def _digest(settings: Settings) -> str:
    """What decides how lists stand: the settings about them, and the code. Secrets are masked."""
    told = settings.model_dump_json(include={"sync", "remotes"})
    return hashlib.sha256(f"{version('leadsync')} {told}".encode()).hexdigest()
