"""A remote in memory: the twin of an HTTP remote for tests and simulations. Honours the connectors' contract.

It speaks the CRM's protocol through the `send` it is given, so that every fault of a wire can befall it too
(lost, late, applied without an answer). Reads no clock: each change makes a list one millisecond younger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import orjson

from models.lead_list import Field
from models.observation import Shown
from models.values import replace
from worker.limits.base import Grant, Lane, Report
from worker.remotes.base import Answer, Request
from worker.remotes.crm.connector import LISTS, CrmConnector

_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)


class MemoryWire:
    """Answers requests from a dict, at once and always well."""

    def __init__(self, lists: Iterable[Shown], page: int = 100) -> None:
        """`page` is how many lists one page holds."""
        self._now = _BEGINNING
        self._page = page
        self._made = 0
        self.lists: dict[str, Shown] = {}
        #: Every request, in order.
        self.requests: list[Request] = []
        for shown in lists:
            self.put(shown)

    def put(self, shown: Shown) -> Shown:
        """Store a list as it is now: a person's edit, or ours."""
        self._now += _TICK
        self.lists[shown.remote_id] = replace(shown, version=self._now)
        return self.lists[shown.remote_id]

    async def exchange(self, request: Request) -> Answer:
        """GET a page, POST a list, GET or PATCH one."""
        self.requests.append(request)
        if request.path == LISTS and request.method == "POST":
            fields = {field: request.body[field] for field in Field if field in request.body}
            self._made += 1
            made = Shown(remote_id=f"new-{self._made}", kind=request.body.get("kind"), fields=fields)
            return _answer(200, _object(self.put(replace(made, members=frozenset()))))
        if request.path == LISTS:
            return _answer(200, self._page_of(request.query))
        shown = self.lists.get(unquote(request.path.removeprefix(f"{LISTS}/")))
        if shown is None:
            return _answer(404, {"error": {"code": "not_found", "message": "No lead list has this id"}})
        if request.method == "PATCH":
            after = _patched(shown, request.body)
            shown = shown if after == shown else self.put(after)
        return _answer(200, _object(shown))

    def _page_of(self, query: Mapping[str, str | int]) -> dict[str, Any]:
        begin = int(query.get("cursor", 0))
        end = begin + self._page
        items = [_object(shown) for shown in list(self.lists.values())[begin:end]]
        return {"items": items, "next_cursor": str(end) if end < len(self.lists) else None}


class NoLimit:
    """Tickets without a limit: the twin of a `Throttle`. Keeps what it was told."""

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self.reports: list[Report] = []
        self._taken = 0

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """All that is wanted, at once."""
        begin, self._taken = self._taken, self._taken + want
        return Grant(tickets=tuple(f"{lane}-{number}" for number in range(begin, self._taken)))

    def give_back(self, report: Report) -> None:
        """Noted."""
        self.reports.append(report)

    async def flush(self) -> None:
        """Nothing waits here."""


class MemoryConnector(CrmConnector):
    """A connector with its remote: give its `wire` to a `Line`, or to whatever may make it fail."""

    def __init__(self, name: str, lists: Iterable[Shown] = (), *, page: int = 100) -> None:
        """`lists` are there from the beginning."""
        super().__init__(name)
        self.wire = MemoryWire(lists, page)


def _object(shown: Shown) -> dict[str, Any]:
    scalars = {field.value: value for field, value in shown.fields.items()}
    members = {} if shown.members is None else {"members": sorted(shown.members)}
    return {"id": shown.remote_id, "kind": shown.kind, "updated_at": shown.version, **scalars, **members}


def _patched(shown: Shown, body: Mapping[str, Any]) -> Shown:
    fields = {**shown.fields, **{field: body[field] for field in Field if field in body}}
    gone, new = frozenset(body.get("members_removed", ())), frozenset(body.get("members_added", ()))
    return replace(shown, fields=fields, members=((shown.members or frozenset()) - gone) | new)


def _answer(status: int, body: Any) -> Answer:
    return Answer(status=status, body=orjson.dumps(body))
