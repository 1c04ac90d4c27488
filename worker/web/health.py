"""Is the process alive, and can it work? For load balancers, containers and people in a hurry."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError

from worker.errors import LeadsyncError
from worker.store.database import check_schema, open_database
from worker.wiring import Runtime

#: A check that takes longer than this has failed.
_PATIENCE_S = 3.0


def router(runtime: Runtime) -> APIRouter:
    """GET /healthz and /readyz."""
    routes = APIRouter()
    engine = open_database(runtime.settings.database_url)

    async def database() -> str:
        try:
            await asyncio.wait_for(asyncio.to_thread(check_schema, engine), _PATIENCE_S)
        except LeadsyncError as error:
            return str(error)
        except TimeoutError:
            return "the database does not answer"
        return "ok"

    async def redis() -> str:
        try:
            await asyncio.wait_for(runtime.redis.ping(), _PATIENCE_S)
        except (RedisError, OSError, TimeoutError) as error:
            return f"Redis cannot be reached ({type(error).__name__})"
        return "ok"

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        """Database and Redis are reachable and the schema is current; 503 with the reason otherwise."""
        checks = dict(zip(("database", "redis"), await asyncio.gather(database(), redis()), strict=True))
        ready = all(word == "ok" for word in checks.values())
        return JSONResponse({"ready": ready, **checks}, status_code=200 if ready else 503)

    return routes
