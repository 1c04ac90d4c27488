"""A loop whose time jumps to the next timer instead of waiting: the clock of simulations.

The use cases run on it unchanged, over the in-memory twins of their ports. It does what `asyncio` asks of a loop, and
looks after no files, signals and threads, which takes other loops most of their time.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio.events import _set_running_loop
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = datetime(2026, 1, 1, tzinfo=UTC)

#: Timers that lie so close together ring at once, as with other loops.
_AT_ONCE_S = 1e-9


class _Call(asyncio.TimerHandle):
    """Something to be called, at once or when its moment has come. Other handles keep more, for debugging."""

    __slots__ = ("args", "callback", "context", "moment")

    def __init__(
        self, moment: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> None:
        self.moment, self.args = moment, args
        self.callback: Callable[..., object] | None = callback
        self.context = context if context is not None else copy_context()

    def when(self) -> float:
        """See `asyncio.TimerHandle`."""
        return self.moment

    def cancel(self) -> None:
        """See `asyncio.Handle`."""
        self.callback = None

    def cancelled(self) -> bool:
        """See `asyncio.Handle`."""
        return self.callback is None

    def __repr__(self) -> str:
        return f"<{self.callback} at {self.moment}>"


class VirtualLoop(asyncio.BaseEventLoop):
    """Implements `Clock`, beside being the loop. Timers of one moment ring in the order in which they were set, and a
    call that fails ends the play: other loops would log it, and nobody would see.
    """

    def __init__(self) -> None:
        self._now_s = 0.0
        #: Calls that wait for their moment, and futures that are done then; the number makes each different.
        self._timers: list[tuple[float, int, _Call | asyncio.Future[None]]] = []
        self._timers_set = 0
        self._next = deque[_Call]()
        self._running = False
        super().__init__()

    # -- the clock

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._now_s

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._now_s

    def now(self) -> datetime:
        """The database's clock."""
        return START + timedelta(seconds=self._now_s)

    def after(self, seconds: float) -> Awaitable[None]:
        """Done in so many seconds: what `asyncio.sleep` waits for, without what it does beside waiting."""
        future = asyncio.Future[None](loop=self)
        self._set(self._now_s + seconds, future)
        return future

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await self.after(seconds)

    # -- the loop

    def call_soon(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> _Call:
        """See `asyncio.loop.call_soon`."""
        call = _Call(self._now_s, callback, args, context)
        self._next.append(call)
        return call

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> _Call:
        """See `asyncio.loop.call_later`."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> _Call:
        """See `asyncio.loop.call_at`."""
        call = _Call(when, callback, args, context)
        self._set(when, call)
        return call

    def run_until_complete(self, future: Generator[Any, None, T] | Awaitable[T]) -> T:
        """See `asyncio.loop.run_until_complete`."""
        whole = asyncio.ensure_future(future, loop=self)  # type: ignore[arg-type]  # no generator has come for years
        ready, next_call = self._next, self._next.popleft
        self._running = True
        _set_running_loop(self)
        try:
            while not whole.done():
                if not ready:
                    self._jump()
                while ready:
                    call = next_call()
                    if call.callback is not None:
                        call.context.run(call.callback, *call.args)
        finally:
            _set_running_loop(None)
            self._running = False
        return whole.result()

    def is_running(self) -> bool:
        """See `asyncio.loop.is_running`."""
        return self._running

    # -- how time passes

    def _set(self, moment: float, what: _Call | asyncio.Future[None]) -> None:
        self._timers_set += 1
        heapq.heappush(self._timers, (moment, self._timers_set, what))

    def _jump(self) -> None:
        """To the next timer that somebody still waits for; it rings, and all that ring at once with it."""
        timers, moment, what = self._timers, 0.0, None
        while what is None or what.cancelled():
            if not timers:
                raise RuntimeError("everybody waits and nobody has set a timer: this would wait for ever")
            moment, _, what = heapq.heappop(timers)
        self._now_s += max(0.0, moment - self._now_s)
        until = self._now_s + _AT_ONCE_S
        while True:
            if isinstance(what, _Call):
                self._next.append(what)
            elif not what.done():
                what.set_result(None)
            if not timers or timers[0][0] >= until:
                return
            _, _, what = heapq.heappop(timers)


def run_virtually(work: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    """Run to the end, in as little real time as the work itself needs."""
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()
