"""The HTTP wire against real sockets: what it sends, what it makes of bad servers, and what it never does."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import os
import socket
import time
import traceback
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from tests.support.raw_server import OK, Behave, Server, drip, hang_up, say_nothing, says, serving, with_body
from worker.errors import BadAnswer, LeadsyncError, RemoteDown, Unclear
from worker.remotes.base import Answer, Request, segment
from worker.remotes.http import MAX_ANSWER_BYTES, HttpWire

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


class TestWhatIsSent:
    """The bytes on the wire."""

    def test_a_write_carries_token_agent_and_json(self) -> None:
        """A PATCH is what contract section 5 promises."""
        _, server = exchanged(says(OK), WRITE)

        head, body = server.requests[0]
        lower = [line.lower() for line in head]
        assert "PATCH /lists/1 HTTP/1.1" == head[0]
        assert f"authorization: bearer {TOKEN}" in lower
        assert "content-type: application/json" in lower
        assert any(line.startswith("user-agent: leadsync/") for line in lower)
        assert b'{"name":"New"}' == body

    @pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PATCH"])
    def test_without_a_body_there_is_no_content_type(self, method: str) -> None:
        """Fastify answers 400 to an empty body that claims to be JSON."""
        _, server = exchanged(says(OK), Request(method=method, path="/lists/1"))

        head, body = server.requests[0]
        assert [] == [line for line in head if line.lower().startswith("content-type")]
        assert b"" == body

    def test_a_delete_keeps_its_body(self) -> None:
        """A bulk delete whose body is lost would empty a whole list."""
        _, server = exchanged(says(OK), Request(method="DELETE", path="/leads", body={"ids": ["a"]}))

        assert b'{"ids":["a"]}' == server.requests[0][1]

    def test_the_base_url_may_have_a_path(self) -> None:
        """`https://crm.internal/api` is a base like any other, with or without a slash at its end."""

        async def run() -> list[str]:
            async with serving(says(OK)) as server:
                for base in (f"{server.url}/api", f"{server.url}/api/"):
                    async with wired(base) as wire:
                        await wire.exchange(READ)
                return [head[0] for head, _ in server.requests]

        assert ["GET /api/lists/1 HTTP/1.1"] * 2 == asyncio.run(run())

    @pytest.mark.parametrize(
        ("remote_id", "path"),
        [
            ("a/b", "/lists/a%2Fb"),
            ("a?b#c", "/lists/a%3Fb%23c"),
            ("a%2Fb", "/lists/a%252Fb"),
            ("../x", "/lists/..%2Fx"),
            ("ü x", "/lists/%C3%BC%20x"),
            ("a\r\nx: y", "/lists/a%0D%0Ax:%20y"),
        ],
    )
    def test_an_id_stays_one_part_of_the_path(self, remote_id: str, path: str) -> None:
        """Whatever an id holds, it leads to no other path and no other header."""
        _, server = exchanged(says(OK), Request(method="GET", path=f"/lists/{segment(remote_id)}"))

        assert f"GET {path} HTTP/1.1" == server.requests[0][0][0]

    @pytest.mark.parametrize("cursor", ["2026-01-31T12:00:00.000+02:00", "a&b=c", "50%", "ü", "a/b?c#d", "%2B"])
    def test_a_cursor_arrives_as_it_was(self, cursor: str) -> None:
        """Cursors are opaque: a plus or a percent sign must survive the query."""
        _, server = exchanged(says(OK), Request(method="GET", path="/lists", query={"limit": 100, "after": cursor}))

        target = server.requests[0][0][0].split(" ")[1]
        assert {"limit": ["100"], "after": [cursor]} == parse_qs(urlsplit(target).query)

    def test_connections_are_kept_alive(self) -> None:
        """Ten requests one after another need one connection."""
        _, server = exchanged(says(OK), *[READ] * 10)

        assert 1 == server.connections

    def test_no_more_than_max_in_flight_are_open(self) -> None:
        """Fifty requests at once use four connections."""

        async def run() -> int:
            async with serving(says(OK)) as server, wired(server.url, max_in_flight=4) as wire:
                await asyncio.gather(*[wire.exchange(READ) for _ in range(50)])
                assert 50 == len(server.requests)
                return server.most_open

        assert 4 == asyncio.run(run())

    def test_cookies_are_not_kept(self) -> None:
        """What a remote sets is not sent back: no state but the token."""
        answer = with_body(b"{}", "set-cookie: session=1; Path=/")

        _, server = exchanged(says(answer), READ, READ)

        assert [] == [line for line in server.requests[1][0] if line.lower().startswith("cookie")]

    def test_redirects_are_not_followed(self) -> None:
        """The token must not travel to where a 3xx points."""
        answer = b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n"

        answers, server = exchanged(says(answer), READ)

        assert 302 == answers[0].status
        assert 1 == len(server.requests)

    def test_proxies_of_the_environment_are_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A proxy in the environment would read every token."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)

        answers, _ = exchanged(says(OK), READ)

        assert 200 == answers[0].status


class TestWhatComesBack:
    """Answers of every kind."""

    def test_names_of_headers_are_lower_case(self) -> None:
        """Nobody has to ask twice for one header."""
        answers, _ = exchanged(says(with_body(b"{}", "Retry-After: 7", "DATE: then")), READ)

        assert ("7", "then") == (answers[0].headers["retry-after"], answers[0].headers["date"])

    def test_an_answer_without_a_date_getsone(self) -> None:
        """Dates in Retry-After are measured against it."""
        answers, _ = exchanged(says(OK), READ)

        assert answers[0].headers["date"].endswith(" GMT")

    @pytest.mark.parametrize("status", [201, 204, 400, 429, 500, 503])
    def test_every_status_is_an_answer(self, status: int) -> None:
        """The wire does not judge."""
        answers, _ = exchanged(says(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode()), WRITE)

        assert (status, b"") == (answers[0].status, answers[0].body)

    def test_gzip_is_unpacked(self) -> None:
        """Long answers travel packed."""
        answers, _ = exchanged(says(with_body(gzip.compress(b'{"a":1}'), "content-encoding: gzip")), READ)

        assert b'{"a":1}' == answers[0].body

    @pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd"])
    def test_other_packings_are_refused(self, encoding: str) -> None:
        """Packed twice, a small body could grow a million times; and we asked for gzip only."""
        assert BadAnswer is type(failed(says(with_body(b"xx", f"content-encoding: {encoding}")), READ))

    def test_a_body_that_grows_too_large_is_refused(self) -> None:
        """A gzip bomb ends at the limit, not in memory."""
        bomb = gzip.compress(bytes(MAX_ANSWER_BYTES + 1))

        error = failed(says(with_body(bomb, "content-encoding: gzip")), READ)

        assert BadAnswer is type(error)
        assert "expected an answer of at most 32 MiB, got a longer one" == str(error)

    def test_a_token_that_is_quoted_back_is_blotted_out(self) -> None:
        """`Invalid API key …` would put the key into the ledger and the log."""
        body = b'{"message":"Invalid API key ' + TOKEN.encode() + b'"}'
        answer = b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n" % len(body) + body

        answers, _ = exchanged(says(answer), READ)

        assert b'{"message":"Invalid API key [token]"}' == answers[0].body


class TestBadServers:
    """Whether the request may have arrived decides between RemoteDown and Unclear; nothing else does."""

    @pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
    def test_a_refused_connection_is_remote_down(self, request_: Request) -> None:
        """Nothing was sent, so a write is as harmless as a read."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"

            with pytest.raises(RemoteDown, match=r"no connection to 127.0.0.1:\d+: "):
                asyncio.run(one(url, request_))

    def test_a_server_without_tls_is_remote_down(self) -> None:
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

    def test_a_connection_that_is_never_accepted_is_remote_down(self) -> None:
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

    def test_a_wait_for_a_free_connection_is_remote_down(self) -> None:
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
    def test_once_sent_the_outcome_is_unclear(self, behave: Behave) -> None:
        """With a connection the request may have arrived, whatever happened then; and every call ends in time."""
        begun = time.monotonic()

        assert Unclear is type(failed(behave, WRITE, timeout_s=0.5))
        assert time.monotonic() - begun < 2.5

    def test_a_time_out_says_how_long_it_was(self) -> None:
        """The sentence names the host and the seconds."""
        assert str(failed(say_nothing, READ, timeout_s=0.3)).endswith(" within 0.3 s")

    @pytest.mark.parametrize("method", ["GET", "DELETE", "PATCH"])
    def test_a_lost_connection_is_not_tried_again_in_secret(self, method: str) -> None:
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

    def test_a_time_out_costs_its_connection_only(self) -> None:
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


class TestSecrets:
    """Nothing secret or personal leaves through logs and errors."""

    def test_logs_and_errors_hold_no_url_and_no_token(self, caplog: pytest.LogCaptureFixture) -> None:
        """With every logger at DEBUG, neither a path, nor a query, nor the token is said."""
        caplog.set_level(logging.DEBUG)
        secret = Request(method="GET", path="/canary-path", query={"canary": "query"})

        exchanged(says(OK), secret)
        with pytest.raises(Unclear) as caught:
            exchanged(hang_up, secret)

        told = caplog.text + "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert "canary" not in told


class TestHome:
    """Connections belong to one loop and one process."""

    def test_each_loop_gets_its_own_connections(self) -> None:
        """A wire that is used in a second loop connects anew instead of failing there."""

        wire = HttpWire("http://127.0.0.1:1", SecretStr(TOKEN), timeout_s=5, max_in_flight=1)

        async def once() -> int:
            async with serving(says(OK)) as server:
                wire._base_url = server.url
                answer = await wire.exchange(READ)
                await wire.close()
                return answer.status

        assert [200, 200] == [asyncio.run(once()) for _ in range(2)]

    def test_a_forked_child_connects_anew(self) -> None:
        """Parent and child must never talk over one socket."""

        async def run() -> tuple[int, int]:
            async with serving(says(OK)) as server, wired(server.url) as wire:
                await wire.exchange(READ)
                before = wire._home
                stranger, wire._home = wire._transport, (os.getpid() + 1, asyncio.get_running_loop())
                await wire.exchange(READ)
                assert before == wire._home
                assert stranger is not None
                await stranger.aclose()
                return server.connections, len(server.requests)

        assert (2, 2) == asyncio.run(run())

    def test_a_closed_wire_connects_anew(self) -> None:
        """Closing is not the end: the next exchange works."""

        async def run() -> int:
            async with serving(says(OK)) as server, wired(server.url) as wire:
                await wire.exchange(READ)
                await wire.close()
                await wire.close()
                await wire.exchange(READ)
                return server.connections

        assert 2 == asyncio.run(run())
