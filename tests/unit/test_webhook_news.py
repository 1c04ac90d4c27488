"""What bodies of webhooks say: CloudEvents, lists as a remote shows them, Instantly's nudges, and nonsense."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.event import BadEvent, parse_event
from tests.support.webhooks import event, remote
from worker.remotes.registry import Registry
from worker.settings import Settings
from worker.web.news import News, read

OWNERS = {"crm-user-1": "crm2-user-9"}
CONNECTORS = Registry(
    Settings.model_validate(
        {
            "remotes": {
                "crm": remote("crm"),
                "crm2": remote("crm", owners=OWNERS),
                "lance": remote("lance"),
                "instantly": remote("instantly"),
            }
        }
    )
).connectors

CRM_LIST = {"id": "list-1", "name": "Berlin", "owner": "u", "kind": "company", "members": ["b", "a"]}
LANCE_LIST = {"id": "l-1", "name": "Paris", "type": "person", "personIds": ["p"], "companyIds": [], "icpId": None}
CHANGED_AT = "2026-01-31T12:00:00.500Z"
NUDGE = {"timestamp": CHANGED_AT, "event_type": "lead_moved", "workspace": "w", "lead_email": "a@example.com"}


def understood(body: Any, name: str = "crm", webhook_id: str | None = None) -> News:
    """Read as a webhook of the remote of this name."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return asyncio.run(read(raw, CONNECTORS[name], webhook_id))


def why_not(body: Any, name: str = "crm") -> str:
    """The sentence that this body is refused with."""
    with pytest.raises(BadEvent) as refused:
        understood(body, name)
    return str(refused.value)


def test_a_cloud_event_goes_on_as_it_came() -> None:
    """
    Byte for byte, so that intake reads what was signed; without a webhook's id its own tells repeats.
    """
    body = b"  " + orjson.dumps(event())

    assert News(body, "event-1") == understood(body)
    assert News(body, "msg-1") == understood(body, webhook_id="msg-1")


def test_a_remote_speaks_for_itself_only() -> None:
    """
    The secret of one remote does not prove news of another.
    """
    assert "source: expected lance, the remote in the address" == why_not(event(), "lance")


def test_a_crm_list_becomes_an_event() -> None:
    """
    Its own version is the time, and all that it shows is told.
    """
    news = understood({**CRM_LIST, "updated_at": CHANGED_AT, "new": 1}, webhook_id="msg-1")

    assert news.event is not None
    assert {
        "specversion": "1.0",
        "id": "msg-1",
        "source": "crm",
        "type": "leadlist.changed",
        "subject": "list-1",
        "time": "2026-01-31T12:00:00.500000+00:00",
        "data": {"fields": {"name": "Berlin", "owner": "u", "kind": "company", "members": ["a", "b"]}},
    } == orjson.loads(news.event)


def test_a_lance_list_becomes_an_event() -> None:
    """
    In canonical words; without a webhook's id its contents tell repeats.
    """
    body = orjson.dumps({**LANCE_LIST, "updatedAt": CHANGED_AT})
    news = understood(body, "lance")

    assert news.event is not None
    told = parse_event(news.event)
    assert ("l-1", {"name": "Paris", "kind": "person", "members": ("p",)}) == (
        told.subject,
        told.data.fields.model_dump(exclude_unset=True) if told.data else None,
    )
    assert hashlib.sha256(body).hexdigest() == news.id == told.id


def test_owners_are_the_crms() -> None:
    """
    A second CRM's users are mapped, as in every answer of its API.
    """
    news = understood({**CRM_LIST, "owner": "crm2-user-9", "updated_at": CHANGED_AT}, "crm2")

    assert news.event is not None
    assert "crm-user-1" == orjson.loads(news.event)["data"]["fields"]["owner"]


def test_instantlys_own_webhook_is_a_nudge() -> None:
    """
    It names no list; for any other remote it is nothing.
    """
    assert News(None, None) == understood(NUDGE, "instantly")
    for other in ("crm", "lance"):
        assert "event: expected a CloudEvent, or a lead list as its API shows it" == why_not(NUDGE, other)
    assert "event: expected a CloudEvent, or its own webhook JSON, with an event_type" == why_not(CRM_LIST, "instantly")


def test_instantly_can_send_cloud_events_too() -> None:
    """
    Through a program of the user's own.
    """
    body = orjson.dumps(event(source="instantly"))

    assert News(body, "event-1") == understood(body, "instantly")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "event: expected JSON in UTF-8"),
        (b"\xff", "event: expected JSON in UTF-8"),
        (b'{"a": NaN}', "event: expected JSON in UTF-8"),
        (b"[" * 200_000, "event: expected JSON in UTF-8"),
        (b"[]", "event: expected a CloudEvent, or a lead list as its API shows it"),
        (b'{"id": 5}', "event: expected a CloudEvent, or a lead list as its API shows it"),
        (event(type="x"), "type: expected 'leadlist.changed' or 'leadlist.deleted'"),
        (event(specversion="0.3"), 'specversion: expected "1.0"'),
        (CRM_LIST, "event: expected a lead list with updated_at: text, got nothing"),
        ({"id": "..", "name": "x"}, "event: '..' cannot be an id of a lead list; unlink it and link the right one"),
        (
            {**CRM_LIST, "updated_at": CHANGED_AT, "name": "x" * 5000},
            "data.fields.name: expected at most 4096 characters",
        ),
    ],
)
def test_bad_bodies_are_refused_with_a_reason(body: Any, sentence: str) -> None:
    """
    Which names the attribute and what was expected.
    """
    assert sentence == why_not(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
WORDS = [*event(), *CRM_LIST, *LANCE_LIST, *NUDGE, "updated_at", "updatedAt", "error", "fields"]
NEARLY = st.dictionaries(st.sampled_from(WORDS), JSON | st.sampled_from([CHANGED_AT, "1.0", "crm", {}]), max_size=8)


@given(st.sampled_from(list(CONNECTORS)), JSON | NEARLY | st.binary())
def test_every_body_is_understood_or_refused(name: str, body: Any) -> None:
    """
    Nothing else can happen, and what is understood is an event that intake can read.
    """
    raw = body if isinstance(body, bytes) else _dumped(body)
    try:
        news = asyncio.run(read(raw, CONNECTORS[name], None))
    except BadEvent:
        return
    assert news.event is None or parse_event(news.event).source == name


def _dumped(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # lone surrogates, large numbers
        return b"?"
