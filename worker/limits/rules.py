"""The numbers a rate budget goes by, worked out once. Used by `budget.py`, for Lua, and by `memory.py`.

Times are whole microseconds, so that Lua's doubles and Python's integers agree to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from worker.errors import UsageError
from worker.limits.base import Window

SECOND = 1_000_000

#: Clocks are slewed and servers round, so a place is kept this much longer than its window is named.
_MARGIN = 0.001
#: Share of the limit that a lower lane gets while a higher one wants everything.
_TRICKLE = 0.05


def microseconds(seconds: float) -> int:
    """Whole, never negative (a report from the future would free a place early), at most a day."""
    return round(min(max(0.0, seconds), 86_400.0) * SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A window as the budget counts it."""

    #: As the remote names it.
    seconds: float
    limit: int
    #: How long a place is held after its call was counted.
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything about a budget that does not change while it runs."""

    #: Shortest first.
    spans: tuple[Span, ...]
    #: A call that never reports is counted as answered this long after it was reserved.
    hold: int
    #: Calls in the shortest window at the slowest window's rate. A learned share is a share of this rate:
    #: cutting the long windows themselves would stop all calls until their past use had drained.
    pace: float
    #: A waiting lower lane earns one place in this time ...
    trickle: int
    #: ... and saves up at most this many.
    trickle_saved: int
    #: The learned share is counted in billionths. A 429 leaves 70 % of it, but at least a tenth of the whole;
    #: a tenth of the whole grows back in 10 s.
    whole: int = 1_000_000_000
    cut: float = 0.7
    smallest_share: int = 100_000_000
    growth: int = 10
    #: Both backoffs (after a 429 that names no time, and between two probes) double between these.
    first_delay: int = 1 * SECOND
    longest_delay: int = 60 * SECOND
    #: Failures in a row, over all workers, that open the breaker.
    failures_to_open: int = 5
    #: Longest advice on when to ask again where another process's report may change everything.
    look_again: int = 1 * SECOND
    #: Advice when places are free but kept for another lane.
    yield_to_lane: int = SECOND // 200
    #: A denied lane counts as waiting for this long after it was advised to ask again.
    waiting_slack: int = SECOND // 20
    #: How long Redis keeps an idle budget: by then places are free and the share has grown back.
    keep: int

    @classmethod
    def of(cls, windows: Sequence[Window], hold_s: float) -> Self:
        """The rules for a remote's documented windows; `hold_s` is longer than any call can take."""
        if not windows or any(w.limit < 1 or w.seconds <= 0 for w in windows):
            raise UsageError(
                "A rate budget needs at least one window, each with a limit of 1 or more in more than 0 s."
            )
        spans = tuple(
            Span(
                seconds=w.seconds,
                limit=w.limit,
                length=math.ceil(w.seconds * SECOND * (1 + _MARGIN)),
            )
            for w in sorted(windows, key=lambda w: w.seconds)
        )
        rate = min(span.limit / span.length for span in spans)
        hold = math.ceil(hold_s * SECOND)
        return cls(
            spans=spans,
            hold=hold,
            pace=rate * spans[0].length,
            trickle=math.ceil(1 / (rate * _TRICKLE)),
            trickle_saved=max(1, math.floor(min(span.limit for span in spans) * _TRICKLE)),
            keep=hold + spans[-1].length + 160 * SECOND,
        )
