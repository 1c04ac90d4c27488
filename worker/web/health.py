"""Is the process alive, and can it work? For load balancers, containers and people in a hurry."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from worker.documents.trouble import redis_trouble
from worker.errors import LeadsyncError
from worker.store.database import check_room, check_schema, open_database
from worker.wiring import Runtime

#: A check that takes longer than this has failed.
_PATIENCE_S = 3.0


def router(runtime: Runtime) -> APIRouter:
    """GET /healthz and /readyz."""
    routes = APIRouter()
    engine = open_database(runtime.settings.database_url)

    def check() -> None:
        check_schema(engine)
        check_room(engine)

    async def database() -> str:
        try:
            await asyncio.wait_for(asyncio.to_thread(check), _PATIENCE_S)
        except LeadsyncError as error:
            return str(error)
        except TimeoutError:
            return "the database does not answer"
        return "ok"

    async def redis() -> str:
        try:
            trouble = await asyncio.wait_for(redis_trouble(runtime.redis), _PATIENCE_S)
        except TimeoutError:
            return "Redis does not answer"
        return "ok" if trouble is None else f"{trouble.says}; {trouble.next_step}"

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        """Database and Redis can be reached and written, and the schema fits; 503 with the reason otherwise."""
        checks = dict(zip(("database", "redis"), await asyncio.gather(database(), redis()), strict=True))
        ready = all(word == "ok" for word in checks.values())
        return JSONResponse({"ready": ready, **checks}, status_code=200 if ready else 503)

    return routes
