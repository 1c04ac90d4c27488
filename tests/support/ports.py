"""Ports on loopback, and whether a web process answers there: for tests and benches that start processes."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import urllib.request
from typing import Any

import orjson

#: Systems give none of these to connections that go out, of which tests make thousands: one that is free stays free
#: until the process listens for which it is meant.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """One that nobody has at this moment."""
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with socket.socket() as listening, contextlib.suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def is_well(port: int) -> bool:
    """Whether a web process listens there, and says that it is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ready(port: int) -> tuple[int, dict[str, Any]]:
    """What /readyz answers; 0 when nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection), contextlib.suppress(OSError):
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    return 0, {}
