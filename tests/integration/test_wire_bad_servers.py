"""The HTTP wire against bad servers: whether a request may have arrived decides between RemoteDown and Unclear."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest

from tests.support.raw_server import OK, Behave, drip, hang_up, say_nothing, says, serving, with_body
from tests.support.wires import READ, WRITE, failed, one, wired
from worker.errors import RemoteDown, Unclear
from worker.remotes.base import Answer, Request


@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_a_refused_connection_is_remote_down(request_: Request) -> None:
    """Nothing was sent, so a write is as harmless as a read."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(RemoteDown, match=r"no connection to 127.0.0.1:\d+: "):
            asyncio.run(one(url, request_))


def test_a_server_without_tls_is_remote_down() -> None:
    """Nothing is sent before both sides speak TLS, and the sentence names the likely mistake."""

    async def run() -> None:
        async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            writer.close()

        listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with listening:
            await one(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}", WRITE)

    with pytest.raises(RemoteDown, match="is base_url really https"):
        asyncio.run(run())


def test_a_connection_that_is_never_accepted_is_remote_down() -> None:
    """A full backlog takes no connection: the deadline ends the wait, and nothing was sent."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):
            other = waiting.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())

        with pytest.raises(RemoteDown, match=r"no connection to 127.0.0.1:\d+ within 0.3 s"):
            asyncio.run(one(f"http://127.0.0.1:{full.getsockname()[1]}", WRITE, timeout_s=0.3))


def test_a_wait_for_a_free_connection_is_remote_down() -> None:
    """A request that never got its turn was never sent."""

    async def run() -> None:
        arrived = asyncio.Event()

        async def take_and_hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
            arrived.set()
            await reader.read()

        async with serving(take_and_hang) as server, wired(server.url, timeout_s=0.6, max_in_flight=1) as wire:
            first = asyncio.ensure_future(wire.exchange(WRITE))
            await arrived.wait()
            wire._timeout_s = 0.1
            with pytest.raises(RemoteDown, match=r"no connection to .* within 0.1 s"):
                await wire.exchange(WRITE)
            with pytest.raises(Unclear):
                await first

    asyncio.run(run())


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(hang_up, id="hangs up"),
        pytest.param(say_nothing, id="says nothing"),
        pytest.param(drip, id="drips"),
        pytest.param(says(with_body(b"{}")[:-1], then_close=True), id="cuts the body"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\ncontent-le", then_close=True), id="cuts the head"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.6\r\n", then_close=True), id="is no HTTP server"),
        pytest.param(says(with_body(b"not gzip", "content-encoding: gzip")), id="packs badly"),
    ],
)
def test_once_sent_the_outcome_is_unclear(behave: Behave) -> None:
    """With a connection the request may have arrived, whatever happened then; and every call ends in time."""
    begun = time.monotonic()

    assert Unclear is type(failed(behave, WRITE, timeout_s=0.5))
    assert time.monotonic() - begun < 2.5


def test_a_time_out_says_how_long_it_was() -> None:
    """The sentence names the host and the seconds."""
    assert str(failed(say_nothing, READ, timeout_s=0.3)).endswith(" within 0.3 s")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
def test_a_lost_connection_is_not_tried_again_in_secret(method: str) -> None:
    """aiohttp would resend a GET or DELETE over a kept connection: uncounted, and a write repeated blindly."""

    async def run() -> int:
        answers = iter([says(OK), hang_up, says(OK)])

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await next(answers)(reader, writer)

        async with serving(behave) as server, wired(server.url) as wire:
            await wire.exchange(READ)
            with pytest.raises(Unclear):
                await wire.exchange(Request(method=method, path="/lists/1"))
            return len(server.requests)

    assert 2 == asyncio.run(run())


def test_a_time_out_costs_its_connection_only() -> None:
    """After a call that hung, the next one works."""

    async def run() -> Answer:
        answers = iter([say_nothing, says(OK)])

        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await next(answers)(reader, writer)

        async with serving(behave) as server, wired(server.url, timeout_s=0.3, max_in_flight=1) as wire:
            with pytest.raises(Unclear):
                await wire.exchange(WRITE)
            return await wire.exchange(WRITE)

    assert 200 == asyncio.run(run()).status
