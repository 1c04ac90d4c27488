"""Whether the numbers add up, as `status` shows it and `doctor` judges it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from redis.exceptions import RedisError

from worker.documents.remotes import UNKNOWN, Unknown
from worker.notes.numbers import numbers
from worker.wiring import Runtime

#: Upkeep looks every minute; a last look longer ago says nothing about today.
STALE_S: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NumbersDocument:
    """What the check of upkeep found."""

    #: When it last looked at some lists.
    checked_at: datetime
    #: In the round that is under way, or has just ended.
    lists_checked: int
    #: Found and mended; told until a day after the last one.
    mismatches: int

    @property
    def age_s(self) -> float:
        """Seconds since the last look."""
        return max(0.0, (datetime.now(UTC) - self.checked_at).total_seconds())


async def ask_numbers(runtime: Runtime) -> NumbersDocument | Unknown:
    """Unknown when Redis does not tell, and as long as nobody has looked."""
    try:
        found = await asyncio.to_thread(numbers, runtime.bells)
    except (RedisError, OSError):
        return UNKNOWN
    if found is None:
        return UNKNOWN
    return NumbersDocument(checked_at=found.checked_at, lists_checked=found.lists, mismatches=found.mismatches)
