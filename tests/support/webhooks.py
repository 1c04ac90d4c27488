"""Sends webhooks, good and bad, to a web server in a thread: for tests of the ingress."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis import Redis

from tests.support.web import serving
from worker.settings import Settings
from worker.wiring import Runtime

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
HEADER = "X-Hook-Key: open sesame"
STREAM = "leadsync:events"


def remote(kind: str, **more: Any) -> dict[str, Any]:
    """Settings of one remote, which is never called."""
    return {"kind": kind, "base_url": "http://127.0.0.1:9", "token": "sim-token", **more}


REMOTES = {
    "crm": remote("crm", webhook_secret=SECRET),
    "lance": remote("lance", webhook_secret=SECRET),
    "instantly": remote("instantly", webhook_header=HEADER),
    "silent": remote("crm"),
}


def event(number: int = 1, **more: Any) -> dict[str, Any]:
    """A CloudEvent of the CRM."""
    return {
        "specversion": "1.0",
        "id": f"event-{number}",
        "source": "crm",
        "type": "leadlist.changed",
        "subject": "list-1",
        "time": "2026-01-31T12:00:00Z",
        "data": {"fields": {"name": f"Name {number}"}},
        **more,
    }


def signed(body: bytes, *, id: str = "msg-1", secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    stamp = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature}


@dataclass(frozen=True, slots=True)
class Said:
    """One answer."""

    status: int
    json: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def short(self) -> tuple[int, Any]:
        """Without headers."""
        return self.status, self.json


@dataclass(frozen=True, slots=True)
class Web:
    """A running server, and the Redis behind it."""

    port: int
    redis: Redis
    #: Remotes whose scans were seen to.
    nudged: list[str]

    def post(self, remote: str, body: bytes, headers: Mapping[str, str]) -> Said:
        """One whole webhook."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", f"/webhooks/{remote}", body, dict(headers))
            answer = connection.getresponse()
            return Said(answer.status, orjson.loads(answer.read()), {k.lower(): v for k, v in answer.getheaders()})

    def send(self, body: Any, *, remote: str = "crm", id: str = "msg-1", secret: str = SECRET) -> Said:
        """One signed webhook."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        return self.post(remote, raw, signed(raw, id=id, secret=secret))

    def dial(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def stream(self) -> list[Any]:
        """All events, oldest first."""
        entries: Any = self.redis.xrange(STREAM)
        return [orjson.loads(fields[b"event"]) for _, fields in entries]

    def everything(self) -> dict[str, Any]:
        """All that Redis holds: to see that nothing changed."""
        keys: Any = self.redis.keys()
        return {key.decode(): self.redis.dump(key) for key in keys}


@contextlib.contextmanager
def running_web(redis_url: str, remotes: Mapping[str, Any] | None = None, *, partitions: int = 1) -> Iterator[Web]:
    """The real server on a free port."""
    settings = Settings.model_validate({"remotes": remotes or REMOTES, "events": {"partitions": partitions}})
    runtime = Runtime(settings, redis_url)
    nudged = list[str]()
    with serving(runtime, nudged.append) as port, Redis.from_url(redis_url) as redis:
        yield Web(port, redis, nudged)


def read_answer(connection: socket.socket) -> Said:
    """The next answer of a bare connection."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return Said(answer.status, orjson.loads(answer.read()), {k.lower(): v for k, v in answer.getheaders()})
