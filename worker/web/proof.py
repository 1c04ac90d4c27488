"""Proof that a webhook comes from its remote: a Standard Webhooks signature, a fixed header, or both. Pure.

Used by `webhooks.py`, in two steps: what the head alone can disprove is refused before the body is read.
Nothing that a stranger can send makes this raise anything but `NotProven`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from worker.settings import RemoteSettings

#: How far a sender's clock may be from ours, either way.
TOLERANCE_S = 300

_ID = re.compile(rb"[!-~]{1,256}")
_SECONDS = re.compile(rb"[0-9]{1,12}")
_VERSION = b"v1,"

#: Names in lower case, as they came over the wire.
Headers = Iterable[tuple[bytes, bytes]]


class NotProven(Exception):
    """Anybody could have sent this. The text is one sentence for the sender and for our log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a head says about its body."""

    id: bytes
    timestamp: bytes
    #: Base64; more than one while the sender changes its secret.
    made: tuple[bytes, ...]

    def check(self, body: bytes, keys: Iterable[bytes]) -> None:
        """Raises `NotProven` unless one of them was made with one of the keys."""
        content = b".".join((self.id, self.timestamp, body))
        expected = [base64.b64encode(hmac.digest(key, content, "sha256")) for key in keys]
        # A list, so that the time it takes does not tell which one was right.
        if not any([hmac.compare_digest(one, other) for one in expected for other in self.made]):  # noqa: C419 - see above
            raise NotProven("webhook-signature: expected one made with this remote's secret over id, time and raw body")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What one remote must show. With keys and a header it must show both."""

    keys: tuple[bytes, ...] = ()
    header: tuple[bytes, bytes] | None = None

    @classmethod
    def of(cls, remote: RemoteSettings) -> Self:
        """As settings ask for it. Raises `UsageError` when they cannot be meant."""
        header = remote.webhook_name_and_value()
        return cls(keys=remote.webhook_keys(), header=(header[0].encode(), header[1].encode()) if header else None)

    def check_head(self, headers: Headers, now: float) -> Signature | None:
        """The signature that the body must then match, if one is asked for. Raises `NotProven`."""
        headers = list(headers)
        if self.header is None and not self.keys:
            raise NotProven(
                "neither webhook_secret nor webhook_header is set for this remote, so nothing can be proven"
            )
        if self.header is not None:
            name, value = self.header
            if not hmac.compare_digest(_only(headers, name), value):
                raise NotProven(f"{name.decode()}: expected the value of this remote's webhook_header")
        return _signature(headers, now) if self.keys else None


def _signature(headers: Headers, now: float) -> Signature:
    webhook_id, timestamp = _only(headers, b"webhook-id"), _only(headers, b"webhook-timestamp")
    # A full stop would let the same signature stand for another id and body.
    if not _ID.fullmatch(webhook_id) or b"." in webhook_id:
        raise NotProven("webhook-id: expected 1 to 256 ASCII characters without spaces and full stops")
    if not _SECONDS.fullmatch(timestamp):
        raise NotProven("webhook-timestamp: expected whole seconds since 1970")
    if abs(int(timestamp) - now) > TOLERANCE_S:
        raise NotProven(f"webhook-timestamp: expected within {TOLERANCE_S} s of now; are both clocks right?")
    words = _only(headers, b"webhook-signature").split(b" ")
    made = tuple(word.removeprefix(_VERSION) for word in words if word.startswith(_VERSION))
    return Signature(id=webhook_id, timestamp=timestamp, made=made)


def _only(headers: Headers, name: bytes) -> bytes:
    """Its value. A header that comes twice could be read in two ways."""
    values = [value for one, value in headers if one == name]
    if len(values) != 1:
        raise NotProven(f"{name.decode()}: expected this header, once")
    return values[0]
