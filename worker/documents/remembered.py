"""What takes long to count, remembered for twenty times as long as it took: however many pages are open and ask.

A small database is always counted anew, and each question to a large one costs a twentieth of the time of a process at
most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from worker.store.views import View, Views

T = TypeVar("T")

_TIMES: Final = 20
#: What is counted sooner is always counted anew.
_WORTH_S: Final = 0.01


class Remembered(Generic[T]):
    """The last answer to one question, of one process."""

    def __init__(self, question: Callable[[View], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._question, self._clock, self._asking = question, clock, asyncio.Lock()
        self._last: tuple[T, float] | None = None

    async def ask(self, views: Views, *, fresh: bool = False) -> T:
        """As it was a little ago at most; `fresh` for whoever has just changed something."""
        async with self._asking:
            if self._last is None or fresh or self._clock() >= self._last[1]:
                begun = self._clock()
                found = await asyncio.to_thread(views.look, self._question)
                took_s = self._clock() - begun
                self._last = found, begun + (_TIMES * took_s if took_s >= _WORTH_S else 0.0)
            return self._last[0]
