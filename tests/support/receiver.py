"""A receiver of webhooks on loopback: keeps what it got, answers as it is told. For the tests of alerts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

from worker.web.proof import Proof


@dataclass(frozen=True, slots=True)
class Got:
    """One request, as it came over the wire."""

    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def json(self) -> Any:
        """Its body."""
        return orjson.loads(self.body)

    @property
    def id(self) -> str:
        """What a receiver tells repeats by."""
        return self.header("webhook-id")

    def header(self, name: str) -> str:
        """The value of one header."""
        [value] = [value for one, value in self.headers if one == name.encode()]
        return value.decode()

    def prove(self, key: bytes, now: float) -> None:
        """As whoever takes webhooks must: raises unless the signature is right."""
        signature = Proof(keys=(key,)).check_head(self.headers, now)
        assert signature is not None
        signature.check(self.body, (key,))


@dataclass
class Receiver:
    """Answers 204 unless it is told otherwise."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    #: The next answers: a status, or None to hang up.
    answers: list[int | None] = field(default_factory=list)
    #: While it is not set, nobody gets an answer.
    may_answer: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/hooks?key=k1"

    def told(self) -> list[tuple[str, str | None, str]]:
        """(type, remote, kind) of all it got."""
        bodies = [one.json for one in self.got]
        return [(body["type"], body["data"]["remote"], body["data"]["kind"]) for body in bodies]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that ends with the block."""
    receiver = Receiver()
    receiver.may_answer.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = [(name.lower().encode(), value.encode()) for name, value in self.headers.items()]
            receiver.got.append(Got(self.path, headers, body))
            receiver.may_answer.wait(30)
            status = receiver.answers.pop(0) if receiver.answers else 204
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", "0")
            if 300 <= status < 400:
                self.send_header("location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            with contextlib.suppress(OSError):
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests are quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.may_answer.set()
            server.shutdown()
            thread.join()
