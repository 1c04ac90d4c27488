"""Partitions: the stream of events as several keys in Redis, so that several workers take events in side by side.

Each partition is taken in by one worker at a time, batch after batch, so the events of a list keep their order as long
as all of them are sent to the same partition. Used by whoever adds events, and by whoever looks for some.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

import orjson

#: There are never more: a look for entries in all of them is one round trip.
MOST: Final = 16


def partition_key(stream: str, number: int) -> str:
    """Its key in Redis. The first has the stream's own name: whoever knows nothing of partitions writes there."""
    return f"{stream}:{number}" if number else stream


def partition_of(event: bytes | str, count: int) -> int:
    """Which of `count` partitions takes this event: that of its list, or the first where nobody can tell."""
    if count == 1:
        return 0
    try:
        told = orjson.loads(event)
    except orjson.JSONDecodeError:
        return 0
    match told:
        case {"source": str(source), "subject": str(subject)}:
            return partition_of_list(source, subject, count)
        case _:
            return 0


def partition_of_list(source: str, subject: str, count: int) -> int:
    """The partition of a list's events: CRC-32 of `source:subject` in UTF-8, as every language has it."""
    return crc32(f"{source}:{subject}".encode()) % count
