"""The document of `leadsync show`: wanted beside each copy, why each field is or is not sent, and the history."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from models.lead_list import WHOLE, Copy, Field, LeadList, Standing, Value, Waiting
from models.ledger import Attempt, Change
from models.patch import CopyPlan, Patch, Reason
from worker.documents.explain import Explained
from worker.documents.holds import HoldDocument, cause_of, holds_of, line_of, step_of
from worker.documents.lists import link_step, overall
from worker.documents.remotes import Brakes, ask_budgets
from worker.engine import members
from worker.engine.plan import plan
from worker.engine.rules import RemoteRules
from worker.ports import RemoteKey, Tx
from worker.store.ledger_views import Past
from worker.store.member_views import Excluded
from worker.store.views import MemberCounts, View, Views
from worker.sync.operate import not_known
from worker.wiring import Runtime

#: Members that are named; of the others only the number is told.
SOME_MEMBERS = 20


@dataclass(frozen=True, slots=True)
class Some:
    """Some members: how many, and the first of them by name."""

    count: int
    first: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedDocument:
    """The agreed value of one field, who set it and when."""

    value: Value
    origin: str
    stamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldSend:
    """What push would send to one copy now."""

    fields: dict[str, Value]
    members_added: Some
    members_removed: Some


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyDocument:
    """One copy beside what is wanted."""

    id: str
    standing: Standing
    waiting: Waiting | None
    due_at: datetime | None
    since: datetime | None
    #: Failed calls in a row.
    tries: int
    #: What it last showed; a field that is not named was never seen. Of members, how many.
    fields: dict[str, Value | int]
    #: Why each field is, or is not, part of the next patch.
    reasons: dict[str, str]
    #: The same as a sentence, with what it waits for.
    explained: dict[str, str]
    #: null when nothing would be sent.
    would_send: WouldSend | None
    #: What its members lack and have too much; null where members are not written.
    members_missing: Some | None
    members_surplus: Some | None
    #: Wanted members that it cannot be told of, and why; null where members are not written.
    members_excluded: Excluded | None
    #: Fields in a held conflict, with what this remote showed.
    held: dict[str, Value]
    cause: str | None
    next_step: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDocument:
    """One step in the history: what was agreed."""

    what: Literal["change"]
    at: datetime
    kind: str
    field: str | None
    old: Any
    new: Any
    origin: str
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDocument:
    """One step in the history: a call."""

    what: Literal["attempt"]
    at: datetime
    remote: str
    action: str
    lane: str
    sent: dict[str, Any]
    status: int | None
    outcome: str
    note: str
    duration_ms: float
    lag_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowDocument:
    """One lead list."""

    id: int
    kind: str | None
    standing: Standing
    next_step: str | None
    #: What people hold of it: nothing is written there until it is released.
    holds: list[HoldDocument]
    wanted: dict[str, WantedDocument]
    #: How many members are wanted.
    members: int
    copies: dict[str, CopyDocument]
    #: Changes and attempts, newest last.
    history: list[ChangeDocument | AttemptDocument]

    @property
    def needs_a_person(self) -> bool:
        """One of its copies is parked or in conflict, or the brake holds it."""
        copies = self.copies.values()
        waits = any(copy.waiting is Waiting.BRAKE for copy in copies)
        return waits or any(one.standing in (Standing.PARKED, Standing.CONFLICT) or one.held for one in copies)


async def show(runtime: Runtime, views: Views, key: RemoteKey, *, history: int) -> ShowDocument:
    """Everything about the lead list that this copy belongs to. Raises `NotPossible` when there is none."""

    def load(tx: Tx) -> tuple[LeadList, datetime]:
        number = tx.find([key]).get(key)
        lists = tx.load([number]) if number is not None else {}
        if number is None or number not in lists:
            raise not_known(key)
        return lists[number], tx.now

    budgets = await ask_budgets(runtime)
    lead_list, now = await runtime.store.run(load)
    remotes = sorted(lead_list.copies)
    states, counts, past = await asyncio.to_thread(
        views.look,
        lambda view: (
            view.remote_states(),
            _counted(view, lead_list.id, remotes),
            view.ledger.history(lead_list.id, history),
        ),
    )
    brakes = Brakes(frozenset(runtime.settings.remotes), states, budgets)
    rules = runtime.registry.rules.remotes
    copies = {name: lead_list.copies[name] for name in remotes}
    return ShowDocument(
        id=lead_list.id,
        kind=lead_list.kind,
        standing=overall([copy.standing for copy in copies.values()]),
        next_step=_next_step(lead_list, brakes),
        holds=holds_of(lead_list.holds),
        wanted={
            field.value: WantedDocument(value=one.value, origin=one.origin, stamp=one.stamp.time)
            for field, one in lead_list.wanted.items()
        },
        members=counts.wanted,
        copies={name: _copy(lead_list, copy, rules.get(name), counts, brakes, now) for name, copy in copies.items()},
        history=[_past(one) for one in past],
    )


def _next_step(lead_list: LeadList, brakes: Brakes) -> str | None:
    """For the list as a whole: to release it, or to link it."""
    names = {name: copy.remote_id for name, copy in sorted(lead_list.copies.items())}
    whole = {scope: hold for scope, hold in lead_list.holds.items() if scope == WHOLE}
    return line_of(whole, names.items()) or link_step(names, brakes.configured)


def _counted(view: View, number: int, remotes: list[str]) -> MemberCounts:
    return replace(view.members(number, remotes), excluded=view.people.excluded(number, remotes, SOME_MEMBERS))


def _copy(
    lead_list: LeadList, copy: Copy, rules: RemoteRules | None, counts: MemberCounts, brakes: Brakes, now: datetime
) -> CopyDocument:
    planned = plan(lead_list, copy, rules, now) if rules else None
    writes_members = rules is not None and rules.direction(Field.MEMBERS).writes
    missing, surplus = members.difference(lead_list.members, copy.remote) if writes_members else (None, None)
    due = copy.standing is Standing.DUE
    in_flight = copy.lease_until is not None and copy.lease_until > now
    cause, next_step = _what_to_do(lead_list, copy, brakes)
    waiting = brakes.waiting(copy.remote, copy.waiting, in_flight=in_flight) if due else None
    explained: dict[str, str] = {}
    if planned and rules:
        state = brakes.state(copy.remote)
        explained = Explained(
            lead_list=lead_list, copy=copy, planned=planned, rules=rules, waiting=waiting, state=state
        ).sentences()
    return CopyDocument(
        id=copy.remote_id,
        standing=copy.standing,
        waiting=waiting,
        due_at=copy.due_at,
        since=copy.since,
        tries=copy.tries,
        fields=_fields(copy, counts),
        reasons={field.value: reason.value for field, reason in planned.reasons.items()} if planned else {},
        explained=explained,
        would_send=_would_send(planned.patch) if planned and planned.patch else None,
        members_missing=some(missing),
        members_surplus=some(surplus),
        members_excluded=counts.excluded.get(copy.remote, Excluded()) if writes_members else None,
        held=_held(copy, planned),
        cause=cause,
        next_step=next_step,
    )


def _held(copy: Copy, planned: CopyPlan | None) -> dict[str, Value]:
    """What is marked and does not matter now, because nothing is wanted or nothing is written there, is not told."""
    holding = (Reason.CONFLICT, Reason.BRAKE)
    return {f.value: seen.value for f, seen in copy.held.items() if planned and planned.reasons[f] in holding}


def _what_to_do(lead_list: LeadList, copy: Copy, brakes: Brakes) -> tuple[str | None, str | None]:
    """Cause and next step of a copy that a person must see to, or holds alone."""
    if copy.remote not in brakes.configured:
        return f"{copy.remote} is not in the settings", f"add [remotes.{copy.remote}] again, or unlink this list"
    if copy.parked is not None and copy.standing is Standing.PARKED:
        return copy.parked.cause, copy.parked.next_step
    hold = lead_list.holds.get(copy.remote)
    if hold is not None and WHOLE not in lead_list.holds:
        return cause_of(hold), step_of(lead_list.holds, copy.remote, copy.remote_id)
    state = brakes.state(copy.remote)
    return (state.cause, state.next_step) if state.paused else (None, None)


def _fields(copy: Copy, counts: MemberCounts) -> dict[str, Value | int]:
    fields: dict[str, Value | int] = {f.value: seen.value for f, seen in copy.seen.items() if f is not Field.MEMBERS}
    if Field.MEMBERS in copy.seen or counts.shown[copy.remote]:
        fields[Field.MEMBERS.value] = counts.shown[copy.remote]
    return fields


def _would_send(patch: Patch) -> WouldSend:
    fields = {field.value: value for field, value in patch.fields.items()}
    return WouldSend(fields=fields, members_added=few(patch.add), members_removed=few(patch.remove))


def some(names: Collection[str] | None) -> Some | None:
    """The first of them; None stays unknown."""
    return None if names is None else few(names)


def few(names: Collection[str]) -> Some:
    """How many, and the first of them."""
    return Some(len(names), sorted(names)[:SOME_MEMBERS])


def _past(one: Past) -> ChangeDocument | AttemptDocument:
    match one.entry:
        case Change() as change:
            return ChangeDocument(
                what="change",
                at=one.at,
                kind=change.kind,
                field=change.field,
                old=_short(change.old),
                new=_short(change.new),
                origin=change.origin,
                cause=change.cause,
            )
        case Attempt() as attempt:
            return AttemptDocument(
                what="attempt",
                at=one.at,
                remote=attempt.remote,
                action=attempt.action,
                lane=attempt.lane,
                sent={name: _short(value) for name, value in attempt.sent.items()},
                status=attempt.status,
                outcome=attempt.outcome,
                note=attempt.note,
                duration_ms=round(attempt.duration_ms, 1),
                lag_ms=None if attempt.lag_ms is None else round(attempt.lag_ms, 1),
            )


def _short(value: Any) -> Any:
    """Members as some of them; a scalar as it is."""
    return few(value) if isinstance(value, list) else value
