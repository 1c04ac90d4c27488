"""The event envelope: CloudEvents 1.0 in JSON, as the contract fixes it. Parsed by intake and `events publish`."""

from __future__ import annotations

import enum
import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from models.lead_list import Kind

#: Bytes of one event in the stream.
MAX_EVENT_BYTES = 8 * 1024 * 1024

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z")


class BadEvent(ValueError):
    """The event cannot be read. The text names the attribute and what was expected."""


class EventType(enum.StrEnum):
    """What a sender can tell us."""

    CHANGED = "leadlist.changed"  #: the list changed; `data` may say how
    DELETED = "leadlist.deleted"  #: the list is said to be gone; we look before believing it


def _rfc3339(value: Any) -> Any:
    # pydantic would also take "1700000000" and times without an offset.
    if not isinstance(value, str) or not _RFC3339.match(value):
        raise PydanticCustomError("rfc3339", "an RFC 3339 time with offset, such as 2026-01-31T12:00:00Z")
    return value


def _distinct_sides(delta: EventData) -> EventData:
    if delta.members is not None and (delta.members_added or delta.members_removed):
        raise PydanticCustomError("one_form", "either fields.members or members_added/members_removed, not both")
    both = set(delta.members_added) & set(delta.members_removed)
    if both:
        raise PydanticCustomError("both_sides", "no member both in members_added and in members_removed")
    return delta


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("nul", "text without NUL characters, which PostgreSQL cannot keep")
    return text


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("no_time", "a time that exists") from None


Id = Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(_without_nul)]
Name = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_without_nul)]
Time = Annotated[AwareDatetime, Strict(strict=False), BeforeValidator(_rfc3339), AfterValidator(_in_utc)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,30}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class EventFields(_Strict):
    """Canonical fields, full or partial: a field that is not named was not said."""

    name: Name = ""
    owner: Id | None = None
    enrichment: bool | None = None
    kind: Kind | None = None
    members: tuple[Id, ...] | None = None


class EventData(_Strict):
    """What changed. Absent data means "look again"."""

    fields: EventFields = EventFields()
    members_added: tuple[Id, ...] = ()
    members_removed: tuple[Id, ...] = ()
    links: dict[Id, Id] = {}

    @property
    def members(self) -> tuple[str, ...] | None:
        """The whole set, when it was said."""
        return self.fields.members


class Event(_Strict):
    """One "lead list changed" event."""

    specversion: str
    id: Id
    #: Name of the remote that speaks.
    source: Id
    type: EventType
    #: The list's id on that remote.
    subject: Id
    time: Time
    sequence: Digits | None = None
    data: Annotated[EventData, AfterValidator(_distinct_sides)] | None = None
    # Standard CloudEvents attributes that libraries add by themselves.
    datacontenttype: str | None = None
    dataschema: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


def parse_event(raw: bytes | str) -> Event:
    """Read one event. Raises `BadEvent` with a sentence that names the attribute and what was expected."""
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > MAX_EVENT_BYTES:
        raise BadEvent(f"event: expected at most {MAX_EVENT_BYTES} bytes, got {size}")
    try:
        event = Event.model_validate_json(raw)
    except ValidationError as error:
        raise BadEvent(_sentence(error.errors(include_url=False, include_context=True)[0])) from None
    if event.specversion != "1.0":
        raise BadEvent('specversion: expected "1.0"')
    if event.datacontenttype not in (None, "application/json"):
        raise BadEvent("datacontenttype: expected application/json, or nothing")
    return event


_EXPECTED = {
    "string_type": "a string",
    "string_too_short": "a string that is not empty",
    "bool_type": "true, false or null",
    "tuple_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "string_pattern_mismatch": "a string of 1 to 30 digits",
    "string_unicode": "valid Unicode text",
    "datetime_parsing": "a time that exists",
    "datetime_from_date_parsing": "a time that exists",
}


def _where(loc: tuple[int | str, ...]) -> str:
    """The attribute's path. Names are the sender's own, so they are made short and printable."""
    path = ".".join(str(part) for part in loc if part != "[key]" and not str(part).startswith("function-"))
    return "".join(c if c.isprintable() else "?" for c in path[:100]) or "event"


def _sentence(error: ErrorDetails) -> str:
    where = _where(error["loc"])
    match error["type"]:
        case "missing":
            return f"{where}: expected this attribute, it is missing"
        case "extra_forbidden":
            return f"{where}: expected no such attribute (docs/connecting.md has the names)"
        case "json_invalid":
            return f"event: expected JSON ({error['msg'].removeprefix('Invalid JSON: ')})"
        case "enum":
            return f"{where}: expected {error['ctx']['expected']}"
        case "string_too_long":
            return f"{where}: expected at most {error['ctx']['max_length']} characters"
        case kind if kind in _EXPECTED:
            nothing = ", or null" if where == "data.fields.owner" else ""
            return f"{where}: expected {_EXPECTED[kind]}{nothing}"
        case _:
            return f"{where}: expected {error['msg']}"
