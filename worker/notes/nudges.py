"""Nudges: a remote has said that something changed there, but not which list. Left by the web, taken by the scan.

A nudge is taken away when a scan begins that nobody has read a page for: that scan will see whatever it was about.
One that came in between stays, because each has a value of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from worker.redis_access import PREFIX

if TYPE_CHECKING:
    from redis import Redis

_TAKE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def key(remote: str) -> str:
    """Where the nudge of a remote is kept."""
    return f"{PREFIX}:nudge:{remote}"


def read(redis: Redis, remotes: Iterable[str]) -> dict[str, bytes]:
    """The nudges of those remotes that have one."""
    with redis.pipeline(transaction=False) as pipeline:
        names = list(remotes)
        for remote in names:
            pipeline.get(key(remote))
        found = pipeline.execute()
    return {remote: nudge for remote, nudge in zip(names, found, strict=True) if nudge is not None}


def take(redis: Redis, remote: str, nudge: bytes) -> None:
    """Take away the nudge that was read, not one that came since."""
    redis.eval(_TAKE, 1, key(remote), nudge)
