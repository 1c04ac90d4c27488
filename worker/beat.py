"""Celery's scheduler for `leadsync beat`: sends ticks, and leaves a mark for each."""

from __future__ import annotations

import contextlib
import socket
from functools import cached_property
from typing import Any

from celery.beat import Scheduler
from redis import Redis
from redis.exceptions import RedisError

from worker import redis_access
from worker.notes import marks
from worker.settings import load_settings


class MarkingScheduler(Scheduler):
    """In memory: ticks have no history worth a file."""

    def send_task(self, *args: Any, **kwargs: Any) -> Any:
        """Send one, and say so."""
        sent = super().send_task(*args, **kwargs)
        with contextlib.suppress(RedisError):
            marks.leave(self._redis, marks.Role.BEAT, self._name)
        return sent

    def close(self) -> None:
        """Beat ends as it should."""
        super().close()
        with contextlib.suppress(RedisError):
            marks.remove(self._redis, marks.Role.BEAT, self._name)

    @cached_property
    def _redis(self) -> Redis:
        return redis_access.client(redis_access.needed(load_settings().redis.url))

    @cached_property
    def _name(self) -> str:
        return f"beat@{socket.gethostname()}"
