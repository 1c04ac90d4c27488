"""Requests that arrive slowly, endlessly, hugely or broken, over bare sockets: none holds the server up."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest

from tests.support.webhooks import Web, event, read_answer, running_web, signed
from worker.web import arrival

GOOD = orjson.dumps(event())
#: Instead of ten seconds.
SOON_S = 0.5


@pytest.fixture
def web(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A web server that loses patience soon."""
    monkeypatch.setattr(arrival, "ARRIVAL_S", SOON_S)
    with running_web(redis_url) as running:
        yield running


def head(*lines: str, **headers: str) -> bytes:
    """The head of a webhook of the CRM."""
    fields = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /webhooks/crm HTTP/1.1", "host: x", *fields, *lines, "", ""]).encode()


def signed_head(**headers: str) -> bytes:
    """The head of a webhook that is signed now: a signature is good for minutes only, so none is made at import."""
    return head(*(f"{name}: {value}" for name, value in signed(GOOD).items()), **headers)


def closes(connection: socket.socket) -> bool:
    """Whether the server hangs up, rather than waits for more."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


@pytest.mark.parametrize(
    "begin",
    [
        lambda: b"",
        lambda: b"POST /webhooks/crm HT",
        lambda: head()[:-2] + b"x: y",
        lambda: signed_head(content_length="500") + b"{",
    ],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_who_stops_in_the_middle_is_sent_away(web: Web, begin: Callable[[], bytes]) -> None:
    """
    408 in time, wherever it stopped, and the connection is closed.
    """
    with web.dial() as connection:
        connection.sendall(begin())
        said = read_answer(connection)

        assert (408, {"error": "the request did not arrive within 0.5 s"}) == said.short
        assert closes(connection)
    assert {} == web.everything()


@pytest.mark.parametrize("in_body", [False, True], ids=["head", "body"])
def test_dripping_bytes_win_no_time(web: Web, in_body: bool) -> None:  # noqa: FBT001 - pytest passes it by name
    """
    The deadline is for the whole request; a byte now and then does not move it.
    """
    with web.dial() as connection:
        began = time.monotonic()
        connection.sendall(signed_head(content_length="500") if in_body else b"")
        connection.settimeout(0.05)
        answer = b""
        while not answer and time.monotonic() - began < 10:
            with contextlib.suppress(ConnectionError):
                connection.sendall(b" " if in_body else b"P")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408")
    assert SOON_S * 0.9 <= time.monotonic() - began


def test_the_second_request_of_a_connection_has_a_deadline_too(web: Web) -> None:
    """
    Also when its beginning came with the first.
    """
    whole = signed_head(content_length=str(len(GOOD))) + GOOD
    with web.dial() as connection:
        connection.sendall(whole + signed_head(content_length="500"))
        assert [202, 408] == [read_one(connection), read_one(connection)]
    with web.dial() as connection:
        connection.sendall(whole)
        assert 200 == read_one(connection)
        connection.sendall(b"POST")
        assert 408 == read_one(connection)


def read_one(connection: socket.socket) -> int:
    """The status of the next answer, read byte by byte so that nothing of the one after is lost."""
    answer = b""
    while not answer.endswith(b"}"):
        answer += connection.recv(1)
    return int(answer.split()[1])


def test_many_slow_senders_do_not_slow_an_honest_one(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Three hundred connections that dribble, and webhooks are taken as ever.
    """
    monkeypatch.setattr(arrival, "ARRIVAL_S", 30.0)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(web.dial()) for _ in range(300)]
        for one in slow:
            one.sendall(signed_head(content_length="500"))
        with ThreadPoolExecutor(4) as threads:
            said = list(threads.map(lambda n: web.send(event(n), id=f"m{n}").status, range(100)))

    assert [202] * 100 == said


def test_a_large_body_is_refused_by_its_length_alone(web: Web) -> None:
    """
    Before a byte of it is read.
    """
    with web.dial() as connection:
        connection.sendall(signed_head(content_length=str(10**9)))
        assert 413 == read_answer(connection).status


def test_an_endless_body_is_refused_and_then_cut_off(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    413 after the limit, which a sender that is still sending can read; then the connection is cut.
    """
    monkeypatch.setattr(arrival, "ARRIVAL_S", 30.0)
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    sent = 0
    with web.dial() as connection:
        connection.sendall(signed_head(transfer_encoding="chunked"))
        with contextlib.suppress(ConnectionError):
            while sent < 10**9:
                connection.sendall(chunk)
                sent += len(chunk)

    assert 1024**2 < sent < 64 * 1024**2


def test_a_sender_that_is_refused_early_can_read_why(web: Web) -> None:
    """
    It first sends all it has, as simple clients do, and only then looks.
    """
    body = b" " * (3 * 1024 * 1024)
    assert 413 == web.post("crm", body, signed(body)).status
    assert 401 == web.post("crm", body, {}).status


def test_the_connection_can_be_used_on_after_an_early_answer(web: Web) -> None:
    """
    What is left of the refused body is thrown away, and the next request is read from its beginning.
    """
    with web.dial() as connection:
        connection.sendall(head(content_length="5"))
        assert 401 == read_one(connection)
        connection.sendall(b"12345" + signed_head(content_length=str(len(GOOD))) + GOOD)
        assert 202 == read_one(connection)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50, 400),
        (head("content-length: 5", "content-length: 6"), 400),
        (head("content-length: -5"), 400),
        (head("content-length: 5x"), 400),
        (head("transfer-encoding: gzip, chunked"), 501),
        (head("bad header: x"), 400),
        (head("x: " + "y" * 40_000), 431),
        (head(*(f"x-{n}: y" for n in range(5_000))), 431),
    ],
    ids=["no HTTP", "TLS", "two lengths", "negative", "not a number", "gzip", "bad name", "long", "many"],
)
def test_what_is_no_proper_request_gets_a_short_answer(web: Web, request_: bytes, status: int) -> None:
    """
    In the same JSON as all other refusals, without a trace in Redis.
    """
    is_refused(web, request_, status)


def test_a_bad_chunk_gets_the_same_answer(web: Web) -> None:
    """
    Though the head that came before it was signed.
    """
    is_refused(web, signed_head(transfer_encoding="chunked") + b"nonsense\r\n", 400)


def is_refused(web: Web, request: bytes, status: int) -> None:
    """What the server says to bytes that are no proper request: a sentence and this status, then it hangs up."""
    with web.dial() as connection:
        connection.sendall(request)
        said = read_answer(connection)
        assert status == said.status
        assert said.json["error"].startswith("expected well-formed HTTP/1.1")
        assert closes(connection)
    assert {} == web.everything()


def test_garbage_after_an_answer_is_no_accident(web: Web, capfd: pytest.CaptureFixture[str]) -> None:
    """
    The server has answered already, so it only hangs up, without a traceback.
    """
    with web.dial() as connection:
        connection.sendall(head(transfer_encoding="chunked"))
        assert 401 == read_one(connection)
        connection.sendall(b"nonsense\r\n")
        assert closes(connection)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_sender_that_hangs_up_is_forgotten(web: Web, capfd: pytest.CaptureFixture[str]) -> None:
    """
    In the middle of its body; nothing is taken and nothing breaks.
    """
    with web.dial() as connection:
        connection.sendall(signed_head(content_length=str(len(GOOD))) + GOOD[:-1])
    assert 202 == web.send(event(2), id="next").status
    assert 1 == len(web.stream())
    assert "Traceback" not in "".join(capfd.readouterr())
