"""The end of a child process: what it began and did not wait for comes to its end first."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_process_shutdown

from worker import tracing
from worker.wiring import process_runtime


@worker_process_shutdown.connect
def drain(**_: Any) -> None:
    """Slices end within seconds, and then the calls that they have in flight; who started us kills us after a while."""
    if process_runtime.cache_info().currsize:
        loop = process_runtime().loop
        if loop is not None:
            loop.drain()
    tracing.end()
