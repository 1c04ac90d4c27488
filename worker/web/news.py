"""News: what the body of a proven webhook says, as an event for the stream or as a nudge. Called by `webhooks.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson

from models.event import MAX_EVENT_BYTES, BadEvent, EventType, parse_event
from models.observation import Shown
from worker import tracing
from worker.errors import Permanent
from worker.remotes.base import Answer, Connector, Request


@dataclass(frozen=True, slots=True)
class News:
    """What goes into Redis."""

    #: A CloudEvent in JSON. None is a nudge: something changed there, nobody says which list.
    event: bytes | None
    #: The same for a repeat of the same news. None when repeats cannot be told, and do no harm.
    id: str | None


async def read(body: bytes, remote: Connector, webhook_id: str | None) -> News:
    """Understand the body. Raises `BadEvent` with a sentence that says what was expected."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadEvent("event: expected JSON in UTF-8") from None
    # A list without a version has no time, so it cannot be an event; such remotes (Instantly) can only nudge.
    versioned = remote.capabilities.versioned
    match said:
        case {"specversion": _}:
            return _cloud_event(body, remote, webhook_id)
        case {"id": str(id)} if versioned:
            event_id = webhook_id or hashlib.sha256(body).hexdigest()
            return News(_as_event(await _shown(body, remote, id), remote.name, event_id), event_id)
        case {"event_type": str()} if not versioned:
            return News(None, webhook_id)  # about a lead or a campaign; which list it is in is not said
        case _:
            own = "a lead list as its API shows it" if versioned else "its own webhook JSON, with an event_type"
            raise BadEvent(f"event: expected a CloudEvent, or {own}")


@contextmanager
def traced(news: News, remote: str, header: str | None) -> Iterator[News]:
    """With the trace that its event is a part of: the sender's, in the event or in the header, or one that begins here.
    What the event says of that by itself is left as it is.
    """
    tracer = tracing.tracer()
    if not tracer.on or news.event is None:
        yield news
        return
    said = orjson.loads(news.event)
    brought = said.get("traceparent") or header
    with tracer.span(
        "webhook", tracing.Side.SERVER, (brought,) if brought else (), remote=remote, event_id=said["id"]
    ) as span:
        event = orjson.dumps(said | {"traceparent": said.get("traceparent") or span.traceparent})
        yield replace(news, event=event) if len(event) <= MAX_EVENT_BYTES else news


def _cloud_event(body: bytes, remote: Connector, webhook_id: str | None) -> News:
    event = parse_event(body)
    if event.source != remote.name:
        raise BadEvent(f"source: expected {remote.name}, the remote in the address")
    return News(body, webhook_id or event.id)


async def _shown(body: bytes, remote: Connector, id: str) -> Shown:
    """The list in the body, read exactly as if it were the answer to a GET."""

    async def told(_: Request) -> Answer:
        return Answer(status=200, body=body)

    try:
        return await remote.get(told, id)
    except Permanent as error:
        raise BadEvent(f"event: {error}") from None


def _as_event(shown: Shown, remote: str, event_id: str) -> bytes:
    fields: dict[str, Any] = {field.value: value for field, value in shown.fields.items()}
    if shown.kind is not None:
        fields["kind"] = shown.kind
    if shown.members is not None:
        fields["members"] = sorted(shown.members)
    event = orjson.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": remote,
            "type": EventType.CHANGED,
            "subject": shown.remote_id,
            "time": shown.version,
            "data": {"fields": fields},
        }
    )
    parse_event(event)  # a remote may show what no event may hold, such as an endless name
    return event
