"""Instantly's connector. Made by `worker.remotes.registry`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from models.person import Naming
from models.values import replace
from worker.engine.rules import Direction
from worker.errors import BadAnswer, LeadsyncError, Refused, Unclear
from worker.remotes.base import Answer, Capabilities, Page, Request, Send, sendable
from worker.remotes.instantly import adding, errors, jobs, mapping, members, removing
from worker.remotes.instantly.done import Done
from worker.remotes.instantly.paths import LISTS, PAGE, WORKSPACE, lead_list
from worker.remotes.owners import MappedOwners
from worker.remotes.reading import Item, document, next_cursor, only
from worker.remotes.status import as_error

#: Unless settings say otherwise. Owners flow once settings map them; until then each would be a stranger.
#: Members are for who asks: they become rows that cost money, and to remove one deletes its row for good.
DIRECTIONS: Mapping[Field, Direction] = MappingProxyType(
    {
        Field.NAME: Direction.BOTH,
        Field.ENRICHMENT: Direction.BOTH,
        Field.OWNER: Direction.OFF,
        Field.MEMBERS: Direction.OFF,
    }
)


class InstantlyConnector:
    """One workspace."""

    capabilities = Capabilities(
        fields=frozenset(DIRECTIONS),
        versioned=False,
        pushes_events=False,
        naming=Naming.EMAIL,
        members_apart=True,
        members_at_once=5_000,
    )

    def __init__(self, name: str, owners: Mapping[str, str] | None = None, others: Collection[str] = ()) -> None:
        """`owners` as in settings."""
        self.name = name
        self.directions = {**DIRECTIONS, Field.OWNER: Direction.BOTH} if owners else DIRECTIONS
        self._owners = MappedOwners(name, owners or {})

    async def get(self, send: Send, remote_id: str) -> Shown:
        """GET one list. It does not say who is in it."""
        answer = await send(Request(method="GET", path=lead_list(remote_id)))
        return only(mapping.parse(document(answer), self._owners), remote_id)

    async def members(self, send: Send, remote_id: str) -> Shown:
        """The list, then all of its leads, unless a background job is moving them."""
        shown = await self.get(send, remote_id)
        await jobs.none_at_work(send, remote_id)
        people, rows = await members.read(send, remote_id)
        return replace(shown, members=frozenset(people), rows=rows, people=tuple(people.values()))

    async def count_members(self, send: Send, remote_id: str) -> int:
        """By the statistics of its verification."""
        return await members.count(send, remote_id)

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        """PATCH fields that differ, then add leads, then delete leads. None when it is not sure who is gone."""
        shown = await self._tell(send, remote_id, sendable(patch, self.capabilities.fields))
        if not (patch.add or patch.remove):
            return shown
        done = Done(told=bool(patch.fields), fields=shown.fields if shown else {})
        try:
            await adding.add(send, remote_id, patch, done)
            await removing.remove(send, remote_id, patch.remove, done)
        except (Unclear, BadAnswer):
            raise  # nobody knows what it did: told in part, it would count as never sent
        except LeadsyncError:
            # What is left is wanted still, and will fail for itself.
            if not done:
                raise
        # The same: that somebody is gone would count as a person's edit.
        return None if done.doubtful else done.shown(remote_id)

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
        return as_error(self.name, request, answer, errors.message(answer), by_id=_names_a_list(request))

    async def _tell(self, send: Send, remote_id: str, patch: Patch) -> Shown | None:
        path = lead_list(remote_id)
        if not patch.fields:
            return None
        answer = await send(Request(method="PATCH", path=path, body=mapping.render(patch, self._owners)))
        return only(mapping.parse(document(answer), self._owners), remote_id) if answer.body else None


def _names_a_list(request: Request) -> bool:
    inside = isinstance(request.body, Mapping) and "list_id" in request.body
    return inside or request.path.startswith(f"{LISTS}/")
