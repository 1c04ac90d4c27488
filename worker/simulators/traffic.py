"""What a simulator saw of its clients: windows, calls, overlaps. Kept by `base.py`, shown by `control.py`."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Call:
    """One request, from its arrival until its answer has left."""

    n: int
    method: str
    path: str
    body: bytes
    agent: str
    arrived: float
    #: Status of the answer; None while there is none, and for ever when the client never got one.
    status: int | None = None
    answered: float | None = None
    #: Whether it changed anything here.
    changed: bool = False
    #: The lead list it writes to; None for reads.
    writes: str | None = None


class SlidingWindow:
    """Counts what happened in the last `seconds`, exactly: every window that ends now, not an aligned one.

    Half open: something exactly `seconds` old is no longer inside.
    """

    __slots__ = ("_times", "most", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.most = 0
        self._times: deque[float] = deque()

    def count(self, now: float) -> int:
        """How many are inside the window that ends now."""
        times, horizon = self._times, now - self.seconds
        while times and times[0] <= horizon:
            times.popleft()
        return len(times)

    def add(self, now: float) -> None:
        """One more, at *now*."""
        self._times.append(now)
        self.most = max(self.most, self.count(now))

    def free_in(self, now: float, limit: int) -> float:
        """Seconds until fewer than *limit* are inside; 0 when that is so already."""
        over = self.count(now) - limit
        if over < 0:
            return 0.0
        # Never 0 while there is no place: rounding must not open a window.
        return max(self._times[over] + self.seconds - now, 1e-6) if limit > 0 else self.seconds


class AlignedWindow(SlidingWindow):
    """Counts since the last full `seconds`, as many gateways do: across the edge twice the limit can pass."""

    __slots__ = ()

    def count(self, now: float) -> int:
        times, start = self._times, now - now % self.seconds
        while times and times[0] < start:
            times.popleft()
        return len(times)

    def free_in(self, now: float, limit: int) -> float:
        return 0.0 if self.count(now) < limit else self.seconds - now % self.seconds


class Limiter:
    """All windows of one workspace at once. Measures in strict windows whatever the rule is."""

    def __init__(self) -> None:
        #: What arrived, per window length, served or refused. Its `most` is what a client is judged by.
        self.arrived: dict[float, SlidingWindow] = {}
        self._served: dict[float, SlidingWindow] = {}
        self._limits: dict[float, int] = {}
        self._refusals_count = False

    def configure(self, limits: Iterable[tuple[int, float]], *, aligned: bool, refusals_count: bool) -> None:
        """Take new numbers; a window whose length stays keeps what it has counted."""
        kind = AlignedWindow if aligned else SlidingWindow
        self._limits = {seconds: limit for limit, seconds in limits}
        self.arrived = {s: self.arrived.get(s) or SlidingWindow(s) for s in self._limits}
        kept = {s: window for s, window in self._served.items() if type(window) is kind}
        self._served = {s: kept.get(s) or kind(s) for s in self._limits}
        self._refusals_count = refusals_count

    def arrive(self, now: float) -> float:
        """Count one request. 0 = served; otherwise refused, and a place is free after that many seconds."""
        wait_s = max((w.free_in(now, self._limits[s]) for s, w in self._served.items()), default=0.0)
        for window in self.arrived.values():
            window.add(now)
        if wait_s == 0.0 or self._refusals_count:
            for window in self._served.values():
                window.add(now)
        return wait_s

    def forget(self) -> None:
        """Start counting afresh."""
        for windows in (self.arrived, self._served):
            windows.update({s: type(window)(s) for s, window in windows.items()})


class Traffic:
    """The log of calls, bounded, and exact sums over all of them."""

    def __init__(self, log_size: int) -> None:
        self.limiter = Limiter()
        self._log: deque[Call] = deque(maxlen=log_size)
        self._in_flight: Counter[str] = Counter()
        self.forget()

    def forget(self) -> None:
        """Empty the log and all sums; calls in flight stay in flight."""
        self.limiter.forget()
        self._log.clear()
        self._n = 0
        self._methods: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._writes = self._patches = self._idle_patches = self._overlaps = 0
        self._overlapping: set[str] = set()
        self.webhooks = 0

    def resize(self, log_size: int) -> None:
        """Keep that many calls from now on; 0 keeps none."""
        if log_size != self._log.maxlen:
            self._log = deque(self._log, maxlen=log_size)

    def arrive(self, method: str, path: str, body: bytes, agent: str, now: float) -> Call:
        """A request has arrived, whole."""
        self._n += 1
        call = Call(self._n, method, path, body, agent, now)
        self._methods[method] += 1
        if self._log.maxlen:
            self._log.append(call)
        return call

    def begin_write(self, call: Call, list_id: str) -> None:
        """This call writes to that lead list; another one still in flight there is an overlap."""
        call.writes = list_id
        self._writes += 1
        self._patches += call.method == "PATCH"
        if self._in_flight[list_id]:
            self._overlaps += 1
            self._overlapping.add(list_id)
        self._in_flight[list_id] += 1

    def decide(self, call: Call, status: int, *, answers: bool) -> None:
        """What the call will get; without an answer its status stays open."""
        self._statuses[str(status) if answers else "none"] += 1
        if answers:
            call.status = status
        if call.method == "PATCH" and call.writes is not None and 200 <= status < 300 and not call.changed:
            self._idle_patches += 1

    def done(self, call: Call, now: float) -> None:
        """The answer has left, or the client has."""
        if call.answered is not None:
            return
        call.answered = now
        if call.writes is not None:
            self._in_flight[call.writes] -= 1
            if not self._in_flight[call.writes]:
                del self._in_flight[call.writes]

    def calls(self, after: int, limit: int) -> list[Call]:
        """Logged calls with a number above *after*, oldest first."""
        return [call for call in self._log if call.n > after][:limit]

    def summary(self) -> Mapping[str, Any]:
        """The sums, as `/_sim/summary` shows them."""
        return {
            "calls": dict(self._methods),
            "statuses": dict(self._statuses),
            "writes": self._writes,
            "patches": self._patches,
            "patches_that_changed_nothing": self._idle_patches,
            "rate_limited": self._statuses["429"],
            "max_in_window": {f"{s:g}": w.most for s, w in self.limiter.arrived.items()},
            "overlaps": self._overlaps,
            "overlapping_lists": sorted(self._overlapping)[:20],
            "in_flight": self._in_flight.total(),
            "webhooks": self.webhooks,
        }
