"""GET /api/v1/…: the documents. Mounted by `app.py`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.convertors import Convertor, register_url_convertor

from models.audit import Audited
from models.lead_list import Field
from worker.desk import remote_key
from worker.documents import lists as pages
from worker.documents.alerts import AlertLine, alerts, open_alerts
from worker.documents.audit import audit
from worker.documents.conflicts import HeldDocument, conflicts
from worker.documents.doctor import DoctorDocument, doctor
from worker.documents.lists import ListLine, PageDocument, ParkedLine
from worker.documents.members import MemberDocument, member, members
from worker.documents.plan import PLAN_PATIENCE, PlanDocument, plan
from worker.documents.remembered import Remembered
from worker.documents.scans import ScanDocument, scan_document, scans
from worker.documents.show import ShowDocument, show
from worker.documents.status import StatusDocument, status
from worker.errors import NotKnown
from worker.store.health import Health
from worker.store.held_views import HeldFilter
from worker.store.list_views import ListFilter
from worker.store.member_views import ListedMember
from worker.store.views import ParkedFilter, RejectedEntry, Views
from worker.web.access import Person, Role, person
from worker.web.api.answers import Document
from worker.web.api.shapes import (
    AlertsQuery,
    ConflictsQuery,
    ListsQuery,
    MemberQuery,
    MembersQuery,
    Number,
    Page,
    ParkedQuery,
    PlanQuery,
    ScansQuery,
    ShowQuery,
    StatusQuery,
    Text,
)
from worker.wiring import Runtime


class _Rest(Convertor[str]):
    """The rest of the address, whatever is in it: slashes, and line breaks, at which Starlette's own `path` stops."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("text", _Rest())


@dataclass(frozen=True, slots=True, kw_only=True)
class MeDocument:
    """Whoever asks."""

    name: str
    role: Role
    #: What X-CSRF-Token must hold in each POST of this session; null for programs, which need none.
    csrf_token: str | None


class Reads:
    """What may be asked; viewers ask too."""

    def __init__(self, runtime: Runtime, views: Views, health: Health) -> None:
        self._runtime, self._views, self._health = runtime, views, health
        self._one_at_a_time = asyncio.Lock()
        self._tally = Remembered(lambda view: view.tally())

    def router(self) -> APIRouter:
        """The routes."""
        routes = APIRouter()
        for path, answer, document in (
            ("/me", self.me, MeDocument),
            ("/status", self.status, StatusDocument),
            ("/lists", self.lists, PageDocument[ListLine]),
            ("/lists/{remote}/{id:text}", self.show, ShowDocument),
            ("/members/{remote}/{id:text}", self.members, PageDocument[ListedMember]),
            ("/member/{key:text}", self.member, MemberDocument),
            ("/plan", self.plan, PlanDocument),
            ("/parked", self.parked, PageDocument[ParkedLine]),
            ("/conflicts", self.conflicts, PageDocument[HeldDocument]),
            ("/rejects", self.rejects, PageDocument[RejectedEntry]),
            ("/scans", self.scans, PageDocument[ScanDocument]),
            ("/scans/{id}", self.scan, ScanDocument),
            ("/alerts", self.alerts, PageDocument[AlertLine]),
            ("/audit", self.audit, PageDocument[Audited]),
            ("/doctor", self.doctor, DoctorDocument),
        ):
            told: dict[int | str, dict[str, Any]] = {200: {"model": document, "description": "Found"}}
            summary = answer.__name__
            routes.add_api_route(path, answer, methods=["GET"], response_model=None, responses=told, summary=summary)
        return routes

    async def me(self, by: Annotated[Person, Depends(person)]) -> Document:
        """Who asks, as the audit would name them."""
        return Document(MeDocument(name=by.name, role=by.role, csrf_token=by.csrf))

    async def status(self, query: Annotated[StatusQuery, Query()]) -> Document:
        """How all copies stand, why due ones wait, and the state of each remote."""
        counted = await self._tally.ask(self._views, fresh=query.fresh)
        return Document(await status(self._runtime, self._views, counted))

    async def lists(self, query: Annotated[ListsQuery, Query()]) -> Document:
        """Lead lists and how their copies stand."""
        which = ListFilter(query.remote, query.name, on_hold=query.on_hold)
        ask = partial(pages.lists, self._runtime, self._views)
        page = ask(query.standing, limit=query.limit, after=query.after, which=which, sort=query.sort, down=query.down)
        return Document(await page)

    async def show(
        self, remote: Annotated[Text, Path()], id: Annotated[Text, Path()], query: Annotated[ShowQuery, Query()]
    ) -> Document:
        """One list: wanted beside each copy, why each field is or is not sent, and its history."""
        return Document(await show(self._runtime, self._views, remote_key(f"{remote}:{id}"), history=query.history))

    async def members(
        self, remote: Annotated[Text, Path()], id: Annotated[Text, Path()], query: Annotated[MembersQuery, Query()]
    ) -> Document:
        """Who is on a list: wanted or not, shown by which remotes, excluded where and why."""
        which = partial(members, self._views, remote_key(f"{remote}:{id}"), excluded=query.excluded, on=query.on)
        return Document(await which(limit=query.limit, after=query.after))

    async def member(self, key: Annotated[Text, Path()], query: Annotated[MemberQuery, Query()]) -> Document:
        """What is known of one member, by its key: ids on each remote, addresses, names, and the lists it is on."""
        return Document(await member(self._views, key, limit=query.lists))

    async def plan(self, query: Annotated[PlanQuery, Query()]) -> Document:
        """What would be sent now, with a hash that can be applied."""
        ask = partial(plan, self._runtime, remote=query.remote, limit=query.limit, after=query.after)
        return Document(await ask(patience=max(PLAN_PATIENCE, query.limit)))

    async def parked(self, query: Annotated[ParkedQuery, Query()]) -> Document:
        """Copies that only a person can move on, with cause and next step."""
        which = ParkedFilter(query.remote, query.cause)
        return Document(await pages.parked(self._views, which, limit=query.limit, after=query.after))

    async def conflicts(self, query: Annotated[ConflictsQuery, Query()]) -> Document:
        """Fields that wait for a person, with what is wanted and what every remote shows."""
        which = HeldFilter(query.remote, query.field and Field(query.field))
        return Document(await conflicts(self._runtime, self._views, which, limit=query.limit, after=query.after))

    async def rejects(self, query: Annotated[Page, Query()]) -> Document:
        """Events that could not be taken in, as received, with the reason."""
        return Document(await pages.rejects(self._views, limit=query.limit, after=query.after))

    async def scans(self, query: Annotated[ScansQuery, Query()]) -> Document:
        """Scans and their certificates, the newest first."""
        return Document(await scans(self._views, query.remote, limit=query.limit, after=query.after))

    async def scan(self, id: Annotated[Number, Path()]) -> Document:
        """One scan: how far it is, or its certificate."""
        found = await asyncio.to_thread(self._views.look, lambda view: view.scans.get(id))
        if found is None:
            raise NotKnown(f"there is no scan {id}; GET /api/v1/scans shows what there is")
        return Document(scan_document(found))

    async def alerts(self, query: Annotated[AlertsQuery, Query()]) -> Document:
        """States that turned bad, and those that recovered, the newest first."""
        if query.open:
            return Document(await open_alerts(self._views))
        page, _ = await alerts(self._views, limit=query.limit, after=query.after)
        return Document(page)

    async def audit(self, query: Annotated[Page, Query()]) -> Document:
        """What people did, the newest first."""
        return Document(await audit(self._views, limit=query.limit, after=query.after))

    async def doctor(self) -> Document:
        """Checks everything leadsync needs; one read from each remote, inside its rate budget."""
        async with self._one_at_a_time:
            return Document(await doctor(self._runtime, self._health))
