"""Members with ids of their own: rows apart from their list, as Instantly keeps leads. Some histories have them.

Instantly's connector asks for the rows, by its own calls; the lists themselves go as on the other remotes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from models.lead_list import Kind
from models.observation import Shown
from models.patch import Patch
from models.person import unnamed
from models.values import replace
from worker.errors import LeadsyncError
from worker.remotes.base import Answer, Page, Request, Send
from worker.remotes.instantly.connector import InstantlyConnector
from worker.remotes.instantly.paths import JOBS, LEADS, LISTS
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import ROWS, Fault
from worker.simulation.remote import Flight, Habits, SimulatedRemote, UnversionedConnector

#: For so long after a page that was no truth, a count must tell of it.
_REMEMBERED_S = 60.0
#: Where all calls about rows go.
_APART = "/api/"


class ApartConnector(InstantlyConnector):
    """Members as at Instantly; what else a list shows by the protocol of the other remotes."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._lists = UnversionedConnector(name)

    async def get(self, send: Send, remote_id: str) -> Shown:
        """See `Connector.get`."""
        return await self._lists.get(send, remote_id)

    async def create(self, send: Send, kind: Kind | None, patch: Patch, at: datetime) -> Shown:
        """See `Connector.create`."""
        return await self._lists.create(send, kind, patch, at)

    async def page(self, send: Send, cursor: str | None) -> Page:
        """See `Connector.page`."""
        return await self._lists.page(send, cursor)

    def error(self, request: Request, answer: Answer) -> LeadsyncError:
        """See `Connector.error`."""
        return super().error(request, answer) if is_apart(request) else self._lists.error(request, answer)

    async def _tell(self, send: Send, remote_id: str, patch: Patch) -> Shown | None:
        return await self._lists.patch(send, remote_id, None, Patch(patch.fields)) if patch.fields else None


@dataclass(frozen=True, slots=True)
class Row:
    """One lead."""

    id: str
    #: Of the member, as leadsync will call it once it knows everybody.
    key: str
    #: None where it has no address: then it is known by its row.
    email: str | None
    #: A call of ours made it.
    ours: bool
    first_name: str = ""


class RemoteWithLeads(SimulatedRemote):
    """A remote whose lists do not say who is in them. `Shown.members` are the keys of all rows, for judges only."""

    def __init__(self, name: str, loop: VirtualLoop, habits: Habits) -> None:
        #: By list and id.
        self.rows: dict[str, dict[str, Row]] = {}
        #: Members that rows of ours were made for while another row of ours was there: list and key.
        self.doubled: list[tuple[str, str]] = []
        #: Members without an address that went with their list.
        self.lost: set[str] = set()
        self.paths: Counter[str] = Counter()
        #: Every row there ever was, by its id.
        self._keys: dict[str, str] = {}
        self._then: dict[str, list[tuple[float, Mapping[str, Row]]]] = {}
        #: Lists that a background job is at work on, as often as that is so.
        self._jobs: Counter[str] = Counter()
        #: Rows that were shown since the first page of a list was asked for, and when a page of a list was no truth.
        self._read: dict[str, set[str]] = {}
        self._lied: dict[str, float] = {}
        super().__init__(name, loop, habits)
        self.connector = ApartConnector(name)

    # -- what people do

    def put(self, shown: Shown) -> Shown:
        """Store a list as it is now; a new one with rows of its members."""
        one = shown.remote_id
        if one not in self.rows:
            self.rows[one] = {}
            for name in sorted(shown.members or ()):
                self._make(one, address_of(name), ours=False)
        return super().put(replace(shown, members=self._members(one)))

    def hold(self, before: Shown, member: str, *, there: bool) -> Shown:
        """A person adds a lead, or deletes all of its rows."""
        one = before.remote_id
        if there:
            self._make(one, address_of(member), ours=False)
        else:
            self._drop(one, [row.id for row in self.rows[one].values() if row.key == member])
        return self.put(before)

    def takes(self, member: str) -> bool:
        """Whether its workspace lets it in at all."""
        return member not in self.habits.keeps_off

    def next_stranger(self) -> str:
        """What a lead without an address will be called, if it is the next one that is made."""
        return unnamed(self.name, _row_id(len(self._keys) + 1))

    def add_stranger(self, before: Shown) -> Shown:
        """A person makes a lead without an address."""
        self._make(before.remote_id, None, ours=False)
        return self.put(before)

    def copy_row(self, before: Shown, member: str) -> Shown:
        """A person makes one more row of a member that is there."""
        self._make(before.remote_id, address_of(member), ours=False)
        return self.put(before)

    def drop_row(self, before: Shown, member: str) -> Shown:
        """A person deletes one row of a member that has several."""
        some = [row.id for row in self.rows[before.remote_id].values() if row.key == member]
        self._drop(before.remote_id, some[1:2])
        return self.put(before)

    def rename_lead(self, remote_id: str, member: str, name: str) -> None:
        """A person changes a field of a lead, which is none of the list's."""
        for row in [row for row in self.rows[remote_id].values() if row.key == member]:
            self.rows[remote_id][row.id] = replace(row, first_name=name)

    def at_work(self, lists: Iterable[str], by: int) -> None:
        """A background job begins to work on these lists (1), or ends (-1)."""
        for one in lists:
            self._jobs[one] += by

    def delete(self, remote_id: str) -> None:
        """A person deletes a list, and with it its rows."""
        super().delete(remote_id)
        self.lost |= {row.key for row in self.rows.pop(remote_id).values() if row.email is None}

    # -- requests

    def number(self, request: Request) -> str:
        """See `SimulatedRemote.number`."""
        return self.born.get(_list_of(request), "") if is_apart(request) else super().number(request)

    def about(self, request: Request, answer: Answer) -> str:
        """See `SimulatedRemote.about`."""
        return _list_of(request) if is_apart(request) else super().about(request, answer)

    def told(self, request: Request) -> Mapping[str, Any]:
        """See `SimulatedRemote.told`."""
        if not is_apart(request):
            return super().told(request)
        if request.method == "DELETE":
            return {"members_removed": sorted({self._keys[one] for one in request.body["ids"]})}
        return {"members_added": sorted(name_in(lead["email"]) for lead in request.body["leads"])}

    def do(self, request: Request, flight: Flight | None) -> Answer:
        """See `SimulatedRemote.do`."""
        if not is_apart(request):
            return super().do(request, flight)
        self.calls += 1
        one = _list_of(request)
        if request.path == f"{LEADS}/list":
            return self._page_of_rows(request, self.rows.get(one, {}))
        before = self.lists.get(one)
        if before is None:
            return _says(404, {"error": "Not Found", "message": "no such list"})
        return self._written(request, before, flight) if request.writes else self._look(request, one)

    def as_it_was(self, request: Request, then: float) -> Answer:
        """A page of rows from a replica that lags."""
        one = _list_of(request)
        past = next((rows for at, rows in reversed(self._then.get(one, [])) if at <= then), None)
        if past is None or past.keys() == self.rows.get(one, {}).keys():
            return self.do(request, None)
        self.calls += 1
        self._lied[one] = self._loop.time()
        self.paths["old page of members"] += 1
        return self._page_of_rows(request, past)

    def hears(self, request: Request, answer: Answer, fault: Fault | None) -> None:
        """What left for us: of rows, it is remembered which were shown, since only their count can tell of a lie."""
        if answer.status != 200 or not is_walk(request):
            return
        one = _list_of(request)
        if "starting_after" not in request.body:
            self._read[one] = set()
            if fault not in ROWS:
                self._lied.pop(one, None)
        if fault in ROWS:
            self._lied[one] = self._loop.time()
        page = _items(answer)
        self._read.setdefault(one, set()).update(page)

    # -- below here: how

    def _look(self, request: Request, one: str) -> Answer:
        if request.path == JOBS:
            job = {"status": "in-progress", "entity_id": one, "type": "move-leads"}
            return _says(200, {"items": [job] if self._jobs[one] else []})
        if not request.path.endswith("/verification-stats"):
            return _says(200, {"id": one})
        rows, read = self.rows[one], self._read.get(one, set())
        lied = self._loop.time() - self._lied.get(one, -_REMEMBERED_S) < _REMEMBERED_S
        if lied and len(read) == len(rows) and read != rows.keys():
            return _says(500, {"message": "as many others were shown: nobody could tell"})
        self.paths["members read"] += one in self._read
        verified = sum(row.email is not None for row in rows.values())
        return _says(200, {"stats": {"verified": verified, "invalid": 0}, "total_leads": len(rows)})

    def _page_of_rows(self, request: Request, rows: Mapping[str, Row]) -> Answer:
        body = request.body
        found = [row for row in rows.values() if _fits(row, body) and row.id > body.get("starting_after", "")]
        page = sorted(found, key=lambda row: row.id)[: self.habits.page]
        more = {"starting_after": page[-1].id} if len(page) < len(found) else {}
        cursor = {"next_starting_after": more["starting_after"]} if more else {}
        return _says(200, {"items": [_lead(row, body["list_id"]) for row in page], **cursor})

    def _written(self, request: Request, before: Shown, flight: Flight | None) -> Answer:
        one = before.remote_id
        if self.number(request) in self.habits.refuses:
            return _says(422, {"message": "this list is read-only"})
        if flight is not None:
            self.landing(flight)
            flight.landed = self._loop.time() if flight.landed is None else flight.landed
        answer = self._deleted(one, request.body["ids"]) if request.method == "DELETE" else self._added(one, request)
        if self._members(one) != before.members:
            self.put(self.lists[one])
        if any(self.told(request).values()):
            self._note(request, before, one)
        return answer

    def _deleted(self, one: str, ids: Collection[str]) -> Answer:
        gone = self._drop(one, ids)
        self.paths["members removed in doubt"] += gone < len(ids) or not self.habits.counts_deleted
        return _says(200, {"count": gone} if self.habits.counts_deleted else {})

    def _added(self, one: str, request: Request) -> Answer:
        told, made = Counter[str](), list[dict[str, Any]]()
        for index, lead in enumerate(request.body["leads"]):
            email, key = lead["email"], name_in(lead["email"])
            there = [row for row in self.rows[one].values() if row.key == key]
            if not self.takes(key):
                told[self.habits.keeps_off[key]] += 1
                continue
            if there and self.habits.doubles == "refused":
                told["duplicated_leads"] += 1
                continue
            if there and self.habits.doubles == "merged":
                row = there[0]
            else:
                if any(each.ours for each in there):
                    self.doubled.append((one, key))
                row = self._make(one, email, ours=True)
            made.append({"index": index, "id": row.id, "email": email})
        counts = {counter: told[counter] for counter in _COUNTERS}
        sent = len(request.body["leads"])
        return _says(200, {"total_sent": sent, "leads_uploaded": len(made), "created_leads": made, **counts})

    def _make(self, one: str, email: str | None, *, ours: bool) -> Row:
        """Ids are never used again: who comes back has another one."""
        new = _row_id(len(self._keys) + 1)
        row = Row(new, name_in(email) if email else unnamed(self.name, new), email, ours)
        self._keys[new], self.rows[one][new] = row.key, row
        self._remember_rows(one)
        return row

    def _drop(self, one: str, ids: Collection[str]) -> int:
        gone = [row for row in ids if self.rows[one].pop(row, None)]
        self._remember_rows(one)
        return len(gone)

    def _remember_rows(self, one: str) -> None:
        self._then.setdefault(one, []).append((self._loop.time(), dict(self.rows[one])))

    def _members(self, one: str) -> frozenset[str]:
        return frozenset(row.key for row in self.rows[one].values())


#: What Instantly counts of leads that it did not make.
_COUNTERS = (
    "duplicated_leads",
    "invalid_email_count",
    "in_blocklist",
    "skipped_count",
    "incomplete_count",
    "duplicate_email_count",
)
#: For which of them a workspace may keep somebody off.
KEEPS_OFF = ("invalid_email_count", "in_blocklist", "skipped_count")
#: What becomes of a lead whose address is in the list already.
DOUBLES = ("refused", "merged", "beside")


def is_apart(request: Request) -> bool:
    """Whether it is about rows."""
    return request.path.startswith(_APART)


def address_of(name: str) -> str:
    """The address of a member."""
    return f"{name}@example.com"


def name_in(email: str) -> str:
    """Whose address it is."""
    return email.partition("@")[0]


def half_of(request: Request) -> Request:
    """The first half of what a write of rows asks for; of one, nothing."""
    word = "ids" if request.method == "DELETE" else "leads"
    some = request.body[word]
    return replace(request, body={**request.body, word: some[: len(some) // 2]})


def without_one(request: Request, page: Mapping[str, Any]) -> list[Any]:
    """Rows of a lookup without those of one member; all of them where they take several pages."""
    items: list[Any] = page["items"]
    if not items or "next_starting_after" in page or "starting_after" in request.body:
        return items
    return [row for row in items if row.get("email") != items[0].get("email")]


def is_walk(request: Request) -> bool:
    """It asks for all rows of a list, page by page."""
    return request.path == f"{LEADS}/list" and request.body.keys() <= {"list_id", "limit", "starting_after"}


def is_lookup(request: Request) -> bool:
    """It asks for the rows of some members."""
    return request.path == f"{LEADS}/list" and not is_walk(request)


def _list_of(request: Request) -> str:
    if request.path == JOBS:
        return str(request.query["entity_id"])
    if isinstance(request.body, Mapping):
        return str(request.body["list_id"])
    return request.path.removeprefix(f"{LISTS}/").partition("/")[0]


def _fits(row: Row, body: Mapping[str, Any]) -> bool:
    if "contacts" in body:
        return row.email in body["contacts"]
    return row.id in body["ids"] if "ids" in body else True


def _lead(row: Row, list_id: str) -> dict[str, Any]:
    email = {"email": row.email} if row.email else {}
    return {"id": row.id, "list_id": list_id, "first_name": row.first_name, "verification_status": 1, **email}


def _items(answer: Answer) -> set[str]:
    try:
        return {row["id"] for row in orjson.loads(answer.body)["items"]}
    except orjson.JSONDecodeError:
        return set()


def _row_id(number: int) -> str:
    return f"row-{number:05}"


def _says(status: int, body: Any) -> Answer:
    return Answer(status=status, body=orjson.dumps(body))
