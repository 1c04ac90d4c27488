"""Instantly's connector. Made by `worker.remotes.registry`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from worker.engine.rules import Direction
from worker.errors import LeadsyncError, Refused
from worker.remotes.base import Answer, Capabilities, Page, Request, Send, segment, sendable
from worker.remotes.instantly import errors, mapping
from worker.remotes.owners import MappedOwners
from worker.remotes.reading import Item, document, next_cursor, only
from worker.remotes.status import as_error

LISTS = "/api/v2/lead-lists"
WORKSPACE = "/api/v2/workspaces/current"
#: The most Instantly allows.
PAGE = 100

#: Unless settings say otherwise. Owners flow once settings map them; until then each would be a stranger.
DIRECTIONS: Mapping[Field, Direction] = MappingProxyType(
    {Field.NAME: Direction.BOTH, Field.ENRICHMENT: Direction.BOTH, Field.OWNER: Direction.OFF}
)


class InstantlyConnector:
    """One workspace."""

    capabilities = Capabilities(fields=frozenset(mapping.WORDS), versioned=False, pushes_events=False)

    def __init__(self, name: str, owners: Mapping[str, str] | None = None, others: Collection[str] = ()) -> None:
        """`owners` as in settings."""
        self.name = name
        self.directions = {**DIRECTIONS, Field.OWNER: Direction.BOTH} if owners else DIRECTIONS
        self._owners = MappedOwners(name, owners or {})

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
        """POST a list. Instantly's lists hold people."""
        if kind is Kind.COMPANY:
            raise Refused("not sent: Instantly has lists of people only, and this is a company list; unlink it there")
        body = mapping.render(sendable(patch, self.capabilities.fields), self._owners)
        return mapping.parse(document(await send(Request(method="POST", path=LISTS, body=body))), self._owners)

    async def page(self, send: Send, cursor: str | None) -> Page:
        """GET a page of lists. The cursor is a time stamp, but ours only to hand back."""
        query = {"limit": PAGE} | ({"starting_after": cursor} if cursor else {})
        answer = await send(Request(method="GET", path=LISTS, query=query))
        page = Item(document(answer), "a page of lead lists")
        items = tuple(mapping.parse(value, self._owners) for value in page.elements("items"))
        return Page(items, next_cursor(cursor, items, page.get("next_starting_after")))

    async def check(self, send: Send) -> str:
        """Read the workspace that the token opens."""
        workspace = Item(document(await send(Request(method="GET", path=WORKSPACE))), "a workspace")
        return f"the token opens workspace {workspace.id()}"

    def spell(self, field: Field, value: Value) -> Value:
        """As it is; owners by the map."""
        return mapping.spell(field, value, self._owners)

    def error(self, request: Request, answer: Answer) -> LeadsyncError:
        """By status."""
        by_id = request.path.startswith(f"{LISTS}/")
        return as_error(self.name, request, answer, errors.message(answer), by_id=by_id)


def _path(remote_id: str) -> str:
    return f"{LISTS}/{segment(remote_id)}"
