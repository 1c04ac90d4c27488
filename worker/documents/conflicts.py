"""The document of `leadsync conflicts list`: every held field, with what is wanted and what each remote shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.lead_list import Copy, Field, LeadList, Value
from models.patch import Reason
from worker.documents.explain import resolve_step
from worker.documents.lists import PageDocument, cursor_number
from worker.documents.show import Some, WantedDocument, some
from worker.engine import members
from worker.engine.plan import plan
from worker.engine.rules import Rules
from worker.ports import RemoteKey, Tx
from worker.store.held_views import HeldFilter
from worker.store.views import MemberCounts, View, Views
from worker.sync.operate import not_known
from worker.sync.resolve import HeldField
from worker.wiring import Runtime

#: Reasons of fields that wait for a decision, in the words of this document.
_WHY: dict[Reason, Literal["conflict", "brake"]] = {Reason.CONFLICT: "conflict", Reason.BRAKE: "brake"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDocument:
    """What one remote shows for a held field."""

    id: str
    #: Its copy holds the field; others only show it.
    held: bool
    #: Of members, how many; null also where the field was never seen.
    value: Value | int
    #: When it said so, on its own clock; null where the field was never seen.
    stamp: datetime | None
    #: Wanted members that it does not show, and members it shows that are not wanted; null for other fields.
    members_missing: Some | None
    members_surplus: Some | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDocument:
    """One held field of one lead list."""

    list_id: int
    name: Value
    field: str
    why: Literal["conflict", "brake"]
    #: null for members.
    wanted: WantedDocument | None
    #: How many members are wanted; null for other fields.
    members: int | None
    shows: dict[str, ShownDocument]
    next_step: str


async def conflicts(
    runtime: Runtime, views: Views, which: HeldFilter, *, limit: int, after: str | None
) -> PageDocument[HeldDocument]:
    """Held fields, list by list: `limit` lists on one page."""
    start, rules = cursor_number(after), runtime.registry.rules
    numbers = await asyncio.to_thread(views.look, lambda view: view.held.lists(which, limit, start))
    some_numbers, more = numbers[:limit], len(numbers) > limit

    def load(tx: Tx) -> tuple[dict[int, LeadList], datetime]:
        return tx.load(some_numbers), tx.now

    lists, now = await runtime.store.run(load)
    found = [(one, field) for one in lists.values() for field in held_fields(one, rules, now, which)]
    counts = await asyncio.to_thread(views.look, lambda view: _counts(view, found))
    items = [_held(one, field, rules, now, counts.get(one.id)) for one, field in found]
    return PageDocument(items, str(some_numbers[-1]) if more else None)


async def decidable(views: Views, which: HeldFilter) -> list[HeldField]:
    """All held fields that are meant, each by a copy that holds it."""
    return await asyncio.to_thread(views.look, lambda view: view.held.fields(which))


async def is_held(runtime: Runtime, key: RemoteKey, field: Field) -> bool:
    """Whether a copy of the list that `key` belongs to holds the field. Raises `NotPossible` when there is none."""

    def ask(tx: Tx) -> bool:
        lists = tx.load(tx.find([key]).values())
        if not lists:
            raise not_known(key)
        return any(field in copy.held for one in lists.values() for copy in one.copies.values())

    return await runtime.store.run(ask)


def held_fields(lead_list: LeadList, rules: Rules, now: datetime, which: HeldFilter) -> Iterable[Field]:
    """Fields of the list that wait for a decision; a mark where nothing is written now is not one."""
    for field in Field:
        if which.field not in (None, field):
            continue
        holders = _holders(lead_list, field, rules, now)
        if holders and (which.remote is None or which.remote in holders):
            yield field


def _holders(lead_list: LeadList, field: Field, rules: Rules, now: datetime) -> dict[str, Reason]:
    """Remotes whose copy holds the field, and why."""
    reasons = {
        name: plan(lead_list, copy, rules.remotes[name], now).reasons[field]
        for name, copy in lead_list.copies.items()
        if field in copy.held and name in rules.remotes
    }
    return {name: reason for name, reason in reasons.items() if reason in _WHY}


def _counts(view: View, found: list[tuple[LeadList, Field]]) -> dict[int, MemberCounts]:
    lists = [one for one, field in found if field is Field.MEMBERS]
    return {one.id: view.members(one.id, sorted(one.copies)) for one in lists}


def _held(lead_list: LeadList, field: Field, rules: Rules, now: datetime, counts: MemberCounts | None) -> HeldDocument:
    holders = _holders(lead_list, field, rules, now)
    wanted, name = lead_list.wanted.get(field), lead_list.wanted.get(Field.NAME)
    counted = counts if field is Field.MEMBERS else None
    first = min(holders)
    return HeldDocument(
        list_id=lead_list.id,
        name=name.value if name else None,
        field=field.value,
        why=_WHY[holders[first]],
        wanted=WantedDocument(value=wanted.value, origin=wanted.origin, stamp=wanted.stamp.time) if wanted else None,
        members=counted.wanted if counted else None,
        shows={
            remote: _shown(lead_list, copy, field, counted, held=remote in holders)
            for remote, copy in sorted(lead_list.copies.items())
            if remote in holders or field in copy.seen
        },
        next_step=resolve_step(lead_list.copies[first], field),
    )


def _shown(lead_list: LeadList, copy: Copy, field: Field, counts: MemberCounts | None, *, held: bool) -> ShownDocument:
    seen = (copy.held if held else copy.seen).get(field)
    missing, surplus = members.difference(lead_list.members, copy.remote) if counts else (None, None)
    return ShownDocument(
        id=copy.remote_id,
        held=held,
        value=counts.shown[copy.remote] if counts else seen.value if seen else None,
        stamp=seen.stamp.time if seen else None,
        members_missing=some(missing),
        members_surplus=some(surplus),
    )
