"""Lance's lead lists. Built by `server.py` and by tests."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from typing import Any

import orjson

from worker.simulators.base import Simulator
from worker.simulators.checks import TEXT, TEXT_OR_NULL, TEXTS, UUID, UUID_OR_NULL, UUIDS, Is, Shape, checked
from worker.simulators.lists import SimList, merged
from worker.simulators.switches import Switches
from worker.simulators.wire import Answer, Ask, Json, Refusal, Route, found, from_iso, iso, new_id

_TYPE = Is(("string",), choices=("person", "company"))
_POST = Shape(
    properties={
        "name": TEXT,
        "type": _TYPE,
        "icpId": UUID_OR_NULL,
        "startDate": TEXT,
        "endDate": TEXT,
        "personIds": TEXTS,
        "companyIds": UUIDS,
    },
    required=("name", "icpId", "startDate", "endDate", "personIds"),
)
_PATCH = Shape(properties={"name": TEXT, "personIds": TEXTS, "companyIds": UUIDS})
_ADD_COMPANIES = Shape(properties={"companyIds": Is(("array",), low=1, each=UUID)}, required=("companyIds",))
_ADD_PROSPECTS = Shape(properties={"prospects": Is(("array",), each=Is(("object",)))}, required=("prospects",))
_PROSPECT = Shape(
    properties={
        "id": UUID,
        "firstName": TEXT,
        "lastName": TEXT,
        "jobTitle": TEXT_OR_NULL,
        "city": TEXT_OR_NULL,
        "country": TEXT_OR_NULL,
        "linkedinUrl": TEXT_OR_NULL,
        "emails": TEXTS,
        "phones": TEXTS,
        "companyId": UUID_OR_NULL,
        "seniority": TEXT_OR_NULL,
        "departments": TEXTS,
        "functions": TEXTS,
    },
    required=("firstName", "lastName"),
    closed=False,  # "and more": the tail of the vendor's table could not be read
)
_BULK = Shape(
    properties={
        "mode": Is(("string",), choices=("manual", "bulk")),
        "startIndex": Is(("integer",), low=0),
        "targetCount": Is(("integer",), low=1, high=1000),
        "excludedIds": TEXTS,
        "includedIds": TEXTS,
    },
    required=("mode",),
    closed=False,  # filters
)

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}
_LISTS = "/api/v1/entities/leadlists"
_ARRAYS = {"person": "personIds", "company": "companyIds"}
_MOST_ROWS_KEPT = 50_000
_FIRST_NAMES = ("Ada", "Blaise", "Carl", "Dorothy", "Emmy", "Felix", "Grace", "Henri")


class LanceSimulator(Simulator):
    """One tenant of Lance: whole arrays on PATCH, hydrated members, access by `userIds`."""

    kind = "lance"
    fields = frozenset({"name", "members"})

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", _LISTS, self._list),
            Route("POST", _LISTS, self._post, writes=True),
            Route("GET", _LISTS + "/{id}", self._get, on_list=True),
            Route("PATCH", _LISTS + "/{id}", self._patch, writes=True, on_list=True),
            Route("DELETE", _LISTS + "/{id}", self._delete, writes=True, on_list=True),
            Route("POST", _LISTS + "/{id}/add-prospects", self._add_prospects, writes=True, on_list=True),
            Route("POST", _LISTS + "/{id}/add-companies", self._add_companies, writes=True, on_list=True),
            Route("GET", "/api/v1/entities/leads/list/{id}", self._leads, on_list=True),
        )

    def reset(self) -> None:
        super().reset()
        #: Rows of persons we were sent; all others are made up from their id.
        self._prospects: dict[str, dict[str, Any]] = {}

    def switch(self, switches: Switches) -> None:
        super().switch(switches)
        #: Members in full, as JSON: long lists are answered on every PATCH.
        self._rows: dict[str, orjson.Fragment] = {}

    def error_body(self, refusal: Refusal) -> Json:
        error: dict[str, Json] = {
            "code": _CODES.get(refusal.status, "INTERNAL_ERROR"),
            "message": refusal.message,
        }
        if refusal.at:
            # The shape of `details` was not visible in the vendor's pages; this one is our guess.
            error["details"] = [{"path": refusal.at.split("/")[1:], "message": refusal.message}]
        return {"error": error}

    def no_token(self) -> Refusal:
        status = self.switches.missing_session
        return Refusal(status, "Organization ID required" if status == 400 else "Unauthorized")

    def shown(self, held: SimList) -> Json:
        extra = held.extra or {}
        members = list(held.members)
        return {
            "id": held.id,
            "icpId": extra.get("icpId"),
            "name": held.name,
            "type": held.kind,
            "startDate": extra.get("startDate", iso(held.created_at)),
            "endDate": extra.get("endDate", iso(held.created_at + 90 * 86_400)),
            "personIds": members if held.kind == "person" else [],
            "companyIds": members if held.kind == "company" else [],
            "userIds": list(held.users),
            "createdAt": iso(held.created_at),
            "updatedAt": iso(held.updated_at),
        }

    def _hydrated(self, held: SimList) -> Json:
        if not self.switches.hydrates:
            return self.shown(held)
        word = "persons" if held.kind == "person" else "companies"
        return {**self.shown(held), word: [self._row(held.kind, member) for member in held.members]}

    # Who may.

    def _sees(self, user: str, held: SimList) -> bool:
        # A list seeded without users belongs to everybody.
        return not held.users or user in held.users or user in self.switches.admins

    def _reachable(self, ask: Ask, *, stale: bool = False) -> SimList:
        held = self._found(self.seen(ask.id, ask.now) if stale else self.lists.get(ask.id), ask.id)
        if not self._sees(ask.user, held):
            raise Refusal(403, "You do not have access to this lead list")
        return held

    def _found(self, held: SimList | None, list_id: str) -> SimList:
        return found(held, f"LeadList with id '{list_id}' not found")

    # Lists.

    def _list(self, ask: Ask) -> Answer:
        shown = self._hydrated if self.switches.list_hydrated else self.shown
        seen = (self.seen(list_id, ask.now) for list_id in self.lists.after(None))
        lists = [shown(held) for held in seen if held and self._sees(ask.user, held)]
        return 200, {"leadlists": lists} if self.switches.list_wrapped else lists

    def _get(self, ask: Ask) -> Answer:
        # Any signed-in user may read any list by id: so documented.
        shown = self._hydrated(self._found(self.seen(ask.id, ask.now), ask.id))
        self._meddle("GET", ask)
        return 200, shown

    def _post(self, ask: Ask) -> Answer:
        body = self.body(ask, _POST)
        kind = body.get("type", "person")
        members = body.get(_ARRAYS[kind], [])
        if any(body.get(array) for word, array in _ARRAYS.items() if word != kind):
            raise Refusal(400, f"A {kind} list takes {_ARRAYS[kind]} only", at=f"body/{_ARRAYS[kind]}")
        for date in ("startDate", "endDate"):
            _check_date(body[date], date)
        extra = {word: body[word] for word in ("icpId", "startDate", "endDate")}
        held = self.create(
            ask.now,
            name=body["name"],
            kind=kind,
            members=dict.fromkeys(members),
            users=(ask.user,),
            extra=extra,
        )
        return self.switches.created_status, self.shown(held)

    def _patch(self, ask: Ask) -> Answer:
        held = self._reachable(ask)
        body = self.body(ask, _PATCH)
        changes: dict[str, Any] = {"name": body["name"]} if "name" in body else {}
        for kind, array in _ARRAYS.items():
            if array not in body:
                continue
            if kind != held.kind:
                raise Refusal(400, f"{array} can only be set on a {kind} list", at=f"body/{array}")
            changes["members"] = dict.fromkeys(body[array])
        self.change(held, changes, ask.now)
        self._meddle("PATCH", ask)
        return 200, self._hydrated(self._found(self.lists.get(ask.id), ask.id))

    def _meddle(self, after: str, ask: Ask) -> None:
        """What another program does to a list that was just read or written."""
        held, switches = self.lists.get(ask.id), self.switches
        if held and switches.rival_after == after and (switches.rival_adds or switches.rival_removes):
            members = merged(held.members, switches.rival_adds, switches.rival_removes)
            self.change(held, {"members": members}, ask.now, by_person=True)

    def _delete(self, ask: Ask) -> Answer:
        self.delete(self._reachable(ask), ask.now)
        return 204, None

    # Members.

    def _add_prospects(self, ask: Ask) -> Answer:
        held = self._reachable(ask)
        self._only(held, "person")
        body = ask.json()
        if isinstance(body, dict) and "mode" in body:
            ids = list(_picked(self.body(ask, _BULK)))
        else:
            prospects = self.body(ask, _ADD_PROSPECTS)["prospects"]
            ids = [self._taken_in(row, ask) for row in prospects]
        return 200, {"addedCount": len(self._add(held, ids, ask).members) - len(held.members)}

    def _add_companies(self, ask: Ask) -> Answer:
        held = self._reachable(ask)
        self._only(held, "company")
        return 200, self._hydrated(self._add(held, self.body(ask, _ADD_COMPANIES)["companyIds"], ask))

    def _only(self, held: SimList, kind: str) -> None:
        if held.kind != kind:
            raise Refusal(400, f"This is not a {kind} list")

    def _add(self, held: SimList, ids: list[str], ask: Ask) -> SimList:
        changes: dict[str, Any] = {"members": merged(held.members, ids)}
        if not self.switches.adding_touches:
            changes["updated_at"] = held.updated_at
        return self.change(held, changes, ask.now)

    def _taken_in(self, row: Json, ask: Ask) -> str:
        """The id a prospect is stored under."""
        known = checked(row, _PROSPECT, at="body/prospects")
        sent = known.pop("id", None)
        stored = new_id(ask.now, self.chance) if sent is None or self.switches.remap_prospects else str(sent)
        self._prospects[stored] = known
        self._rows.pop(stored, None)
        return stored

    def _leads(self, ask: Ask) -> Answer:
        held = self._reachable(ask, stale=True)
        named = (m for m in held.members if held.kind == "company" or not self._is_nameless(m))
        return 200, [self._row(held.kind, member) for member in named]

    def _is_nameless(self, person_id: str) -> bool:
        return zlib.crc32(person_id.encode()) % 1000 < self.switches.nameless_share * 1000

    def _is_addressless(self, person_id: str) -> bool:
        return zlib.crc32(b"@" + person_id.encode()) % 1000 < self.switches.addressless_share * 1000

    def _row(self, kind: str, member: str) -> orjson.Fragment:
        if member not in self._rows:
            if len(self._rows) >= _MOST_ROWS_KEPT:
                self._rows.clear()
            row = self._person(member) if kind == "person" else _company(member, f"Example {member[:8]} Ltd")
            self._rows[member] = orjson.Fragment(orjson.dumps(row))
        return self._rows[member]

    def _person(self, person_id: str) -> dict[str, Any]:
        mark = zlib.crc32(person_id.encode())
        made_up = {
            "firstName": _FIRST_NAMES[mark % len(_FIRST_NAMES)],
            "lastName": f"Fake{mark % 10_000}",
            "jobTitle": "Head of Examples",
            "city": "Ruritania",
            "postalCode": "00000",
            "country": "Freedonia",
            "linkedinUrl": None,
            "phones": [],
            "emails": [] if self._is_addressless(person_id) else [_address(person_id, mark)],
            "companyId": f"00000000-0000-7000-8000-{mark:012x}",
            "seniority": None,
            "departments": [],
            "subDepartments": [],
            "functions": [],
            "industry": None,
            "skills": [],
            "consentStatus": "UNKNOWN",
            "consentSource": None,
            "consentUpdatedAt": None,
            "deletedAt": None,
            "createdAt": None,
            "updatedAt": None,
            **dict.fromkeys(("baseProviderId", "bullhornId", "crmId", "leadOwnerId")),
            **self._prospects.get(person_id, {}),
        }
        name = None if self._is_nameless(person_id) else f"Example {mark % 1000} Ltd"
        company = _company(str(made_up["companyId"]), name)
        return {"id": person_id, **made_up, "company": company, "clientContact": None}


def _address(person_id: str, mark: int) -> str:
    return person_id if "@" in person_id else f"fake{mark}@example.com"


def _company(company_id: str, name: str | None) -> dict[str, Any]:
    return {"id": company_id, "name": name, "domain": "example.com", "industry": None, "country": "Freedonia"}


def _picked(body: dict[str, Any]) -> Iterator[str]:
    """The persons a bulk selection means, out of a global database of made-up ones without end."""
    if body["mode"] == "manual":
        yield from body.get("includedIds", ())
        return
    excluded = set(body.get("excludedIds", ()))
    everybody = (f"00000000-0000-7000-9000-{n:012x}" for n in itertools.count(body.get("startIndex", 0)))
    wanted = (person for person in everybody if person not in excluded)
    yield from itertools.islice(wanted, body.get("targetCount", 1))


def _check_date(text: str, word: str) -> None:
    try:
        from_iso(text)
    except ValueError:
        raise Refusal(400, f"{word} must be an ISO 8601 date", at=f"body/{word}") from None
