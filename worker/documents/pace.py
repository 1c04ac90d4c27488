"""The document of the plots: how fast changes travelled in the last hour, from the ledger of attempts.

Minutes that are over do not change any more, so each process counts them once.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from worker.store.pace_views import Call
from worker.store.views import Views

MINUTES: Final = 60
#: A call is noted when it ends; a minute so long ago will not get another one.
_OVER: Final = timedelta(minutes=3)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """One minute, by the clock of this machine."""

    at: datetime
    calls: int = 0
    patches: int = 0
    #: Answered with 429.
    limited: int = 0
    #: From the moment a copy stopped being in sync until it was again, in milliseconds.
    lags_ms: tuple[float, ...] = ()

    @property
    def p50_ms(self) -> float | None:
        """Half of them took no longer."""
        return percentile(self.lags_ms, 0.5)

    @property
    def p99_ms(self) -> float | None:
        """99 of 100 took no longer."""
        return percentile(self.lags_ms, 0.99)


@dataclass(frozen=True, slots=True)
class PaceDocument:
    """The last hour, oldest first; minutes without calls are there too."""

    minutes: list[Minute]

    @property
    def calls(self) -> int:
        """In the whole hour; so are the others."""
        return sum(one.calls for one in self.minutes)

    @property
    def patches(self) -> int:
        """Calls that wrote."""
        return sum(one.patches for one in self.minutes)

    @property
    def limited(self) -> int:
        """Answered with 429."""
        return sum(one.limited for one in self.minutes)

    @property
    def p50_ms(self) -> float | None:
        """Half of all changes took no longer."""
        return overall([one.lags_ms for one in self.minutes], 0.5)

    @property
    def p99_ms(self) -> float | None:
        """99 of 100 took no longer."""
        return overall([one.lags_ms for one in self.minutes], 0.99)


class Pace:
    """Remembers the minutes that are over."""

    def __init__(self) -> None:
        self._over: dict[datetime, Minute] = {}
        #: From which minute on all rows have at least this number.
        self._first: tuple[datetime, int] | None = None

    async def ask(self, views: Views, now: datetime | None = None) -> PaceDocument:
        """The last hour."""
        now = now or datetime.now(UTC)
        last = now.replace(second=0, microsecond=0)
        moments = [last - _MINUTE * back for back in reversed(range(MINUTES))]
        begin = next((at for at in moments if at not in self._over), last)
        first = self._first[1] if self._first and self._first[0] <= begin else None
        calls = await asyncio.to_thread(views.look, lambda view: view.pace.calls(begin, last + _MINUTE, first))
        if calls:
            self._first = begin, min(call.id for call in calls)
        fresh = _counted([at for at in moments if at >= begin], calls)
        known = {**self._over, **fresh}
        self._over = {at: known[at] for at in moments if at < now - _OVER}
        return PaceDocument([known[at] for at in moments])


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """None of nothing."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


def overall(parts: Sequence[Sequence[float]], share: float) -> float | None:
    """The same of several ordered parts together, without putting a hundred thousand numbers in order: by halving the
    range of values.
    """
    some = [part for part in parts if part]
    if not some:
        return None
    number = sum(map(len, some))
    rank = min(int(number * share), number - 1)
    low, high = min(part[0] for part in some), max(part[-1] for part in some)
    while (middle := (low + high) / 2) not in (low, high):
        if sum(bisect_right(part, middle) for part in some) > rank:
            high = middle
        else:
            low = middle
    return low if sum(bisect_right(part, low) for part in some) > rank else high


def _counted(moments: Iterable[datetime], calls: Iterable[Call]) -> dict[datetime, Minute]:
    found: dict[datetime, list[Call]] = {at: [] for at in moments}
    for call in calls:
        found.get(call.at.replace(second=0, microsecond=0), []).append(call)
    return {at: _minute(at, some) for at, some in found.items()}


def _minute(at: datetime, calls: Sequence[Call]) -> Minute:
    return Minute(
        at=at,
        calls=len(calls),
        patches=sum(call.action == "patch" for call in calls),
        limited=sum(call.status == 429 for call in calls),
        lags_ms=tuple(sorted(call.lag_ms for call in calls if call.lag_ms is not None)),
    )
