"""The event envelope: every attribute's rule, with the sentence a sender gets."""

from __future__ import annotations

from datetime import UTC, datetime
from types import EllipsisType
from typing import Any

import orjson
import pytest

from models.event import MAX_EVENT_BYTES, BadEvent, Event, EventType, parse_event
from models.lead_list import Kind

GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "crm",
    "type": "leadlist.changed",
    "subject": "L1",
    "time": "2026-03-01T12:00:00Z",
}
RFC3339 = "expected an RFC 3339 time with offset, such as 2026-01-31T12:00:00Z"
NO_SUCH = "expected no such attribute (docs/connecting.md has the names)"
NUL = "expected text without NUL characters, which PostgreSQL cannot keep"
DIGITS = "expected a string of 1 to 30 digits"


def event(**attributes: object) -> bytes:
    """A good event with these attributes instead; `...` leaves one out."""
    whole = {**GOOD, **attributes}
    return orjson.dumps({name: value for name, value in whole.items() if not isinstance(value, EllipsisType)})


def why_not(raw: bytes | str) -> str:
    """The sentence that a bad event is refused with."""
    with pytest.raises(BadEvent) as refused:
        parse_event(raw)
    return str(refused.value)


def data_of(**fields: object) -> Event:
    """An event that says these fields."""
    return parse_event(event(data={"fields": fields}))


RULES: list[tuple[str, object, str]] = [
    ("specversion", "0.3", 'specversion: expected "1.0"'),
    ("specversion", 1, "specversion: expected a string"),
    ("specversion", ..., "specversion: expected this attribute, it is missing"),
    ("id", "", "id: expected a string that is not empty"),
    ("id", "x" * 513, "id: expected at most 512 characters"),
    ("id", 5, "id: expected a string"),
    ("id", ..., "id: expected this attribute, it is missing"),
    ("source", None, "source: expected a string"),
    ("source", ..., "source: expected this attribute, it is missing"),
    ("type", "leadlist.created", "type: expected 'leadlist.changed' or 'leadlist.deleted'"),
    ("type", ..., "type: expected this attribute, it is missing"),
    ("subject", [], "subject: expected a string"),
    ("subject", "a\0b", f"subject: {NUL}"),
    ("subject", ..., "subject: expected this attribute, it is missing"),
    ("time", "yesterday", f"time: {RFC3339}"),
    ("time", "2026-03-01T12:00:00", f"time: {RFC3339}"),
    ("time", "1772366400", f"time: {RFC3339}"),
    ("time", 1772366400, f"time: {RFC3339}"),
    ("time", "2026-02-30T12:00:00Z", "time: expected a time that exists"),
    ("time", "0001-01-01T00:00:00+23:59", "time: expected a time that exists"),
    ("time", ..., "time: expected this attribute, it is missing"),
    ("sequence", 5, "sequence: expected a string"),
    ("sequence", "", f"sequence: {DIGITS}"),
    ("sequence", "1.5", f"sequence: {DIGITS}"),
    ("sequence", "-1", f"sequence: {DIGITS}"),
    ("sequence", "9" * 31, f"sequence: {DIGITS}"),
    ("data", [], "data: expected an object"),
    ("data", {"members": []}, f"data.members: {NO_SUCH}"),
    ("data", {"fields": None}, "data.fields: expected an object"),
    ("data", {"fields": {"nam": "x"}}, f"data.fields.nam: {NO_SUCH}"),
    ("data", {"fields": {"name": None}}, "data.fields.name: expected a string"),
    ("data", {"fields": {"name": "x" * 4097}}, "data.fields.name: expected at most 4096 characters"),
    ("data", {"fields": {"name": "a\0"}}, f"data.fields.name: {NUL}"),
    ("data", {"fields": {"owner": ""}}, "data.fields.owner: expected a string that is not empty, or null"),
    ("data", {"fields": {"owner": 5}}, "data.fields.owner: expected a string, or null"),
    ("data", {"fields": {"enrichment": "yes"}}, "data.fields.enrichment: expected true, false or null"),
    ("data", {"fields": {"enrichment": 1}}, "data.fields.enrichment: expected true, false or null"),
    ("data", {"fields": {"kind": "people"}}, "data.fields.kind: expected 'person' or 'company'"),
    ("data", {"fields": {"members": "p1"}}, "data.fields.members: expected an array"),
    ("data", {"fields": {"members": ["p1", 5]}}, "data.fields.members.1: expected a string"),
    ("data", {"fields": {"members": [""]}}, "data.fields.members.0: expected a string that is not empty"),
    ("data", {"members_added": "p1"}, "data.members_added: expected an array"),
    ("data", {"members_removed": [None]}, "data.members_removed.0: expected a string"),
    (
        "data",
        {"fields": {"members": []}, "members_added": ["p1"]},
        "data: expected either fields.members or members_added/members_removed, not both",
    ),
    (
        "data",
        {"members_added": ["p1"], "members_removed": ["p1"]},
        "data: expected no member both in members_added and in members_removed",
    ),
    ("data", {"links": ["lance"]}, "data.links: expected an object"),
    ("data", {"links": {"lance": 5}}, "data.links.lance: expected a string"),
    ("data", {"links": {"lance": ""}}, "data.links.lance: expected a string that is not empty"),
    ("datacontenttype", "text/plain", "datacontenttype: expected application/json, or nothing"),
    ("subjekt", "x", f"subjekt: {NO_SUCH}"),
]


@pytest.mark.parametrize(("attribute", "value", "sentence"), RULES, ids=range(len(RULES)))
def test_each_rule(attribute: str, value: object, sentence: str) -> None:
    """The sentence names the attribute and what was expected."""
    assert sentence == why_not(event(**{attribute: value}))


@pytest.mark.parametrize(
    ("sentence", "raw"),
    [
        ("event: expected JSON (EOF while parsing a value at line 1 column 0)", b""),
        ("event: expected JSON (EOF while parsing an object at line 1 column 1)", b"{"),
        ("event: expected JSON (expected value at line 1 column 1)", "hello"),
        ("event: expected JSON (expected value at line 1 column 1)", b"\xff\xfe"),
        ("event: expected JSON (recursion limit exceeded at line 1 column 202)", b"[" * 100_000),
        ("event: expected an object", b"[]"),
        ("event: expected an object", b"null"),
        (f"event: expected at most {MAX_EVENT_BYTES} bytes, got {MAX_EVENT_BYTES + 1}", b" " * (MAX_EVENT_BYTES + 1)),
    ],
    ids=range(8),
)
def test_not_an_event_at_all(sentence: str, raw: bytes | str) -> None:
    """Broken, endless or other JSON is refused with one sentence."""
    assert sentence == why_not(raw)


def test_an_event_of_the_greatest_size_is_read() -> None:
    """Eight mebibytes are allowed, to the byte."""
    empty = event(data={"fields": {"members": []}})
    parse_event(empty + b" " * (MAX_EVENT_BYTES - len(empty)))


def test_a_senders_own_names_are_made_printable() -> None:
    """Control characters and endless names do not reach a terminal or a table."""
    assert f"a?b?[31m: {NO_SUCH}" == why_not(event(**{"a\0b\x1b[31m": 1}))
    assert f"{'x' * 100}: {NO_SUCH}" == why_not(event(**{"x" * 100_000: 1}))


def test_values_never_appear_in_the_sentence() -> None:
    """What a sender put into an attribute may be personal: only its name is told."""
    assert "secret" not in why_not(event(data={"fields": {"name": ["secret"]}}))
    assert "secret" not in why_not(event(time="secret"))


def test_the_smallest_event() -> None:
    """Only the required attributes: "look again"."""
    parsed = parse_event(event())
    assert (EventType.CHANGED, "crm", "L1", None, None) == (
        parsed.type,
        parsed.source,
        parsed.subject,
        parsed.sequence,
        parsed.data,
    )


def test_the_largest_event() -> None:
    """Every attribute of the contract, and those that CloudEvents libraries add by themselves."""
    fields = {"name": "A", "owner": None, "enrichment": True, "kind": "person", "members": ["p1", "p2"]}
    extras = {"datacontenttype": "application/json", "dataschema": "s", "traceparent": "t", "tracestate": "u"}
    parsed = parse_event(event(sequence="0042", data={"fields": fields, "links": {"lance": "l1"}}, **extras))
    assert parsed.data is not None
    assert ("A", None, True, Kind.PERSON) == (
        parsed.data.fields.name,
        parsed.data.fields.owner,
        parsed.data.fields.enrichment,
        parsed.data.fields.kind,
    )
    assert (("p1", "p2"), {"lance": "l1"}, "0042") == (parsed.data.members, parsed.data.links, parsed.sequence)


def test_not_said_and_null_are_two_things() -> None:
    """A field that is not named was not said; null is a value."""
    said = data_of(owner=None).data
    assert said is not None
    assert {"owner"} == said.fields.model_fields_set


@pytest.mark.parametrize("text", ["2026-03-01T12:00:00Z", "2026-03-01t13:00:00.000+01:00", "2026-03-01T06:30:00-05:30"])
def test_times_come_out_in_utc(text: str) -> None:
    """Whatever the offset, the moment is the same and is kept in UTC."""
    time = parse_event(event(time=text)).time
    assert (datetime(2026, 3, 1, 12, tzinfo=UTC), UTC) == (time, time.tzinfo)


def test_an_empty_name_and_an_empty_set_are_values() -> None:
    """Emptiness is not absence."""
    said = data_of(name="", members=[]).data
    assert said is not None
    assert ("", ()) == (said.fields.name, said.members)
