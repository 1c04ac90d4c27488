"""The turn of a worker: prolonged while it works, ended when it says so."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from worker import dispatch
from worker.celery_app import TaskName
from worker.dispatch import Turn


class Forgetful:
    """A client that swallows a cancellation while it waits for a connection, as clients do now and then."""

    def __init__(self) -> None:
        self.prolonged = 0
        self.waiting = asyncio.Event()

    async def pexpire(self, *_: Any) -> None:
        self.prolonged += 1
        self.waiting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.01)

    async def eval(self, script: str, *_: Any) -> int:
        return int(script == dispatch._TAKE_TURN)


def test_a_turn_ends_while_it_is_prolonged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ends it waits for that call, and no longer: a push whose turn never ended would stop its remote for good."""
    monkeypatch.setattr(dispatch, "_TURN_MS", 5)

    async def scene() -> int:
        redis = Forgetful()
        turn = Turn(cast("Redis", redis), TaskName.PUSH, "crm")
        assert await turn.take()
        await redis.waiting.wait()
        assert not await turn.end()
        return redis.prolonged

    assert asyncio.run(asyncio.wait_for(scene(), 10)) >= 1
