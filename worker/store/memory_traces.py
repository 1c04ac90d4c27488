"""The twin of `traces.py`: a part of `MemoryTx`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from worker.parts import TRACED_FOR, Trace
from worker.store.memory_tables import Tables


class MemoryTraces:
    """Implements `Traces`."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables, self._now = tables, now

    def keep(self, traces: Sequence[Trace]) -> None:
        """See `Traces.keep`."""
        young = [one for one in self._tables.traces if one[0] >= self._now - TRACED_FOR]
        self._tables.traces = [*young, *((self._now, one) for one in traces)]

    def of(self, since: Mapping[int, datetime], most: int) -> dict[int, list[Trace]]:
        """See `Traces.of`."""
        found: dict[int, list[Trace]] = {}
        for at, one in reversed(self._tables.traces):
            if one.list_id in since and at >= since[one.list_id]:
                found.setdefault(one.list_id, []).append(one)
        return {number: traces[:most] for number, traces in found.items()}
