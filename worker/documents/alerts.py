"""Alerts: which states are bad now, and the document of `leadsync alerts list`. Judged by the task of that name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from models.alert import Alert, AlertKind, Judged
from models.lead_list import Standing
from models.scan import ScanState
from worker.documents.lists import PageDocument, as_page, cursor_number
from worker.documents.overview import Overview, Stored
from worker.documents.scans import held_scan
from worker.settings import AlertSettings
from worker.store.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """One alert of one state."""

    id: int
    at: datetime
    kind: str
    remote: str | None
    #: True when it turned bad, False when it recovered.
    bad: bool
    says: str
    next_step: str | None
    #: When a receiver took it, or, without one, when it was in the log; null while it must still be sent.
    told_at: datetime | None
    tries: int
    #: Why the last try failed.
    trouble: str | None


def judge(found: Overview, settings: AlertSettings) -> list[Judged]:
    """Every state that can be told now. Remotes that are not in the settings are no news."""
    judged = list[Judged]()
    if found.numbers is not None:
        judged.append(_numbers(found.numbers.mismatches))
    if found.stored is not None:
        for remote in sorted(found.stored.brakes.configured):
            judged += _remote(found.stored, remote, settings)
    return judged


async def alerts(views: Views, *, limit: int, after: str | None) -> tuple[PageDocument[AlertLine], int]:
    """What people were told, the newest first; and how many states are bad as they were told."""
    before = cursor_number(after) or None
    found, bad = await asyncio.to_thread(
        views.look, lambda view: (view.alerts.newest(limit, before), view.alerts.count_bad())
    )
    return as_page(found, limit, _line, lambda alert: str(alert.id)), bad


async def open_alerts(views: Views) -> PageDocument[AlertLine]:
    """States that are bad as people were told last, the newest first: some for each remote at most, on one page."""
    found = await asyncio.to_thread(views.look, lambda view: view.alerts.bad())
    return as_page(found, len(found), _line, lambda alert: str(alert.id))


def _numbers(mismatches: int) -> Judged:
    says = f"{mismatches} copies did not stand as they should, and were mended" if mismatches else "the numbers add up"
    step = "look for numbers_do_not_add_up in the workers' log, and report it" if mismatches else ""
    return Judged(kind=AlertKind.NUMBERS, about="", bad=mismatches > 0, says=says, next_step=step)


def _remote(found: Stored, remote: str, settings: AlertSettings) -> Iterator[Judged]:
    state, budget = found.brakes.state(remote), found.brakes.budgets.get(remote)
    yield Judged(
        kind=AlertKind.PAUSED,
        about=remote,
        bad=state.paused,
        says=f"{remote} is paused: {state.cause}" if state.paused else f"{remote} is not paused",
        next_step=state.next_step if state.paused else "",
    )
    if budget is not None:
        is_open = budget.breaker_s is not None
        yield Judged(
            kind=AlertKind.BREAKER,
            about=remote,
            bad=is_open,
            says=f"{remote} keeps failing; one probe at a time goes out" if is_open else f"{remote} answers",
            next_step=f"see whether {remote} is up; then none" if is_open else "",
        )
    if not state.paused:
        yield _stale(found.stale_s(remote), remote, settings.stale_after_s)
    yield _parked(found.copies(remote)[Standing.PARKED], remote, settings.parked_above)
    yield _scan(found, remote)


def _stale(seconds: float, remote: str, most_s: float) -> Judged:
    bad = seconds > most_s
    return Judged(
        kind=AlertKind.STALE,
        about=remote,
        bad=bad,
        says=f"a copy on {remote} has been due for more than {most_s:g} s"
        if bad
        else f"no copy on {remote} has been due for more than {most_s:g} s",
        next_step="leadsync status says what it waits for" if bad else "",
    )


def _parked(copies: int, remote: str, most: int) -> Judged:
    bad, one = copies > most, "no" if not copies else "1"
    return Judged(
        kind=AlertKind.PARKED,
        about=remote,
        bad=bad,
        says=f"{copies} copies on {remote} are parked" if copies > 1 else f"{one} copy on {remote} is parked",
        next_step=f"leadsync parked list --remote {remote}" if bad else "",
    )


def _scan(found: Stored, remote: str) -> Judged:
    held, last = held_scan(found.held.get(remote)), found.last_ended.get(remote)
    if held is not None:
        says, step = f"scan {held.id} of {remote} is held: {held.reason}", held.next_step
    elif last is not None and last.state is ScanState.INCOMPLETE:
        says, step = f"scan {last.id} of {remote} ended early: {last.note}", f"leadsync scan {remote} --wait"
    else:
        says, step = f"no scan of {remote} waits for anybody", ""
    return Judged(kind=AlertKind.SCAN, about=remote, bad=bool(step), says=says, next_step=step)


def _line(alert: Alert) -> AlertLine:
    return AlertLine(
        id=alert.id,
        at=alert.at,
        kind=alert.kind.value,
        remote=alert.about or None,
        bad=alert.bad,
        says=alert.says,
        next_step=alert.next_step or None,
        told_at=alert.told_at,
        tries=alert.tries,
        trouble=alert.trouble or None,
    )
