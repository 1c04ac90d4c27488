"""The HTTP wire against real sockets: what it sends, what it keeps to itself, and whose its connections are."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from tests.support.raw_server import OK, hang_up, says, serving, with_body
from tests.support.wires import READ, TOKEN, WRITE, exchanged, wired
from worker.errors import Unclear
from worker.remotes.base import Request, segment
from worker.remotes.http import HttpWire


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
