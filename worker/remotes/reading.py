"""Reads answers so that nothing is ever mistaken for "empty". Used by the mappings of all connectors.

Tolerant of what is new (unknown properties), strict about what is documented: anything else is a `BadAnswer`
that names the place and what was expected there, and never a value (values are people's data).
"""

from __future__ import annotations

import re
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Any

import orjson

from models.lead_list import PENDING, Kind
from models.observation import Shown
from worker.errors import BadAnswer
from worker.remotes.base import Answer

#: Longest id, as in events.
MAX_ID = 512
#: Somebody's e-mail address in a remote's own words.
_ADDRESS = re.compile(r"[^\s<>()\"',;:]+@[^\s<>()\"',;:]+")
_LONGEST_SENTENCE = 200
_NAMES = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}


def document(answer: Answer) -> Any:
    """The JSON value of a 2xx answer."""
    try:
        value = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise BadAnswer(f"expected JSON, got {_look(answer.body)}") from None
    if isinstance(value, dict) and value.get("error"):
        raise BadAnswer(f"expected no error with status {answer.status}, got one: {reason(value) or '?'}")
    return value


def next_cursor(asked: str | None, items: Sized, told: Any) -> str | None:
    """The cursor of the page after this one; None at the end.

    A last page may carry a cursor, so an empty page is the end too; one that repeats would never end.
    """
    if not items or told is None or told == "":
        return None
    if not isinstance(told, str):
        raise BadAnswer(f"expected the next page's cursor to be text, got {_name(told)}")
    if told == asked:
        raise BadAnswer("expected the next page's cursor to differ from this page's, got the same one again")
    return told


def only(shown: Shown, remote_id: str) -> Shown:
    """`shown`, which must be the list that was asked for."""
    if shown.remote_id != remote_id:
        raise BadAnswer("expected the lead list that was asked for, got another id")
    return shown


class Item:
    """One JSON object of an answer, read property by property. An absent property reads as null."""

    __slots__ = ("_object", "_what")

    def __init__(self, value: Any, what: str = "a lead list") -> None:
        if not isinstance(value, dict):
            raise BadAnswer(f"expected {what} as an object, got {_name(value)}")
        self._object: dict[str, Any] = value
        self._what = what

    def has(self, name: str) -> bool:
        """Whether the property is there at all, null or not."""
        return name in self._object

    def get(self, name: str) -> Any:
        """Whatever is there."""
        return self._object.get(name)

    def id(self, name: str = "id") -> str:
        """An id: text that is neither empty nor endless."""
        text = self._id(self._object.get(name), name)
        if text.startswith(PENDING):
            raise self._bad(name, f"no id that begins with {PENDING}", text)
        return text

    def text(self, name: str) -> str:
        """Text, perhaps empty."""
        return self._text(self._object.get(name), name)

    def text_or_null(self, name: str) -> str | None:
        """Text, or nothing."""
        return None if self._object.get(name) is None else self.text(name)

    def flag_or_null(self, name: str) -> bool | None:
        """True, false, or nothing."""
        value = self._object.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._bad(name, "true, false or null", value)

    def count(self, name: str) -> int:
        """How many: a whole number, 0 or more."""
        value = self._object.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        raise self._bad(name, "a whole number, 0 or more", value)

    def ids_or_null(self, name: str) -> tuple[str, ...] | None:
        """Ids in their order, or nothing."""
        value = self._object.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._bad(name, "a list of ids", value)
        return tuple(self._id(element, name) for element in value)

    def ids_or_objects(self, name: str) -> tuple[tuple[str, Item | None], ...] | None:
        """Ids in their order, each with the object that held it where one did; or nothing."""
        value = self._object.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self._bad(name, "a list of ids", value)
        objects = (Item(one, f"a member in {name}") if isinstance(one, dict) else None for one in value)
        return tuple(
            (self._id(one, name) if held is None else held.id(), held) for one, held in zip(value, objects, strict=True)
        )

    def elements(self, name: str) -> list[Any]:
        """A list, perhaps empty, never absent."""
        value = self._object.get(name)
        if isinstance(value, list):
            return value
        raise self._bad(name, "a list", value)

    def kind(self, name: str) -> Kind | None:
        """Person or company. Vendors add words to their enums, so an unknown one is not an error."""
        word = self.text_or_null(name)
        return Kind(word) if word in tuple(Kind) else None

    def time(self, name: str) -> datetime:
        """A time with offset, in UTC."""
        text = self.text(name)
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
        raise self._bad(name, "a time such as 2026-01-31T12:00:00Z", text)

    def _id(self, value: Any, name: str) -> str:
        text = self._text(value, name)
        if not 0 < len(text) <= MAX_ID:
            raise self._bad(name, f"1 to {MAX_ID} characters", value)
        return text

    def _text(self, value: Any, name: str) -> str:
        # PostgreSQL cannot keep a NUL character.
        if isinstance(value, str) and "\0" not in value:
            return value
        raise self._bad(name, "text", value)

    def _bad(self, name: str, expected: str, value: Any) -> BadAnswer:
        got = "other text" if isinstance(value, str) else _name(value) if self.has(name) else "nothing"
        return BadAnswer(f"expected {self._what} with {name}: {expected}, got {got}")


def said(body: bytes) -> str:
    """What an error body says, as one short line that is safe to print; "" when it says nothing."""
    try:
        return reason(orjson.loads(body))
    except orjson.JSONDecodeError:
        begin = body[:2000].decode(errors="replace").strip()
        return "" if begin.startswith(("<", "{", "[")) else printable(begin)


def reason(value: Any) -> str:
    """The message in any of the usual shapes: text, `{"message": text}`, `{"error": any of these}`."""
    match value:
        case {"message": str() as text} if text.strip():
            return printable(text)
        case {"error": inner}:
            return reason(inner)
        case {"code": str() as text} | str(text):
            return printable(text)
        case _:
            return ""


def printable(text: str) -> str:
    """Text of a remote as one short line that is safe to print, and to keep: without e-mail addresses."""
    text = _ADDRESS.sub("(an address)", text[:2000])
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= _LONGEST_SENTENCE else line[: _LONGEST_SENTENCE - 1] + "…"


def _look(body: bytes) -> str:
    begin = body[:100].lstrip()
    if not begin:
        return "an empty answer"
    if begin.startswith(b"<"):
        return "a page of HTML; is base_url right, or is there a proxy between?"
    return "a broken or truncated document" if begin[:1] in b"{[" else "other text"


def _name(value: Any) -> str:
    return _NAMES.get(type(value), "a number")
