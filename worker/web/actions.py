"""Actions: what people and programs do through the web. Called by `api.py` and the pages; the CLI does the same itself.

Each does what the command of that name does, in the name of the person, and wakes the workers. None of them asks first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from models.scan import Scan
from worker.desk import Desk, add_events, ring_push, ring_scan
from worker.documents.conflicts import decidable, is_held
from worker.documents.plan import ApplyDocument, applied
from worker.errors import NotKnown, NotPossible
from worker.ports import RemoteKey, RemoteState
from worker.store.database import open_database
from worker.store.held_views import HeldFilter
from worker.store.rejects import SqlRejects
from worker.store.views import ParkedFilter, Views
from worker.sync import apply as applying
from worker.sync import holding, hurry, operate, resolve, schedule
from worker.sync.resolve import HeldField
from worker.web.access import Person
from worker.wiring import Runtime


@dataclass(frozen=True, slots=True)
class Done:
    """How many were meant, and how many were moved: others were somewhere else meanwhile."""

    matched: int
    moved: int


class Actions:
    """Of one web process. All may raise `LeadsyncError`, and have then done nothing."""

    def __init__(self, runtime: Runtime, views: Views) -> None:
        self._runtime, self._views = runtime, views
        self._rules = runtime.registry.rules
        self._engine = open_database(runtime.settings.database_url)

    async def link(self, by: Person, keys: Sequence[RemoteKey]) -> operate.Linked:
        """Tie copies together."""
        linked = await operate.link(self._desk(by).store, self._rules, keys)
        await self._push(linked.due)
        return linked

    async def unlink(self, by: Person, key: RemoteKey) -> None:
        """Let one copy go."""
        moved = await operate.unlink(self._desk(by).store, self._rules, key)
        await self._push(moved.due)

    async def push_now(self, by: Person, key: RemoteKey) -> None:
        """Push one list without waiting for the end of a backoff."""
        moved = await hurry.push_now(self._desk(by).store, self._rules, key)
        await self._push(moved.due)

    async def hold(self, by: Person, keys: Sequence[RemoteKey], *, alone: bool = False) -> Done:
        """Let nothing be written to these lists; `alone`, to these copies only."""
        moved = await holding.hold(self._desk(by).store, self._rules, keys, alone=alone)
        return Done(len(keys), moved.copies)

    async def release(self, by: Person, which: Sequence[RemoteKey] | None, *, alone: bool = False) -> Done:
        """Let them be written again; without names, all that are held."""
        keys = await asyncio.to_thread(self._views.look, lambda view: view.held_keys()) if which is None else which
        moved = await holding.release(self._desk(by).store, self._rules, keys, alone=alone)
        await self._push(moved.due)
        return Done(len(keys), moved.copies)

    async def pause(self, by: Person, remote: str) -> RemoteState:
        """Send nothing there. Answers with the state before."""
        return await operate.pause(self._desk(by).store, self._rules, remote)

    async def resume(self, by: Person, remote: str) -> RemoteState:
        """Send there again. Answers with the state before."""
        before = await operate.resume(self._desk(by).store, self._rules, remote)
        await self._push([remote])
        return before

    async def retry_parked(self, by: Person, which: Sequence[RemoteKey] | ParkedFilter) -> Done:
        """Make parked copies due."""
        keys = await self._parked(which)
        moved = await operate.retry_parked(self._desk(by).store, self._rules, keys)
        await self._push(moved.due)
        return Done(len(keys), moved.copies)

    async def discard_parked(self, by: Person, which: Sequence[RemoteKey] | ParkedFilter) -> Done:
        """Give parked copies up."""
        keys = await self._parked(which)
        moved = await operate.discard_parked(self._desk(by).store, self._rules, keys)
        await self._push(moved.due)
        return Done(len(keys), moved.copies)

    async def resolve(self, by: Person, which: Sequence[HeldField] | HeldFilter, use: str) -> Done:
        """Decide held fields: what the remote `use` shows, or `wanted`."""
        resolve.check(use, self._rules)
        held = await self._held(which)
        resolved = await resolve.resolve(self._desk(by).store, self._rules, held, use=use)
        await self._push(resolved.due)
        return Done(len(held), resolved.fields)

    async def apply(self, by: Person, digits: str) -> ApplyDocument:
        """Let through what a plan showed. Does not wait until it is there."""
        store = self._desk(by).store
        plan = await applying.find(store, digits)
        done = await applying.apply(store, self._rules, plan)
        await self._push(done.due)
        return applied(plan, done, done.let_through, waited=False)

    async def scan(self, by: Person, remote: str) -> Scan:
        """Read every list of a remote now."""
        operate.known(remote, self._rules)
        scan = await self._desk(by).store.run(lambda tx: schedule.ask(tx, remote))
        await asyncio.to_thread(ring_scan, self._runtime, remote)
        return scan

    async def decide(self, by: Person, scan: int, *, release: bool) -> Scan:
        """Let a held scan go on, or refuse what it found."""
        decided = await self._desk(by).store.run(lambda tx: schedule.decide(tx, scan, release=release))
        if release:
            await asyncio.to_thread(ring_scan, self._runtime, decided.remote)
        return decided

    async def retry_rejects(self, by: Person, ids: Sequence[int] | None) -> Done:
        """Put rejected events back into the stream; without ids, all of them."""
        known = await asyncio.to_thread(self._views.look, lambda view: view.reject_ids())
        missing = set(ids or ()).difference(known)
        if missing:
            raise NotKnown(f"there is no reject {min(missing)}; leadsync rejects list shows what there is")
        chosen, shelf = known if ids is None else sorted(set(ids)), SqlRejects(self._engine, by.name)

        def add(events: Sequence[str]) -> object:
            return add_events(self._runtime, events)

        return Done(len(chosen), await asyncio.to_thread(operate.retry_rejects, shelf, add, chosen))

    def close(self) -> None:
        """Hang up."""
        self._engine.dispose()

    def _desk(self, by: Person) -> Desk:
        return Desk(self._runtime, self._views, by.name)

    async def _push(self, remotes: Sequence[str] | frozenset[str]) -> None:
        if remotes:
            await asyncio.to_thread(ring_push, self._runtime, remotes)

    async def _parked(self, which: Sequence[RemoteKey] | ParkedFilter) -> Sequence[RemoteKey]:
        everything = which if isinstance(which, ParkedFilter) else ParkedFilter()
        parked: list[RemoteKey] = await asyncio.to_thread(self._views.look, lambda view: view.parked_keys(everything))
        if isinstance(which, ParkedFilter):
            return parked
        there = set(parked)
        for key in which:
            if key not in there:
                raise NotPossible(f"{':'.join(key)} is not parked; leadsync parked list shows what is")
        return which

    async def _held(self, which: Sequence[HeldField] | HeldFilter) -> Sequence[HeldField]:
        if isinstance(which, HeldFilter):
            return await decidable(self._views, which)
        for key, field in which:
            if not await is_held(self._runtime, key, field):
                raise NotPossible(f"{field} of {':'.join(key)} is not held; leadsync conflicts list shows what is")
        return which
