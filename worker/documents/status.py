"""The document of `leadsync status`: counts that add up, and the state of each remote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from models.lead_list import Standing, Waiting
from models.scan import Scan
from worker.documents.numbers import NumbersDocument, ask_numbers
from worker.documents.remotes import UNKNOWN, Brakes, BudgetDocument, Unknown, age_s, ask_budgets, budget_document
from worker.documents.scans import HeldScan, held_scan
from worker.documents.stream import StreamDocument, ask_stream
from worker.documents.trouble import TroubleDocument, ask_trouble
from worker.store.views import Group, Tally, Views
from worker.sync.operate import BY_A_PERSON
from worker.wiring import Runtime

#: Standings that somebody must still bring to an end; excluded copies are meant to differ, and those on hold.
_UNSYNCED = (Standing.DUE, Standing.CONFLICT, Standing.PARKED)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyCounts:
    """Every copy is counted exactly once, and in `total`."""

    total: int
    in_sync: int
    due: int
    conflict: int
    excluded: int
    parked: int


@dataclass(frozen=True, slots=True)
class Scans:
    """What is known of all remotes' scans."""

    last_complete: Mapping[str, datetime]
    held: Mapping[str, Scan]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteDocument:
    """One remote."""

    state: Literal["active", "paused", "unknown"]
    #: Why it is paused, or not known, and what to do; null for an active one.
    cause: str | None
    next_step: str | None
    since: datetime | None
    budget: BudgetDocument | Unknown
    #: Its copies, which add up too.
    copies: CopyCounts
    #: When its last complete scan began; null when there was none yet.
    last_complete_scan: datetime | None
    #: A scan that waits for a person; null when there is none.
    held_scan: HeldScan | None
    #: Members of its lists that are wanted and that it cannot be told of; one that is on two lists counts twice.
    excluded_members: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusDocument:
    """Everything at a glance."""

    lists: int
    copies: CopyCounts
    due_by_reason: dict[str, int]
    oldest_unsynced_s: float | None
    remotes: dict[str, RemoteDocument]
    stream: StreamDocument | Unknown
    numbers: NumbersDocument | Unknown
    #: What keeps leadsync from working at this moment: Redis or the database is away, or has no room.
    trouble: list[TroubleDocument]

    @property
    def needs_a_person(self) -> bool:
        """Something is parked or in conflict, a scan is held, a remote refused our credentials, the numbers did not add
        up, or Redis or the database takes nothing, so that nobody calls.
        """
        away = any(one.state == UNKNOWN for one in self.remotes.values())
        lost = any(one.state == "paused" and one.cause != BY_A_PERSON for one in self.remotes.values())
        wrong = not isinstance(self.numbers, str) and self.numbers.mismatches > 0
        braked = self.due_by_reason.get(Waiting.BRAKE, 0)
        held = any(one.held_scan is not None for one in self.remotes.values())
        away = away or bool(self.trouble)
        return away or lost or wrong or held or self.copies.parked + braked + self.copies.conflict > 0


async def status(runtime: Runtime, views: Views, counted: Tally | None = None) -> StatusDocument:
    """Ask database and Redis; `counted` by somebody else a moment ago. Raises when the database cannot be asked."""
    budgets, stream, numbers, trouble = await asyncio.gather(
        ask_budgets(runtime), ask_stream(runtime), ask_numbers(runtime), ask_trouble(runtime, views)
    )
    tally, states, scans = await asyncio.to_thread(
        views.look,
        lambda view: (
            counted or view.tally(),
            view.remote_states(),
            Scans(view.scans.last_complete(), view.scans.held()),
        ),
    )
    brakes = Brakes(frozenset(runtime.settings.remotes), states, budgets)
    names = sorted(brakes.configured | {group.remote for group in tally.groups})
    return StatusDocument(
        lists=tally.lists,
        copies=_counts(tally.groups),
        due_by_reason=_by_reason(tally.groups, brakes),
        oldest_unsynced_s=age_s(_oldest(tally.groups), tally.now),
        remotes={
            name: _remote(name, [one for one in tally.groups if one.remote == name], brakes, scans, trouble)
            for name in names
        },
        stream=stream,
        numbers=numbers,
        trouble=trouble,
    )


def _remote(
    name: str, groups: list[Group], brakes: Brakes, scans: Scans, trouble: Iterable[TroubleDocument]
) -> RemoteDocument:
    state, word = brakes.state(name), brakes.word(name)
    cause, step = state.cause, state.next_step
    if name not in brakes.configured:
        cause, step = "not in the settings", f"add [remotes.{name}] to the settings again, or unlink its lists"
    elif word == "unknown":
        cause, step = "Redis does not answer, so nobody calls", "start Redis, or leadsync up; then: leadsync doctor"
        for redis in (one for one in trouble if one.what == "redis" and one.refuses):
            cause, step = f"{redis.says}, so nobody calls", redis.next_step
    held = word != "active"
    return RemoteDocument(
        state=word,
        cause=cause if held else None,
        next_step=step if held else None,
        since=state.since if word == "paused" else None,
        budget=budget_document(brakes.budgets.get(name)),
        copies=_counts(groups),
        last_complete_scan=scans.last_complete.get(name),
        held_scan=held_scan(scans.held.get(name)),
        excluded_members=sum(group.excluded for group in groups),
    )


def _counts(groups: Iterable[Group]) -> CopyCounts:
    count = Counter[Standing]()
    for group in groups:
        count[group.standing] += group.copies
    return CopyCounts(total=count.total(), **{standing.value: count[standing] for standing in Standing})


def _by_reason(groups: Iterable[Group], brakes: Brakes) -> dict[str, int]:
    count = Counter[Waiting]()
    for group in groups:
        if group.standing is Standing.DUE:
            count[Waiting.IN_FLIGHT] += group.in_flight
            count[brakes.waiting(group.remote, group.waiting)] += group.copies - group.in_flight
    return {waiting.value: count[waiting] for waiting in Waiting if count[waiting]}


def _oldest(groups: Iterable[Group]) -> datetime | None:
    late = (one for one in groups if one.standing in _UNSYNCED and one.waiting is not Waiting.HOLD)
    return min((one.since for one in late if one.since), default=None)
