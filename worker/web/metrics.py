"""GET /metrics for Prometheus. Who may ask is for the gate to say; one look serves all who ask within some seconds."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from worker.documents.metrics import exposition, samples
from worker.documents.overview import overview
from worker.store.views import Views
from worker.wiring import Runtime

#: Several Prometheus servers, or somebody who keeps asking, cost no more than one.
_FRESH_S: Final = 5.0
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Of one web process, which remembers only what it has just told."""

    def __init__(self, runtime: Runtime, views: Views) -> None:
        self._runtime, self._views = runtime, views
        self._asking = asyncio.Lock()
        self._told, self._until = "", 0.0

    async def text(self) -> str:
        """As it was some seconds ago at most."""
        async with self._asking:
            if time.monotonic() >= self._until:
                found = await overview(self._runtime, self._views, totals=True)
                self._told, self._until = exposition(samples(found)), time.monotonic() + _FRESH_S
            return self._told


def router(runtime: Runtime, views: Views) -> APIRouter:
    """The one route. It answers 200 when database or Redis are away: that is among what it tells."""
    routes, metrics = APIRouter(include_in_schema=False), Metrics(runtime, views)

    @routes.get("/metrics")
    async def tell() -> Response:
        """Prometheus' text format."""
        return Response(await metrics.text(), media_type=_TYPE)

    return routes
