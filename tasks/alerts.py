"""Door of alerts: looks which states have turned, and tells people. Sent by beat."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import partial
from secrets import token_hex

from worker.celery_app import TaskName, app
from worker.dispatch import put_off
from worker.documents.alerts import judge
from worker.documents.backlog import note
from worker.documents.overview import overview
from worker.remotes.hook import Hook
from worker.sync.alerts import AlertTx, Terms, notice, tell
from worker.wiring import Runtime, process_runtime


@app.task(name=TaskName.ALERTS)
def alerts() -> None:
    """Each part by itself: what turned before is told even when nobody can look now."""
    runtime = process_runtime()
    with put_off(TaskName.ALERTS):
        runtime.run(look(runtime))
    with put_off(TaskName.ALERTS):
        runtime.run(send(runtime))
    with put_off(TaskName.ALERTS):
        runtime.run(forget(runtime))


async def look(runtime: Runtime) -> None:
    """Note what has turned, and how everything stands."""
    settings = runtime.settings.alerts
    found = await overview(runtime, runtime.views, totals=True)
    judged = judge(found, settings)
    terms = Terms(
        settle_s=settings.settle_s,
        send=settings.url is not None,
        remotes=frozenset(runtime.settings.remotes),
        new_id=partial(token_hex, 16),
    )
    await notice(runtime.store, judged, terms)
    await note(runtime, found)


async def send(runtime: Runtime) -> None:
    """Tell what must still be told."""
    settings = runtime.settings.alerts
    if settings.url is not None:
        hook = Hook(settings.url, settings.keys(), timeout_s=settings.timeout_s)
        await tell(runtime.store, hook.send, timeout_s=settings.timeout_s, spread=random.random)


async def forget(runtime: Runtime) -> None:
    """What is old goes, as the rest of the ledger; the last alert of each state stays."""
    days = runtime.settings.sync.keep_days
    if days is None:
        return

    def old(tx: AlertTx) -> None:
        tx.alerts.forget(tx.now - timedelta(days=days))

    await runtime.store.run(old)
