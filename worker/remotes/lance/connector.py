"""Lance's connector. Made by `worker.remotes.registry`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from models.person import Naming
from worker.engine.rules import Direction
from worker.errors import AccessLost, BadAnswer, LeadsyncError, Refused, Transient
from worker.remotes.base import Answer, Capabilities, HoldsMembers, Late, Page, Request, Send, segment, sendable
from worker.remotes.lance import errors, mapping, members
from worker.remotes.reading import Item, document, only
from worker.remotes.status import as_error, sentence

LISTS = "/api/v1/entities/leadlists"
#: From `startDate` to `endDate` of a list that leadsync creates.
_LASTS = timedelta(days=365)

#: From the moment members are asked for to the moment the array that replaces them is sent (design rule 7).
WINDOW_S = 3.0
#: Reads that come too late for that are repeated so often.
AGAIN = 3

#: Unless settings say otherwise. Members are off until a person wants them: Lance replaces whole arrays.
DIRECTIONS: Mapping[Field, Direction] = MappingProxyType({Field.NAME: Direction.BOTH, Field.MEMBERS: Direction.OFF})


class LanceConnector(HoldsMembers):
    """One tenant."""

    capabilities = Capabilities(
        fields=frozenset(DIRECTIONS), versioned=True, pushes_events=False, naming=Naming.ID, replaces_members=True
    )
    directions = DIRECTIONS

    def __init__(self, name: str, owners: Mapping[str, str] | None = None, others: Collection[str] = ()) -> None:
        """Lance's lists have no owner."""
        self.name = name

    async def get(self, send: Send, remote_id: str) -> Shown:
        """GET one list."""
        answer = await send(Request(method="GET", path=_path(remote_id)))
        return only(mapping.parse(document(answer)), remote_id)

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        """PATCH what differs, by one request. Members replace the whole array, so they are read fresh and merged first;
        companies that are only added have a request of their own, which needs no read.
        """
        fields = {f.value: v for f, v in sendable(patch, self.capabilities.fields).fields.items()}
        mapping.check_ids(kind, patch.add)
        if not (patch.add or patch.remove):
            return await self._write(send, remote_id, fields)
        if kind is Kind.COMPANY and not (fields or patch.remove):
            return await self._add_companies(send, remote_id, patch)
        for _ in range(1 + AGAIN):
            with suppress(Late):
                return await self._merge(send, remote_id, kind, patch, fields)
        raise Transient(
            f"not sent: {1 + AGAIN} times it took more than {WINDOW_S:g} s to read this list's members, "
            "and by then somebody else may have changed them"
        )

    async def _merge(
        self, send: Send, remote_id: str, kind: Kind | None, patch: Patch, fields: Mapping[str, Value]
    ) -> Shown | None:
        """Read, merge, write. Raises `Late` when the write would come too long after the read."""
        fresh = await self._fresh(send, remote_id, kind)
        if patch.base and fresh.shown.version and fresh.shown.version < patch.base:
            raise Transient("not sent: Lance shows older members than it did before; a replica lags behind")
        mapping.check_ids(fresh.kind, patch.add)
        meant = members.merged(fresh, patch)
        if meant is None:  # somebody made the same edit there
            return await self._write(send, remote_id, fields) if fields else fresh.shown
        body = {**fields, mapping.ARRAYS[fresh.kind]: meant.ids}
        answer = await self._write(send, remote_id, body, within_s=WINDOW_S)
        return answer and members.after_replacing(answer, meant, patch, fresh)

    async def _fresh(self, send: Send, remote_id: str, kind: Kind | None) -> members.Fresh:
        """GET one list, with the place in the budget for the write that follows. Keeps nothing of whole persons."""
        value = document(await send(Request(method="GET", path=_path(remote_id), follows=1)))
        shown = only(mapping.parse(value), remote_id)
        if shown.kind is None or shown.members is None:
            raise BadAnswer("expected a lead list with its type and its members' ids, got one without")
        if kind is not None and shown.kind is not kind:
            raise Refused(f"not sent: this is a {kind} list, and there it is a {shown.kind} list; unlink it")
        ids = value[mapping.ARRAYS[shown.kind]]
        return members.Fresh(shown=shown, kind=shown.kind, ids=ids, members=shown.members)

    async def _write(
        self, send: Send, remote_id: str, body: Mapping[str, Any], *, within_s: float | None = None
    ) -> Shown | None:
        answer = await send(Request(method="PATCH", path=_path(remote_id), body=body, within_s=within_s))
        return only(mapping.parse(document(answer)), remote_id) if answer.body else None

    async def _add_companies(self, send: Send, remote_id: str, patch: Patch) -> Shown | None:
        """POST what is new. Nothing of what is there is written, so nobody's edit can be undone."""
        body = {mapping.ARRAYS[Kind.COMPANY]: sorted(patch.add)}
        answer = await send(Request(method="POST", path=f"{_path(remote_id)}/add-companies", body=body))
        if not answer.body:
            return None
        return members.after_adding(only(mapping.parse(document(answer)), remote_id), patch)

    async def create(self, send: Send, kind: Kind | None, patch: Patch, at: datetime) -> Shown:
        """POST a list without members. Lance asks for dates that no other remote has: a year, beginning now."""
        if kind is None:
            raise Refused(
                "not sent: Lance must be told whether a list holds people or companies, and nobody has said yet; "
                "an event with data.fields.kind, or a link to a list that says it, does"
            )
        fields = {f.value: v for f, v in sendable(patch, self.capabilities.fields).fields.items()}
        dates = {"startDate": at.isoformat(), "endDate": (at + _LASTS).isoformat()}
        body: dict[str, Any] = {"type": kind, "icpId": None, "personIds": [], "companyIds": [], **dates, **fields}
        return mapping.parse(document(await send(Request(method="POST", path=LISTS, body=body))))

    async def page(self, send: Send, cursor: str | None) -> Page:
        """GET all lists at once: Lance has no pages. Its documents show the list bare and wrapped."""
        value = document(await send(Request(method="GET", path=LISTS)))
        lists = value if isinstance(value, list) else Item(value, "all lead lists").elements("leadlists")
        return Page(tuple(map(mapping.parse, lists)))

    async def check(self, send: Send) -> str:
        """Read all lists: Lance documents no smaller question."""
        return f"{len((await self.page(send, None)).items)} lead lists can be read"

    def spell(self, field: Field, value: Value) -> Value:
        """As it is."""
        return mapping.spell(field, value)

    def error(self, request: Request, answer: Answer) -> LeadsyncError:
        """By status, and by message where the status misleads."""
        says = errors.message(answer)
        if errors.session_is_lost(answer):
            return AccessLost(sentence(self.name, answer, says, "check its token"))
        if errors.list_is_closed(answer):
            # The token is well: pausing the whole remote would stop every list for the sake of this one.
            return Refused(sentence(self.name, answer, says, "have its owner add our user to the list"))
        return as_error(self.name, request, answer, says, by_id=request.path != LISTS)


def _path(remote_id: str) -> str:
    return f"{LISTS}/{segment(remote_id)}"
