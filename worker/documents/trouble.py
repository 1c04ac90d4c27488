"""What keeps leadsync from working: Redis or a database that is away or full. For `status`, `doctor` and `/readyz`.

Reading is not enough to know: a full server still answers questions.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.errors import Transient
from worker.redis_access import PREFIX, refusal, why
from worker.store.views import Views
from worker.wiring import Runtime

START_DATABASE: Final = "start the database, and check database.url"


@dataclass(frozen=True, slots=True, kw_only=True)
class TroubleDocument:
    """One thing that is wrong."""

    what: Literal["redis", "database"]
    says: str
    #: What to do.
    next_step: str
    #: It answers, and takes no writes.
    refuses: bool


async def ask_trouble(runtime: Runtime, views: Views) -> list[TroubleDocument]:
    """All that keeps events from being taken in and remotes from being called."""
    found = await asyncio.gather(redis_trouble(runtime.redis), asyncio.to_thread(_room, views))
    return [one for one in found if one is not None]


async def redis_trouble(redis: Redis) -> TroubleDocument | None:
    """Write a key that is gone in a second."""
    try:
        await redis.set(f"{PREFIX}:probe", 1, px=1_000)
    except (RedisError, OSError) as error:
        says, _, step = why(error).partition(": ")
        return TroubleDocument(what="redis", says=says, next_step=step, refuses=refusal(error) is not None)
    return None


def _room(views: Views) -> TroubleDocument | None:
    try:
        views.check_room()
    except Transient as error:
        says, _, step = str(error).partition("; ")
        return TroubleDocument(what="database", says=says, next_step=step or START_DATABASE, refuses=bool(step))
    return None
