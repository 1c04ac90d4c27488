"""Numbers: how far the check that everything adds up has come, kept in Redis. Written by `tasks/upkeep.py`.

Read by `leadsync status` and `leadsync doctor`. Losing it costs one silent round through all lists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from worker.redis_access import PREFIX

if TYPE_CHECKING:
    from redis import Redis

#: A mismatch is told for so long, though it is mended: people do not look every minute.
TOLD_S: Final = 86_400

_ROUND, _MISMATCHES = f"{PREFIX}:numbers", f"{PREFIX}:numbers:mismatches"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One time through all lead lists."""

    #: Digest of the settings that it goes by.
    rules: str
    #: All lists have stood by these settings once: what does not add up now is a mismatch.
    settled: bool
    #: The last list looked at; 0 at the beginning, and again at the end.
    after: int = 0
    #: How many were looked at so far.
    lists: int = 0
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What people are told."""

    checked_at: datetime
    #: In the round that is under way, or has just ended.
    lists: int
    #: Found and mended, until a day after the last one.
    mismatches: int


def next_look(last: Round | None, rules: str) -> Round:
    """Go on with the round, begin the next one, or, under other settings, begin anew."""
    if last is None or last.rules != rules:
        return Round(rules=rules, settled=False)
    return last if last.after else replace(last, settled=True, lists=0)


def last_look(redis: Redis) -> Round | None:
    """Where the check stands; None when it never looked."""
    told = {_text(key): _text(value) for key, value in redis.hgetall(_ROUND).items()}
    if not told:
        return None
    return Round(
        rules=told["rules"],
        settled=told["settled"] == "1",
        after=int(told["after"]),
        lists=int(told["lists"]),
        checked_at=datetime.fromtimestamp(int(told["checked_at"]), UTC),
    )


def looked(redis: Redis, look: Round, *, after: int, lists: int, mismatches: int) -> None:
    """Keep how far this look came and what it found, on Redis' clock."""
    seconds, _ = redis.time()
    row: dict[Any, Any] = {
        "rules": look.rules,
        "settled": int(look.settled),
        "after": after,
        "lists": look.lists + lists,
        "checked_at": int(seconds),
    }
    with redis.pipeline() as pipeline:
        pipeline.hset(_ROUND, mapping=row)
        if mismatches:
            pipeline.incrby(_MISMATCHES, mismatches)
            pipeline.expire(_MISMATCHES, TOLD_S)
        pipeline.execute()


def numbers(redis: Redis) -> Numbers | None:
    """What the check found; None when it never looked."""
    found, mismatches = last_look(redis), redis.get(_MISMATCHES)
    if found is None or found.checked_at is None:
        return None
    return Numbers(checked_at=found.checked_at, lists=found.lists, mismatches=int(mismatches or 0))


def _text(told: bytes | str) -> str:
    return told.decode() if isinstance(told, bytes) else told
