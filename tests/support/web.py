"""The real web server in a thread, and a browser without a screen: for tests of access and API."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from tests.support.waiting import wait_until
from worker.web.server import make_app, make_server
from worker.wiring import Runtime


@contextlib.contextmanager
def serving(runtime: Runtime, look: Callable[[str], None] = lambda _: None, host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that ends with the block."""
    server = make_server(make_app(runtime, look))
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind((host, 0))

    async def serve() -> None:
        await server.serve([listening])
        await runtime.hang_up()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        wait_until(lambda: server.started, what="the server listens")
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
        if "store" in runtime.__dict__:
            runtime.store.close()


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)

    @property
    def text(self) -> str:
        """Its body."""
        return self.body.decode()

    @property
    def error(self) -> str:
        """The sentence of a refusal, whatever its form."""
        if self.headers["content-type"].startswith("application/json"):
            return str(self.json["error"])
        return self.text.removeprefix("leadsync: ").strip()


@dataclass
class Browser:
    """Keeps the cookie, as browsers do."""

    port: int
    cookie: str | None = None
    #: Sent along with each request.
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: Mapping[str, str | None] | None = None
    ) -> Reply:
        """One request, as it is given; a header of None is left out."""
        sent: dict[str, str | None] = {"cookie": self.cookie, **self.headers, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
            answer = connection.getresponse()
            reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        given = re.match(r"(leadsync_session=[^;]*)", reply.headers.get("set-cookie", ""))
        self.cookie = given[1] if given else self.cookie
        return reply

    def get(self, path: str, **headers: str | None) -> Reply:
        """Look."""
        return self.ask("GET", path, None, _named(headers))

    def form(self, path: str, **fields: str) -> Reply:
        """Send a form."""
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(fields), kind)

    def act(self, path: str, body: Any = None, **headers: str | None) -> Reply:
        """Send JSON."""
        return self.ask("POST", path, orjson.dumps(body), {"content-type": "application/json", **_named(headers)})


def _named(headers: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
