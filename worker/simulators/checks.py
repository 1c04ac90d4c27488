"""Checks of bodies and queries, with messages like those of Fastify and Ajv. Used by all simulators."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.simulators.wire import Json, Refusal, is_uuid

is_email: Callable[[str], object] = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+").fullmatch
#: What Ajv takes for the format "email": stricter, and ASCII only.
_ATOM, _LABEL = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+", r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_is_ajv_email = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}", re.IGNORECASE | re.ASCII).fullmatch

_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


@dataclass(frozen=True, slots=True)
class Is:
    """What one property may be."""

    #: Type names as JSON Schema has them.
    types: tuple[str, ...]
    uuid: bool = False
    email: bool = False
    choices: tuple[Json, ...] = ()
    low: float | None = None
    high: float | None = None
    #: What each element of an array, or each value of an object, is.
    each: Is | None = None


TEXT = Is(("string",))
TEXT_OR_NULL = Is(("string", "null"))
UUID = Is(("string",), uuid=True)
UUID_OR_NULL = Is(("string", "null"), uuid=True)
FLAG = Is(("boolean",))
FLAG_OR_NULL = Is(("boolean", "null"))
TEXTS = Is(("array",), each=TEXT)
UUIDS = Is(("array",), each=UUID)
EMAILS = Is(("array",), each=Is(("string",), email=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What an object may be."""

    properties: Mapping[str, Is]
    required: tuple[str, ...] = ()
    fewest: int = 0
    #: False: unknown properties pass unseen.
    closed: bool = True


def checked(
    value: Json, shape: Shape, *, at: str = "body", strip: bool = False, coerce: bool = False
) -> dict[str, Any]:
    """The known properties of *value*, each as it should be; `Refusal` (400) names the first that is not."""
    if not isinstance(value, dict):
        raise _refusal(at, "must be object")
    # Counted before stripping, as Ajv does: a body of one unknown property passes and changes nothing.
    if len(value) < shape.fewest:
        raise _refusal(at, f"must NOT have fewer than {shape.fewest} properties")
    for name in shape.required:
        if name not in value:
            raise _refusal(at, f"must have required property '{name}'")
    known: dict[str, Any] = {}
    for name, given in value.items():
        rule = shape.properties.get(name)
        if rule is not None:
            known[name] = _one(given, rule, f"{at}/{name}", coerce=coerce)
        elif shape.closed and not strip:
            raise _refusal(f"{at}/{name}", "must NOT have additional properties", named=at)
    return known


def _one(value: Json, rule: Is, at: str, *, coerce: bool) -> Json:
    if not _fits(value, rule.types):
        value = _coerced(value, rule.types) if coerce else value
        if not _fits(value, rule.types):
            raise _refusal(at, "must be " + ",".join(rule.types))
    if rule.choices and value not in rule.choices:
        raise _refusal(at, "must be equal to one of the allowed values")
    if isinstance(value, str):
        if rule.uuid and not is_uuid(value):
            raise _refusal(at, 'must match format "uuid"')
        if rule.email and not _is_ajv_email(value):
            raise _refusal(at, 'must match format "email"')
    elif isinstance(value, (list, dict)):
        _size(len(value), rule, at)
        if rule.each:
            _all(value, rule.each, at, coerce=coerce)
    elif value is not None and not isinstance(value, bool):
        _size(value, rule, at)
    return value


def _fits(value: Json, types: tuple[str, ...]) -> bool:
    if value is None:
        return "null" in types
    name = _NAMES[type(value)]
    return name in types or (name == "integer" and "number" in types)


def _size(size: float, rule: Is, at: str) -> None:
    if rule.low is not None and size < rule.low:
        raise _refusal(at, f"must be >= {rule.low:g}")
    if rule.high is not None and size > rule.high:
        raise _refusal(at, f"must be <= {rule.high:g}")


def _all(values: Json, rule: Is, at: str, *, coerce: bool) -> None:
    for place in values if isinstance(values, dict) else range(len(values)):
        values[place] = _one(values[place], rule, f"{at}/{place}", coerce=coerce)


def _coerced(value: Json, types: tuple[str, ...]) -> Json:
    """*value* as Ajv would bend it towards the first of *types* that takes it; unchanged when none does."""
    for name in types:
        match name, value:
            case "boolean", "true" | 1:
                return True
            case "boolean", "false" | 0 | None:
                return False
            case "integer" | "number", str() if re.fullmatch(r"-?\d+", value):
                return int(value)
            case "string", None:
                return ""
            case "string", bool():
                return str(value).lower()
            case "string", int() | float():
                return str(value)
            case "null", "" | 0 | False:
                return None
    return value


def whole_number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number out of the query; text is what queries hold, so it is always coerced."""
    if name not in query:
        return default
    return int(_one(query[name], Is(("integer",), low=low, high=high), f"querystring/{name}", coerce=True))


def _refusal(at: str, problem: str, *, named: str | None = None) -> Refusal:
    return Refusal(400, f"{named or at} {problem}", at=at)
