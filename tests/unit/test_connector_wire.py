"""What an HTTP wire refuses before it connects: addresses and tokens that cannot be meant."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from worker.errors import UsageError
from worker.remotes.http import HttpWire

FAKE = "canary-token-4711"


def test_the_wire_shows_no_token() -> None:
    """A wire in a log line or a debugger keeps its secret."""
    wire = HttpWire("http://127.0.0.1:1", SecretStr(FAKE), timeout_s=1, max_in_flight=1)

    assert FAKE not in repr(wire)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel", "tab\t", "nul\0"])
def test_a_token_that_cannot_be_sent_is_told_without_being_shown(token: str) -> None:
    """A token copied with its line break is a mistake in settings, not a traceback with the token in it."""
    with pytest.raises(UsageError, match="token: expected printable ASCII") as caught:
        HttpWire("http://127.0.0.1:1", SecretStr(token), timeout_s=1, max_in_flight=1)

    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "ftp://host",
        "http://user:pass@host",
        "http://host/?key=1",
        "http://host/#x",
        "http://[",
        "http://a b",
        "http://h:x",
        "host",
    ],
)
def test_an_address_that_cannot_be_meant_is_told(url: str) -> None:
    """Passwords in addresses end up in logs; the token has its own key."""
    with pytest.raises(UsageError, match="base_url: expected ") as caught:
        HttpWire(url, SecretStr(FAKE), timeout_s=1, max_in_flight=1)

    assert "pass@" not in str(caught.value)
