"""The HTTP wire against real sockets: answers of every kind."""

from __future__ import annotations

import gzip

import pytest

from tests.support.raw_server import OK, says, with_body
from tests.support.wires import READ, TOKEN, WRITE, exchanged, failed
from worker.errors import BadAnswer
from worker.remotes.http import MAX_ANSWER_BYTES


def test_names_of_headers_are_lower_case() -> None:
    """Nobody has to ask twice for one header."""
    answers, _ = exchanged(says(with_body(b"{}", "Retry-After: 7", "DATE: then")), READ)

    assert ("7", "then") == (answers[0].headers["retry-after"], answers[0].headers["date"])


def test_an_answer_without_a_date_getsone() -> None:
    """Dates in Retry-After are measured against it."""
    answers, _ = exchanged(says(OK), READ)

    assert answers[0].headers["date"].endswith(" GMT")


@pytest.mark.parametrize("status", [201, 204, 400, 429, 500, 503])
def test_every_status_is_an_answer(status: int) -> None:
    """The wire does not judge."""
    answers, _ = exchanged(says(f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n".encode()), WRITE)

    assert (status, b"") == (answers[0].status, answers[0].body)


def test_gzip_is_unpacked() -> None:
    """Long answers travel packed."""
    answers, _ = exchanged(says(with_body(gzip.compress(b'{"a":1}'), "content-encoding: gzip")), READ)

    assert b'{"a":1}' == answers[0].body


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "deflate", "zstd"])
def test_other_packings_are_refused(encoding: str) -> None:
    """Packed twice, a small body could grow a million times; and we asked for gzip only."""
    assert BadAnswer is type(failed(says(with_body(b"xx", f"content-encoding: {encoding}")), READ))


def test_a_body_that_grows_too_large_is_refused() -> None:
    """A gzip bomb ends at the limit, not in memory."""
    bomb = gzip.compress(bytes(MAX_ANSWER_BYTES + 1))

    error = failed(says(with_body(bomb, "content-encoding: gzip")), READ)

    assert BadAnswer is type(error)
    assert "expected an answer of at most 32 MiB (max_answer_mib), got a longer one" == str(error)


def test_a_token_that_is_quoted_back_is_blotted_out() -> None:
    """`Invalid API key …` would put the key into the ledger and the log."""
    body = b'{"message":"Invalid API key ' + TOKEN.encode() + b'"}'
    answer = b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    answers, _ = exchanged(says(answer), READ)

    assert b'{"message":"Invalid API key [token]"}' == answers[0].body
