"""`/_sim/...`: look inside a simulator, seed it, edit as a person would, switch it. Called by `server.py`.

No token, no limit, not counted, not in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from worker.simulators.base import Simulator
from worker.simulators.checks import (
    FLAG,
    FLAG_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TEXTS,
    Is,
    Shape,
    checked,
    whole_number,
)
from worker.simulators.faults import Fault
from worker.simulators.lists import SimList
from worker.simulators.traffic import Call
from worker.simulators.wire import Json, Refusal, SimRequest, SimResponse, found, from_iso, iso

PREFIX = "/_sim/"

_KIND = Is(("string",), choices=("person", "company"))
_FIELDS = {"name": TEXT, "owner": TEXT_OR_NULL, "enrichment": FLAG_OR_NULL}
_SEED = Shape(properties={"lists": Is(("array",), each=Is(("object",)))}, required=("lists",))
_SEEDED = Shape(
    properties={**_FIELDS, "id": TEXT, "kind": _KIND, "members": TEXTS, "users": TEXTS, "created_at": TEXT},
    required=("name",),
)
_EDIT = Shape(
    properties={
        **_FIELDS,
        "id": TEXT,
        "members": TEXTS,
        "members_added": TEXTS,
        "members_removed": TEXTS,
        "deleted": FLAG,
    },
    required=("id",),
)
_NEXT = Shape(
    properties={
        "fault": Is(("string",), choices=tuple(Fault)),
        "times": Is(("integer",), low=1, high=100_000),
        "methods": TEXTS,
    },
    required=("fault",),
)


@dataclass(frozen=True, slots=True)
class _Visit:
    """One request to the controls."""

    simulator: Simulator
    request: SimRequest
    now: float

    def body(self) -> Json:
        """The body; an absent one is empty."""
        try:
            return orjson.loads(self.request.body or b"{}")
        except orjson.JSONDecodeError:
            raise Refusal(400, "the body is not JSON") from None


def answer(simulator: Simulator, request: SimRequest, now: float) -> SimResponse:
    """The response to a request under `/_sim/`; errors are one sentence."""
    simulator.catch_up(now)
    try:
        work = found(_ROUTES.get((request.method, request.path.removeprefix(PREFIX))), _NO_SUCH)
        return SimResponse(status=200, body=orjson.dumps(work(_Visit(simulator, request, now))))
    except Refusal as refusal:
        return SimResponse(status=refusal.status, body=orjson.dumps({"error": refusal.message}))


def _state(visit: _Visit) -> Json:
    wanted = visit.request.query.get("id")
    lists = [found(visit.simulator.lists.get(wanted), "no list has this id")] if wanted else visit.simulator.lists
    return {"items": [_row(visit.simulator, held) for held in lists], "next": None}


def _row(simulator: Simulator, held: SimList) -> dict[str, Json]:
    return {
        "id": held.id,
        "kind": held.kind,
        "name": held.name,
        "owner": held.owner,
        "enrichment": held.enrichment,
        "members": simulator.member_names(held),
        "updated_at": iso(held.updated_at),
        "version": held.version,
    }


def _calls(visit: _Visit) -> Json:
    after = whole_number(visit.request.query, "after", 0, 0, 1 << 53)
    limit = whole_number(visit.request.query, "limit", 1000, 1, 100_000)
    calls = visit.simulator.traffic.calls(after, limit)
    return {"items": [_call(call) for call in calls], "next": calls[-1].n if len(calls) == limit else None}


def _call(call: Call) -> dict[str, Json]:
    try:
        body = orjson.loads(call.body) if call.body else None
    except orjson.JSONDecodeError:
        body = call.body.decode(errors="replace")
    return {
        "n": call.n,
        "method": call.method,
        "path": call.path,
        "body": body,
        "agent": call.agent,
        "status": call.status,
        "changed": call.changed,
        "arrived": call.arrived,
        "answered": call.answered,
    }


def _summary(visit: _Visit) -> Json:
    return {"lists": len(visit.simulator.lists), "now": visit.now, **visit.simulator.traffic.summary()}


def _switches(visit: _Visit) -> Json:
    return visit.simulator.switches


def _switch(visit: _Visit) -> Json:
    try:
        visit.simulator.switch(visit.simulator.switches.changed(visit.body()))
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return visit.simulator.switches


def _seed(visit: _Visit) -> Json:
    given = checked(visit.body(), _SEED)["lists"]
    rows = [checked(row, _SEEDED, at=f"body/lists/{n}") for n, row in enumerate(given)]
    ids = [row["id"] for row in rows if "id" in row]
    if len(set(ids)) < len(ids) or any(visit.simulator.lists.get(list_id) for list_id in ids):
        raise Refusal(400, "two lists would have the same id")
    # Each list is a millisecond older than the next, so that pages by a time stamp are well defined.
    moments = [_moment(row, visit.now + n / 1000) for n, row in enumerate(rows, 1 - len(rows))]
    return {"ids": [_seeded(visit.simulator, row, moment).id for row, moment in zip(rows, moments, strict=True)]}


def _moment(row: dict[str, Any], usual: float) -> float:
    """When a seeded list was created."""
    try:
        return from_iso(row["created_at"]) if "created_at" in row else usual
    except ValueError:
        raise Refusal(400, "created_at must be an ISO 8601 time") from None


def _seeded(simulator: Simulator, row: dict[str, Any], moment: float) -> SimList:
    """One list out of a seed; fields that this product does not have are left out."""
    scalars = _spelled(simulator, {word: row[word] for word in _FIELDS.keys() & row.keys() & simulator.fields})
    return simulator.seed(
        moment,
        row.get("members", ()),
        id=row.get("id"),
        kind=row.get("kind", "person"),
        users=tuple(row.get("users", ())),
        **scalars,
    )


def _spelled(simulator: Simulator, fields: dict[str, Any]) -> dict[str, Any]:
    """*fields* with the owner as this product spells users."""
    owner = fields.get("owner")
    return fields if owner is None else {**fields, "owner": simulator.owner_id(owner)}


def _edit(visit: _Visit) -> Json:
    simulator, edit = visit.simulator, checked(visit.body(), _EDIT)
    held = found(simulator.lists.get(edit.pop("id")), "no list has this id")
    if edit.pop("deleted", False):
        simulator.delete(held, visit.now)
        return {"id": held.id, "deleted": True}
    added, removed = edit.pop("members_added", []), edit.pop("members_removed", [])
    if "members" in edit:
        added = edit.pop("members")
        removed = set(simulator.member_names(held)) - set(added)
    if foreign := edit.keys() - simulator.fields:
        raise Refusal(400, f"{simulator.kind} has no {min(foreign)}")
    if added or removed:
        edit["members"] = simulator.edited_members(held, added, removed, visit.now)
    return _row(simulator, simulator.change(held, _spelled(simulator, edit), visit.now, by_person=True))


def _next(visit: _Visit) -> Json:
    body = checked(visit.body(), _NEXT)
    methods = frozenset(method.upper() for method in body.get("methods", ()))
    visit.simulator.plan_faults([Fault(body["fault"])] * body.get("times", 1), methods)
    return {"planned": body.get("times", 1)}


def _reset(visit: _Visit) -> Json:
    only = visit.body().get("only")
    if only not in (None, "calls"):
        raise Refusal(400, 'body/only may be "calls"')
    if only == "calls":
        visit.simulator.traffic.forget()
    else:
        visit.simulator.reset()
    return {"lists": len(visit.simulator.lists)}


_ROUTES: Mapping[tuple[str, str], Callable[[_Visit], Json]] = {
    ("GET", "state"): _state,
    ("GET", "calls"): _calls,
    ("GET", "summary"): _summary,
    ("GET", "switches"): _switches,
    ("PATCH", "switches"): _switch,
    ("POST", "seed"): _seed,
    ("POST", "edit"): _edit,
    ("POST", "next"): _next,
    ("POST", "reset"): _reset,
}
_NO_SUCH = "no such control; there are " + ", ".join(f"{method} {PREFIX}{path}" for method, path in _ROUTES)
