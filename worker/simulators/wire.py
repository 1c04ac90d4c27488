"""What goes over the wire of a simulator, without sockets. Used by simulators and their drivers."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeVar

import orjson

from worker.simulators.traffic import Call

#: Any JSON value: the one place where types end.
Json = Any
Thing = TypeVar("Thing")

JSON_HEADERS: Mapping[str, str] = {"content-type": "application/json"}
HTML_HEADERS: Mapping[str, str] = {"content-type": "text/html; charset=utf-8"}

is_uuid: Callable[[str], object] = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch


@dataclass(slots=True, kw_only=True)
class SimRequest:
    """One HTTP request. Names of headers are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Delivery(enum.StrEnum):
    """What becomes of a response on its way to the client."""

    ANSWER = "answer"  #: it arrives
    HANG = "hang"  #: it never arrives; the client waits until it gives up
    CUT = "cut"  #: the connection breaks in the middle of the body


@dataclass(slots=True, kw_only=True)
class SimResponse:
    """One HTTP response, and how it travels."""

    #: 0 when nothing was done and nothing is said.
    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_HEADERS)
    body: bytes = b""
    delay_s: float = 0.0
    delivery: Delivery = Delivery.ANSWER
    #: Hand it back by `Simulator.done` when the response has left or the client has gone.
    call: Call | None = None


class Refusal(Exception):
    """The remote says no. Each simulator puts it into its own error body."""

    def __init__(self, status: int, message: str, *, at: str = "", wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        #: With 429: seconds until a place is free.
        self.wait_s = wait_s
        #: The place in the body that is wrong, as `body/companyIds/0`.
        self.at = at


def found(thing: Thing | None, message: str = "Resource not found") -> Thing:
    """*thing* itself; 404 with *message* when there is none."""
    if thing is None:
        raise Refusal(404, message)
    return thing


@dataclass(slots=True)
class Ask:
    """What a handler is given: the request, taken apart."""

    #: The `{id}` of the path, "" where it has none.
    id: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    user: str
    now: float
    call: Call

    def json(self) -> Json:
        """The body as JSON; None when there is none."""
        if not self.body:
            return None
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Refusal(400, "Body is not valid JSON", at="body") from None


#: Status and JSON body; None as body means "no content".
Answer = tuple[int, Json]
Handler = Callable[[Ask], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """One line of an API: `PATCH /api/v2/lead-lists/{id}` and who answers it."""

    method: str
    path: str
    handler: Handler
    #: May change something: counted, and watched for overlaps.
    writes: bool = False
    #: `{id}` is a lead list's id.
    on_list: bool = False


class Router:
    """Finds the route of a path. Routes declared first win, so literals come before `{id}`."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._literal: dict[tuple[str, str], Route] = {}
        self._by_shape: dict[tuple[str, int], list[tuple[str, str, Route]]] = {}
        for route in routes:
            head, brace, tail = route.path.partition("{id}")
            if brace:
                shape = (route.method, route.path.count("/"))
                self._by_shape.setdefault(shape, []).append((head, tail, route))
            else:
                self._literal[route.method, route.path] = route

    def find(self, method: str, path: str) -> tuple[Route | None, str]:
        """The route and its `{id}`; no route when nothing answers there."""
        if route := self._literal.get((method, path)):
            return route, ""
        for head, tail, route in self._by_shape.get((method, path.count("/")), ()):
            if path.startswith(head) and path.endswith(tail):
                return route, path[len(head) : len(path) - len(tail)]
        return None, ""


def iso(moment: float) -> str:
    """Seconds since 1970 as both vendors write a time: UTC, milliseconds, `Z`."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def from_iso(text: str) -> float:
    """The reverse of `iso`; ValueError when *text* is not a time."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def new_id(now: float, chance: Random) -> str:
    """A UUID in order of time (version 7), from the caller's own chance."""
    bits = (int(now * 1000) & 0xFFFF_FFFF_FFFF) << 80 | chance.getrandbits(80)
    bits = bits & ~(0xF000 << 64 | 0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
