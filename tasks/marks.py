"""Proof of work: a task that ends well leaves a mark for its worker, and a worker that ends takes its mark away."""

from __future__ import annotations

import contextlib
from typing import Any

from celery import Task
from celery.signals import task_success, worker_shutdown
from redis.exceptions import RedisError

from worker import redis_access
from worker.notes import marks
from worker.settings import load_settings
from worker.wiring import process_runtime


@task_success.connect
def ended(sender: Task[Any, Any], **_: Any) -> None:
    """In a child, after each task."""
    leave(str(sender.request.hostname))


def leave(worker: str) -> None:
    """Within a long one after each part of it. In a thread of its own Celery does not know whose task that is."""
    with contextlib.suppress(RedisError):
        marks.leave(process_runtime().bells, marks.Role.WORKER, worker)


@worker_shutdown.connect
def remove(sender: Any, **_: Any) -> None:
    """In the parent, which has no runtime."""
    url = redis_access.needed(load_settings().redis.url)
    with contextlib.suppress(RedisError), redis_access.client(url) as redis:
        marks.remove(redis, marks.Role.WORKER, sender.hostname)
