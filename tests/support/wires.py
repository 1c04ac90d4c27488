"""The HTTP wire with a server that a test chooses: one exchange or several, and the error it meets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from tests.support.raw_server import Behave, Server, serving
from worker.errors import LeadsyncError
from worker.remotes.base import Answer, Request
from worker.remotes.http import HttpWire

TOKEN = "canary-token-4711"
READ = Request(method="GET", path="/lists/1")
WRITE = Request(method="PATCH", path="/lists/1", body={"name": "New"})


@contextlib.asynccontextmanager
async def wired(url: str, *, timeout_s: float = 5.0, max_in_flight: int = 4) -> AsyncIterator[HttpWire]:
    """A wire that is closed at the end."""
    wire = HttpWire(url, SecretStr(TOKEN), timeout_s=timeout_s, max_in_flight=max_in_flight)
    try:
        yield wire
    finally:
        await wire.close()


async def one(url: str, request: Request, *, timeout_s: float = 5.0) -> Answer:
    """The answer to one request there."""
    async with wired(url, timeout_s=timeout_s) as wire:
        return await wire.exchange(request)


def exchanged(behave: Behave, *requests: Request, timeout_s: float = 5.0) -> tuple[list[Answer], Server]:
    """The answers to these requests, one after the other over one wire, and the server that gave them."""

    async def run() -> tuple[list[Answer], Server]:
        async with serving(behave) as server, wired(server.url, timeout_s=timeout_s) as wire:
            return [await wire.exchange(request) for request in requests], server

    return asyncio.run(run())


def failed(behave: Behave, request: Request, *, timeout_s: float = 5.0) -> LeadsyncError:
    """The error that this request meets there."""
    with pytest.raises(LeadsyncError) as caught:
        exchanged(behave, request, timeout_s=timeout_s)
    return caught.value
