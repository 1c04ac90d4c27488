"""Lance's connector. Made by `worker.remotes.registry`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from worker.engine.rules import Direction
from worker.errors import AccessLost, BadAnswer, LeadsyncError, Refused
from worker.remotes.base import Answer, Capabilities, Page, Request, Send, segment, sendable
from worker.remotes.lance import errors, mapping
from worker.remotes.reading import Item, document, only
from worker.remotes.status import as_error, sentence

LISTS = "/api/v1/entities/leadlists"
#: From `startDate` to `endDate` of a list that leadsync creates.
_LASTS = timedelta(days=365)

#: Unless settings say otherwise. Members are off: ids are sent as given, and Lance does not know the CRM's.
DIRECTIONS: Mapping[Field, Direction] = MappingProxyType({Field.NAME: Direction.BOTH, Field.MEMBERS: Direction.OFF})


class LanceConnector:
    """One tenant."""

    capabilities = Capabilities(fields=frozenset(DIRECTIONS), versioned=True, pushes_events=False)
    directions = DIRECTIONS

    def __init__(self, name: str, owners: Mapping[str, str] | None = None, others: Collection[str] = ()) -> None:
        """Lance's lists have no owner."""
        self.name = name

    async def get(self, send: Send, remote_id: str) -> Shown:
        """GET one list."""
        answer = await send(Request(method="GET", path=_path(remote_id)))
        return only(mapping.parse(document(answer)), remote_id)

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        """PATCH what differs. Members replace the whole array, so they are read fresh and merged first."""
        body: dict[str, Any] = {f.value: v for f, v in sendable(patch, self.capabilities.fields).fields.items()}
        if patch.add or patch.remove:
            fresh = await self.get(send, remote_id)
            body |= _merged(fresh, kind, patch)
            if not body:
                return fresh  # somebody made the same edit there
        answer = await send(Request(method="PATCH", path=_path(remote_id), body=body))
        return only(mapping.parse(document(answer)), remote_id) if answer.body else None

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


def _merged(fresh: Shown, kind: Kind | None, patch: Patch) -> dict[str, list[str]]:
    """The array to send; nothing when the fresh membership is what the patch wants."""
    if fresh.kind is None or fresh.members is None:
        raise BadAnswer("expected a lead list with its type and its members' ids, got one without")
    if kind is not None and fresh.kind is not kind:
        raise Refused(f"not sent: this is a {kind} list, and there it is a {fresh.kind} list; unlink it")
    members = (fresh.members | patch.add) - patch.remove
    return {} if members == fresh.members else mapping.whole(fresh.kind, members)


def _path(remote_id: str) -> str:
    return f"{LISTS}/{segment(remote_id)}"
