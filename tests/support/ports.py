"""Ports on loopback, and whether a web process answers there: for tests and benches that start processes."""

from __future__ import annotations

import contextlib
import http.client
import socket
import urllib.request
from typing import Any

import orjson


def free_port() -> int:
    """One that nobody has at this moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


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
