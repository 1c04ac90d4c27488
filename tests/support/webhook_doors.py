"""What the webhook doors take and answer, as an OpenAPI document; and who signs what schemathesis sends there.

`tests/integration/test_schemathesis.py` writes the document; schemathesis loads this file for its hook.
"""

from __future__ import annotations

from typing import Any

import requests
import schemathesis

from models.event import Event
from tests.support.webhooks import HEADER, signed
from worker.web.webhooks import MAX_BODY_BYTES

#: A list as Lance shows it, and what Instantly sends.
_LANCE = {
    "type": "object",
    "required": ["id", "name", "type", "personIds", "updatedAt"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "name": {"type": "string"},
        "type": {"enum": ["person", "company", None]},
        "personIds": {"type": ["array", "null"], "items": {"type": "string"}},
        "updatedAt": {"type": "string", "format": "date-time"},
    },
}
_INSTANTLY = {
    "type": "object",
    "required": ["event_type"],
    "properties": {"event_type": {"type": "string"}},
}
_ANSWERS = {
    "202": ("status", "Redis has it"),
    "200": ("status", "Redis had it already"),
    "400": ("error", "Its body did not arrive"),
    "401": ("error", "Not proven"),
    "404": ("error", "No such remote"),
    "405": ("detail", "Another method"),
    "413": ("error", f"More than {MAX_BODY_BYTES} bytes"),
    "422": ("error", "No event"),
    "503": ("error", "No Redis"),
}


def document() -> dict[str, Any]:
    """One door for each kind of remote: what is proven is read."""
    event = Event.model_json_schema(ref_template="#/components/schemas/{model}")
    own: dict[str, list[Any]] = {"crm": [], "lance": [_LANCE], "instantly": [_INSTANTLY]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "webhooks", "version": "1"},
        "components": {"schemas": event.pop("$defs")},
        "paths": {
            f"/webhooks/{remote}": {"post": _door([_of(event, remote), *bodies])} for remote, bodies in own.items()
        },
    }


def _of(event: dict[str, Any], remote: str) -> dict[str, Any]:
    """What its own type does not say: an event is told to the door of its source."""
    said: dict[str, Any] = {"source": {"const": remote}, "specversion": {"const": "1.0"}}
    said["datacontenttype"] = {"enum": ["application/json", None]}
    return {**event, "properties": {**event["properties"], **said}}


def _door(bodies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": bodies}}}},
        "responses": {
            status: {"description": says, "content": {"application/json": {"schema": _answer(key)}}}
            for status, (key, says) in _ANSWERS.items()
        },
    }


def _answer(key: str) -> dict[str, Any]:
    return {"type": "object", "required": [key], "properties": {key: {"type": "string"}}, "additionalProperties": False}


class _Proof(requests.auth.AuthBase):
    """Signs the body as it is sent."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert isinstance(request.body, str | bytes | None)  # not streamed
        raw = request.body.encode() if isinstance(request.body, str) else request.body or b""
        name, _, value = HEADER.partition(": ")
        request.headers.update({**signed(raw, id=f"msg-{hash(raw)}"), name: value})
        return request


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, _case: Any, kwargs: dict[str, Any]) -> None:
    """Whoever sends it has the secret."""
    kwargs["auth"] = _Proof()
