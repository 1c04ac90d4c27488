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
    Discriminator,
    Strict,
    StringConstraints,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from models.lead_list import Kind
from models.person import Person

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
    if delta.fields.members is not None and (delta.members_added or delta.members_removed):
        raise PydanticCustomError("one_form", "either fields.members or members_added/members_removed, not both")
    both = set(delta.added) & set(delta.removed)
    if both:
        raise PydanticCustomError("both_sides", "no member both in members_added and in members_removed")
    return delta


def _in_utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("no_time", "a time that exists") from None


Id = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Name = Annotated[str, StringConstraints(max_length=4096)]
Time = Annotated[AwareDatetime, Strict(strict=False), BeforeValidator(_rfc3339), AfterValidator(_in_utc)]
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,30}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class EventMember(_Strict):
    """A member, and who that is: what a source knows beside the id."""

    #: The source's own.
    id: Id
    email: Name | None = None
    first_name: Name | None = None
    last_name: Name | None = None
    company_name: Name | None = None
    #: By which other remotes know it.
    ids: dict[Id, Id] = {}

    def person(self) -> Person:
        """As connectors tell it too."""
        return Person(
            id=self.id,
            email=self.email,
            first_name=self.first_name,
            last_name=self.last_name,
            company_name=self.company_name,
            ids=self.ids,
        )


def _form(member: Any) -> str:
    return "object" if isinstance(member, dict | EventMember) else "id"


#: An id, or an object that holds one.
AnyMember = Annotated[Annotated[Id, Tag("id")] | Annotated[EventMember, Tag("object")], Discriminator(_form)]


def _ids(members: tuple[str | EventMember, ...]) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else one.id for one in members)


class EventFields(_Strict):
    """Canonical fields, full or partial: a field that is not named was not said."""

    name: Name = ""
    owner: Id | None = None
    enrichment: bool | None = None
    kind: Kind | None = None
    members: tuple[AnyMember, ...] | None = None


class EventData(_Strict):
    """What changed. Absent data means "look again"."""

    fields: EventFields = EventFields()
    members_added: tuple[AnyMember, ...] = ()
    members_removed: tuple[AnyMember, ...] = ()
    links: dict[Id, Id] = {}

    @property
    def members(self) -> tuple[str, ...] | None:
        """Ids of the whole set, when it was said."""
        return None if self.fields.members is None else _ids(self.fields.members)

    @property
    def added(self) -> tuple[str, ...]:
        """Ids of those who were added."""
        return _ids(self.members_added)

    @property
    def removed(self) -> tuple[str, ...]:
        """Ids of those who were removed."""
        return _ids(self.members_removed)

    @property
    def people(self) -> list[Person]:
        """Members of whom more than the id was said."""
        said = (*(self.fields.members or ()), *self.members_added, *self.members_removed)
        return [one.person() for one in said if not isinstance(one, str)]


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
    body = raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass")
    if len(body) > MAX_EVENT_BYTES:
        raise BadEvent(f"event: expected at most {MAX_EVENT_BYTES} bytes, got {len(body)}")
    try:
        event = Event.model_validate_json(raw)
    except ValidationError as error:
        raise BadEvent(_sentence(error.errors(include_url=False, include_context=True)[0])) from None
    # JSON holds a NUL only in this spelling: others need not be searched, and most events are others.
    if _NUL in body:
        _check_nul(event.model_dump(exclude_unset=True), ())
    if event.specversion != "1.0":
        raise BadEvent('specversion: expected "1.0"')
    if event.datacontenttype not in (None, "application/json"):
        raise BadEvent("datacontenttype: expected application/json, or nothing")
    return event


_NUL = b"\\u0000"


def _check_nul(value: Any, path: tuple[str, ...]) -> None:
    """Raise `BadEvent` for text that PostgreSQL cannot keep."""
    match value:
        case str() if "\0" in value:
            raise BadEvent(f"{_where(path)}: expected text without NUL characters, which PostgreSQL cannot keep")
        case dict():
            for name, inner in value.items():
                _check_nul(name, path)
                _check_nul(inner, (*path, str(name)))
        case list() | tuple():
            for number, inner in enumerate(value):
                _check_nul(inner, (*path, str(number)))


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
    inner = {"[key]", "id", "object"} if "object" in loc or (loc[-1:] == ("id",) and len(loc) > 2) else {"[key]"}
    path = ".".join(str(part) for part in loc if part not in inner and not str(part).startswith("function-"))
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
