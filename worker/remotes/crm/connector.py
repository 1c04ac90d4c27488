"""The CRM's connector. Made by `worker.remotes.registry`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from worker.engine.rules import Direction
from worker.errors import LeadsyncError
from worker.remotes.base import Answer, Capabilities, HoldsMembers, Page, Request, Send, segment, sendable
from worker.remotes.crm import errors, mapping
from worker.remotes.owners import MappedOwners, Owners, PlainOwners
from worker.remotes.reading import Item, document, next_cursor, only
from worker.remotes.status import as_error

LISTS = "/lead-lists"
PAGE = 100

#: Unless settings say otherwise.
DIRECTIONS: Mapping[Field, Direction] = MappingProxyType(dict.fromkeys(Field, Direction.BOTH))


class CrmConnector(HoldsMembers):
    """One CRM. Its user ids are the canonical owners, unless settings map them (a second CRM)."""

    capabilities = Capabilities(fields=frozenset(Field), versioned=True, pushes_events=True)
    directions = DIRECTIONS

    def __init__(self, name: str, owners: Mapping[str, str] | None = None, others: Collection[str] = ()) -> None:
        """`owners` as in settings; `others` are the names of all other remotes."""
        self.name = name
        self._owners: Owners = MappedOwners(name, owners) if owners else PlainOwners(others)

    async def get(self, send: Send, remote_id: str) -> Shown:
        """GET one list."""
        answer = await send(Request(method="GET", path=_path(remote_id)))
        return only(mapping.parse(document(answer), self._owners), remote_id)

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        """PATCH what differs."""
        body = mapping.render(sendable(patch, self.capabilities.fields), self._owners)
        answer = await send(Request(method="PATCH", path=_path(remote_id), body=body))
        return only(mapping.parse(document(answer), self._owners), remote_id) if answer.body else None

    async def create(self, send: Send, kind: Kind | None, patch: Patch, at: datetime) -> Shown:
        """POST a list of its kind."""
        fields = mapping.render(Patch(sendable(patch, self.capabilities.fields).fields), self._owners)
        body = {**fields, "kind": kind} if kind else fields
        return mapping.parse(document(await send(Request(method="POST", path=LISTS, body=body))), self._owners)

    async def page(self, send: Send, cursor: str | None) -> Page:
        """GET a page of lists."""
        return await self._page(send, {"limit": PAGE} | ({"cursor": cursor} if cursor else {}), cursor)

    async def check(self, send: Send) -> str:
        """Read one list."""
        await self._page(send, {"limit": 1}, None)
        return "lead lists can be read"

    def spell(self, field: Field, value: Value) -> Value:
        """As it is; owners as far as the CRM knows them."""
        return mapping.spell(field, value, self._owners)

    def error(self, request: Request, answer: Answer) -> LeadsyncError:
        """By status."""
        return as_error(self.name, request, answer, errors.message(answer), by_id=request.path != LISTS)

    async def _page(self, send: Send, query: dict[str, str | int], cursor: str | None) -> Page:
        answer = await send(Request(method="GET", path=LISTS, query=query))
        page = Item(document(answer), "a page of lead lists")
        items = tuple(mapping.parse(value, self._owners) for value in page.elements("items"))
        return Page(items, next_cursor(cursor, items, page.get("next_cursor")))


def _path(remote_id: str) -> str:
    return f"{LISTS}/{segment(remote_id)}"
