"""A CRM that speaks contract section 5. Built by `server.py` and by tests."""

from __future__ import annotations

from typing import Any

from worker.simulators.base import Simulator
from worker.simulators.checks import FLAG_OR_NULL, TEXT, TEXT_OR_NULL, TEXTS, Is, Shape, checked, whole_number
from worker.simulators.lists import Place, SimList, merged, place
from worker.simulators.wire import Answer, Ask, Json, Refusal, Route, found, iso

_MOST_PER_PAGE = 500
_USUAL_PER_PAGE = 100
_MISSING = "No lead list has this id"

_KIND = Is(("string",), choices=("person", "company"))
_SCALARS = {"name": TEXT, "owner": TEXT_OR_NULL, "enrichment": FLAG_OR_NULL}
_PATCH = Shape(properties={**_SCALARS, "members_added": TEXTS, "members_removed": TEXTS})
_POST = Shape(properties={**_SCALARS, "kind": _KIND, "members": TEXTS}, required=("name",))

_CODES = {
    400: "bad_request",
    401: "unauthorized",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    422: "invalid",
    429: "rate_limited",
    503: "unavailable",
}


class CrmSimulator(Simulator):
    """The reference CRM: canonical fields, opaque cursors, JSON merge patch."""

    kind = "crm"

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/lead-lists", self._list),
            Route("POST", "/lead-lists", self._post, writes=True),
            Route("GET", "/lead-lists/{id}", self._get, on_list=True),
            Route("PATCH", "/lead-lists/{id}", self._patch, writes=True, on_list=True),
        )

    def error_body(self, refusal: Refusal) -> Json:
        code = _CODES.get(refusal.status, "internal_error")
        return {"error": {"code": code, "message": refusal.message}}

    def shown(self, held: SimList) -> Json:
        return {
            "id": held.id,
            "kind": held.kind,
            "name": held.name,
            "owner": held.owner,
            "enrichment": held.enrichment,
            "members": list(held.members),
            "updated_at": iso(held.updated_at),
        }

    def _list(self, ask: Ask) -> Answer:
        limit = whole_number(ask.query, "limit", _USUAL_PER_PAGE, 1, _MOST_PER_PAGE)
        page: list[SimList] = []
        for list_id in self.lists.after(_place_of(ask.query.get("cursor"))):
            if len(page) == limit:
                return 200, {"items": [self.shown(held) for held in page], "next_cursor": _cursor(page[-1])}
            if held := self.seen(list_id, ask.now):
                page.append(held)
        return 200, {"items": [self.shown(held) for held in page], "next_cursor": None}

    def _get(self, ask: Ask) -> Answer:
        return 200, self.shown(found(self.seen(ask.id, ask.now), _MISSING))

    def _post(self, ask: Ask) -> Answer:
        values = self._read(ask, _POST)
        values["members"] = dict.fromkeys(values.get("members", ()))
        return 201, self.shown(self.create(ask.now, **values))

    def _patch(self, ask: Ask) -> Answer:
        held = found(self.lists.get(ask.id), _MISSING)
        changes = self._read(ask, _PATCH)
        added, removed = changes.pop("members_added", ()), changes.pop("members_removed", ())
        if added or removed:
            changes["members"] = merged(held.members, added, removed)
        return 200, self.shown(self.change(held, changes, ask.now))

    def _read(self, ask: Ask, shape: Shape) -> dict[str, Any]:
        """The body; what JSON cannot read is 400, what we cannot accept is 422."""
        body = ask.json()
        try:
            return checked(body, shape, strip=self.switches.strip_unknown, coerce=self.switches.coerce)
        except Refusal as refusal:
            raise Refusal(422, refusal.message, at=refusal.at) from None


def _cursor(last: SimList) -> str:
    return "{}-{}".format(*place(last))


def _place_of(cursor: str | None) -> Place | None:
    if not cursor:
        return None
    stamp, _, number = cursor.partition("-")
    if not (stamp.isdigit() and number.isdigit()):
        raise Refusal(400, "cursor is not one of ours", at="querystring/cursor")
    return int(stamp), int(number)
