"""The web server: makes the app and runs it. Started by `leadsync web`."""

from __future__ import annotations

import contextlib
import re
import socket
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial

import uvicorn
from fastapi import FastAPI
from starlette.routing import Mount

from worker import tracing
from worker.celery_app import TaskName
from worker.dispatch import put_off
from worker.errors import UsageError
from worker.processes import sigterm_ends_well
from worker.scan_bell import ring_due_scans
from worker.settings import Settings
from worker.store.database import open_database
from worker.store.health import Health
from worker.store.views import Views
from worker.web import health, login, metrics, webhooks
from worker.web.access import Access, Denied, is_loopback
from worker.web.actions import Actions
from worker.web.api.app import make_api
from worker.web.arrival import Arrival
from worker.web.gate import API, Gate, refused
from worker.web.pages import mount as pages
from worker.web.waker import Waker
from worker.wiring import Runtime, collect_seldom


def make_app(runtime: Runtime, look: Callable[[str], None]) -> FastAPI:
    """All routes, behind the gate. `look` sees to the scan of a nudged remote."""
    url, access = runtime.settings.database_url, Access(runtime.settings.web)
    views, database = Views(open_database(url)), Health(url)
    actions = Actions(runtime, views)

    @contextlib.asynccontextmanager
    async def open_until_the_end(_: FastAPI) -> AsyncIterator[None]:
        yield
        for one in (views, database, actions):
            one.close()

    app = FastAPI(
        title="leadsync",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=open_until_the_end,
    )
    app.add_middleware(Gate, access=access)
    app.add_exception_handler(Denied, refused)
    app.include_router(health.router(runtime))
    app.include_router(metrics.router(runtime, views))
    app.include_router(webhooks.router(runtime, Waker(look).wake))
    app.include_router(login.router(access, pages.login))
    pages.mount(app, runtime, views, actions, database)
    api = Mount(API, make_api(runtime, views, actions, database))
    api.path_regex = re.compile(api.path_regex.pattern, re.DOTALL)  # an id may hold line breaks
    app.router.routes.append(api)
    return app


def serve(settings: Settings, redis_url: str) -> None:
    """Answer until told to stop. Raises `UsageError` when a secret is none, or the port is in use."""
    runtime, web = Runtime(settings, redis_url), settings.web
    app = make_app(runtime, partial(_see_to_scan, runtime))
    with sigterm_ends_well(), _bound(web.host, web.port) as listening:
        host, port = listening.getsockname()[:2]
        sys.stderr.write(f"leadsync: web on http://{host}:{port}\n")
        if web.password is None and not is_loopback(host):
            sys.stderr.write("leadsync: pages and API answer on this machine only, until web.password is set\n")
        tracing.begin()
        collect_seldom()
        try:
            make_server(app).run(sockets=[listening])
        finally:
            tracing.end()


def make_server(app: FastAPI) -> uvicorn.Server:
    """The server, before it runs. Without access log: who looks at what is nobody's business."""
    config = uvicorn.Config(
        app, http=Arrival, ws="none", log_level="warning", access_log=False, server_header=False, proxy_headers=False
    )
    server = uvicorn.Server(config)
    app.state.is_ending = lambda: server.should_exit  # or it would wait for pages that listen
    return server


def _see_to_scan(runtime: Runtime, remote: str) -> None:
    """As the tick does; what fails here, the next tick does."""
    with put_off(TaskName.SCAN, remote=remote):
        ring_due_scans(runtime, [remote])


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
