"""News of a change on its way out: made by `base.py`, signed here, sent by `server.py` through `Sender`."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import queue
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from worker.simulators.lists import Change, SimList
from worker.simulators.switches import Switches
from worker.simulators.wire import iso

_TIMEOUT_S = 5.0
_TRIES = 3
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Webhook:
    """One POST to one address."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def cloud_event(
    change: Change, fields: Collection[str], *, id: str, source: str, now: float, switches: Switches
) -> dict[str, Any]:
    """A change as a CloudEvent of contract section 1, told in those *fields* that the source has."""
    held = change.held
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": "leadlist.deleted" if change.gone else "leadlist.changed",
        "subject": held.id,
        "time": iso(now if change.gone else held.updated_at),
    }
    if switches.webhook_sequence:
        event["sequence"] = str(held.version + change.gone)
    if switches.webhook_data and not change.gone:
        event["data"] = _data(held, change.before, fields)
    return event


def _data(held: SimList, before: SimList | None, fields: Collection[str]) -> dict[str, Any]:
    """What differs from *before*; everything, when the list is new."""
    scalars = {word: getattr(held, word) for word in ("name", "owner", "enrichment") if word in fields}
    if before is None:
        return {"fields": {**scalars, "kind": held.kind, "members": list(held.members)}}
    news: dict[str, Any] = {
        "fields": {word: value for word, value in scalars.items() if value != getattr(before, word)},
        "members_added": [member for member in held.members if member not in before.members],
        "members_removed": [member for member in before.members if member not in held.members],
    }
    return {word: value for word, value in news.items() if value}


def sealed(
    url: str, news: Mapping[str, Any], extra: Mapping[str, str], *, id: str, now: float, switches: Switches
) -> Webhook:
    """*news* as a POST with *extra* headers and whatever proof the switches ask for."""
    body = orjson.dumps(news)
    headers = {"content-type": "application/json", **extra}
    if switches.webhook_header:
        name, _, value = switches.webhook_header.partition(":")
        headers[name.strip().lower()] = value.strip()
    if switches.webhook_secret:
        stamp = str(int(now))
        headers |= {"webhook-id": id, "webhook-timestamp": stamp}
        headers["webhook-signature"] = signature(switches.webhook_secret, id, stamp, body)
    return Webhook(url, headers, body)


def signature(secret: str, id: str, stamp: str, body: bytes) -> str:
    """The Standard Webhooks signature, version 1."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


class Sender:
    """Posts webhooks one after the other from a thread of its own; three tries each, then they are lost.

    The thread ends with the process: a simulator owes nobody its last news.
    """

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Webhook] = queue.SimpleQueue()
        self._connections: dict[str, http.client.HTTPConnection] = {}
        self._thread: threading.Thread | None = None

    def send(self, webhook: Webhook) -> None:
        """Queue it; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="simulator-webhooks", daemon=True)
            self._thread.start()
        self._waiting.put(webhook)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            webhook = self._waiting.get()
            for _ in range(_TRIES):
                if self._delivered(webhook):
                    break
                pause.wait(_PAUSE_S)

    def _delivered(self, webhook: Webhook) -> bool:
        to = urlsplit(webhook.url)
        connection = self._connections.get(to.netloc)
        if connection is None:
            kind = http.client.HTTPSConnection if to.scheme == "https" else http.client.HTTPConnection
            connection = self._connections[to.netloc] = kind(to.netloc, timeout=_TIMEOUT_S)
        try:
            target = (to.path or "/") + (f"?{to.query}" if to.query else "")
            connection.request("POST", target, webhook.body, dict(webhook.headers))
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            with contextlib.suppress(OSError):
                connection.close()
            return False
        return answer.status < 500
