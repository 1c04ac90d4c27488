"""Live pages: GET /live tells open pages, at most once a second, that something changed; they then ask for themselves.

One look a second for all who listen, and none while nobody does. A listener holds neither a thread nor a connection to
the database.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from worker.errors import LeadsyncError
from worker.store.views import Views

_REST_S: Final = 1.0
#: Ages grow and budgets refill though nothing is written.
_AT_LEAST_EVERY: Final = 10


class Live:
    """Of one web process."""

    def __init__(self, views: Views, is_ending: Callable[[], bool]) -> None:
        self._views, self._is_ending = views, is_ending
        self._listeners = 0
        self._looking: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._told, self._ended = 0, False

    async def changes(self) -> AsyncIterator[ServerSentEvent]:
        """One event each time something changed, until the server ends."""
        self._listeners += 1
        try:
            yield ServerSentEvent(event="hello", data="", retry=2_000)
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            told = self._told
            while not self._ended:
                if told == self._told:
                    await self._news.wait()
                told = self._told  # whoever is slow is told once, not once for each change
                if not self._ended:
                    yield ServerSentEvent(event="changed", data="")
        finally:
            self._listeners -= 1

    async def _look(self) -> None:
        """Once a second, while somebody listens."""
        before, quiet = await self._state(), 0
        while self._listeners and not self._is_ending():
            await asyncio.sleep(_REST_S)
            after = await self._state()
            quiet += 1
            if after != before or quiet >= _AT_LEAST_EVERY:
                before, quiet = after, 0
                self._tell()
        self._ended = self._is_ending()
        if self._ended:
            self._tell()

    def _tell(self) -> None:
        """All who wait now."""
        self._told += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _state(self) -> Any:
        with contextlib.suppress(LeadsyncError):  # a database that is away changes nothing
            return await asyncio.to_thread(self._views.look, lambda view: view.marks())
        return None


def router(live: Live) -> APIRouter:
    """The one route."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/live", response_class=EventSourceResponse)
    async def changes(_: Request) -> AsyncIterator[ServerSentEvent]:
        """Tells that something changed, never what: pages ask for that themselves."""
        async for event in live.changes():
            yield event

    return routes
