"""The hook: sends webhooks of ours, signed by Standard Webhooks. Made by whoever tells alerts.

See https://www.standardwebhooks.com : the signature is over id, time and raw body, so the body is made here once.
"""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from typing import Any

import orjson
from pydantic import SecretStr

from worker.errors import RemoteDown
from worker.remotes.http import post


class Hook:
    """One receiver."""

    def __init__(
        self, url: SecretStr, keys: tuple[bytes, ...], *, timeout_s: float, now: Callable[[], float] = time.time
    ) -> None:
        self._url, self._keys, self._timeout_s, self._now = url, keys, timeout_s, now

    async def send(self, message_id: str, message: dict[str, Any]) -> None:
        """One try; its time is signed too. Raises `Transient` unless the receiver answers 2xx."""
        body, seconds = orjson.dumps(message), str(int(self._now()))
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": seconds,
            "webhook-signature": " ".join(_signed(key, message_id, seconds, body) for key in self._keys),
        }
        url = self._url.get_secret_value()
        status = await post(url, body, headers, timeout_s=self._timeout_s, setting="alerts.url")
        if not 200 <= status < 300:
            why = "; redirects are not followed" if 300 <= status < 400 else ""
            raise RemoteDown(f"the receiver of alerts answered {status}{why}")


def _signed(key: bytes, message_id: str, seconds: str, body: bytes) -> str:
    content = b".".join((message_id.encode(), seconds.encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, content, 'sha256')).decode()}"
