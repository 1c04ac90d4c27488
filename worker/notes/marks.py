"""Marks: proof of work in Redis. A worker leaves one when it has done a task, beat when it has sent a tick.

Left by `tasks/marks.py` and `worker/beat.py`; read by `leadsync health` and `leadsync doctor`. Whoever hangs leaves
none, however alive its process looks.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from worker.redis_access import PREFIX

if TYPE_CHECKING:
    from redis import Redis

#: Then a mark is forgotten. Who ends as it should takes its mark away at once.
KEPT_S: Final = 3600


class Role(enum.StrEnum):
    """Who leaves marks."""

    WORKER = "worker"  #: does tasks
    BEAT = "beat"  #: sends ticks


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """When one process last did its work."""

    #: Ends with `@` and the machine's name.
    name: str
    age_s: float


def leave(redis: Redis, role: Role, name: str) -> None:
    """It has just done its work."""
    redis.set(_key(role, name), 1, ex=KEPT_S)


def remove(redis: Redis, role: Role, name: str) -> None:
    """It ends, and will be missed by nobody."""
    redis.delete(_key(role, name))


def read(redis: Redis, role: Role) -> list[Mark]:
    """All marks, by name. Their age is on Redis' clock alone."""
    prefix = _key(role, "")
    keys = sorted(redis.scan_iter(match=f"{prefix}*", count=1000))
    with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.pttl(key)
        left_ms = pipeline.execute()
    names = [key.decode().removeprefix(prefix) for key in keys]
    # Negative: it was taken away while we looked.
    return [Mark(name, KEPT_S - left / 1000) for name, left in zip(names, left_ms, strict=True) if left >= 0]


def patience_s(role: Role, *, tick_s: float, workers: int) -> float:
    """A mark older than this says that something is wrong: each tick is done by one worker only."""
    if role is Role.BEAT:
        return max(30.0, 10 * tick_s)
    return max(60.0, 10 * tick_s * workers)


def _key(role: Role, name: str) -> str:
    return f"{PREFIX}:mark:{role}:{name}"
