"""The web server: makes the app and runs it. Started by `leadsync web`."""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastapi import FastAPI

from worker.errors import UsageError
from worker.settings import Settings
from worker.web import health, webhooks
from worker.web.arrival import Arrival
from worker.wiring import Runtime


def make_app(runtime: Runtime) -> FastAPI:
    """All routes. Without documentation pages: nothing here is for people yet."""
    app = FastAPI(title="leadsync", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.include_router(health.router(runtime))
    app.include_router(webhooks.router(runtime))
    return app


def serve(settings: Settings, redis_url: str) -> None:
    """Answer until told to stop. Raises `UsageError` when a secret is none, or the port is in use."""
    app, web = make_app(Runtime(settings, redis_url)), settings.web
    with _bound(web.host, web.port) as listening:
        host, port = listening.getsockname()[:2]
        sys.stderr.write(f"leadsync: web on http://{host}:{port}\n")
        make_server(app).run(sockets=[listening])


def make_server(app: FastAPI) -> uvicorn.Server:
    """The server, before it runs. Without access log: who looks at what is nobody's business."""
    config = uvicorn.Config(
        app, http=Arrival, ws="none", log_level="warning", access_log=False, server_header=False, proxy_headers=False
    )
    return uvicorn.Server(config)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol must be named, or asyncio does not turn Nagle's algorithm off: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageError(f"cannot listen on {host}:{port} ({error.strerror}); set web.host and web.port") from None
    return listening
