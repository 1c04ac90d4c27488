"""`leadsync status`: everything at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from worker.cli.output import Json
from worker.cli.render import NOTHING, duration, line, show, table, words

if TYPE_CHECKING:
    from worker.documents.numbers import NumbersDocument
    from worker.documents.remotes import BudgetDocument
    from worker.documents.status import CopyCounts, StatusDocument
    from worker.documents.stream import StreamDocument

_STANDINGS = ("in_sync", "due", "conflict", "excluded", "parked")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(status)


def status(*, json: Json = False) -> None:
    """How all copies stand, why due ones wait, and the state of each remote."""
    from worker.cli.opening import at_desk
    from worker.documents.status import status as ask

    with at_desk() as desk:
        found = desk.runtime.run(ask(desk.runtime, desk.views))
    show(found, _text, json=json, look=found.needs_a_person)


def _text(found: StatusDocument) -> None:
    counts = [[name, *_counts(one.copies)] for name, one in found.remotes.items()]
    table(["", "copies", *map(words, _STANDINGS)], [*counts, ["all", *_counts(found.copies)]])
    line()
    remotes = found.remotes.items()
    table(
        ["", "state", "rate budget", "last complete scan", "excluded members"],
        [[name, one.state, _budget(one.budget), one.last_complete_scan, one.excluded_members] for name, one in remotes],
    )
    line()
    reasons = ", ".join(f"{count} {reason}" for reason, count in found.due_by_reason.items())
    line(f"{found.lists} lead lists; due by reason: {reasons or NOTHING}")
    line(f"oldest copy that is not in sync: {duration(found.oldest_unsynced_s)}")
    line(f"events: {_stream(found.stream)}")
    line(f"numbers: {_numbers(found.numbers)}")
    trouble: dict[str, list[str]] = {}
    for name, one in remotes:
        if one.cause:
            trouble.setdefault(f"{one.state}: {one.cause}; next: {one.next_step}", []).append(name)
        if one.held_scan:
            held = one.held_scan
            trouble.setdefault(f"scan {held.id} is held: {held.reason}; next: {held.next_step}", []).append(name)
    for text, names in trouble.items():
        line(f"{', '.join(names)} {text}")
    for wrong in found.trouble:
        line(f"{wrong.says}; next: {wrong.next_step}")


def _counts(counts: CopyCounts) -> list[int]:
    return [counts.total, *(getattr(counts, standing) for standing in _STANDINGS)]


def _budget(budget: BudgetDocument | str) -> str:
    if isinstance(budget, str):
        return budget
    if budget.breaker_s is not None:
        return f"breaker open, probe in {duration(budget.breaker_s)}"
    if budget.backoff_s:
        return f"backs off for {duration(budget.backoff_s)}"
    used = ", ".join(f"{budget.used[window]}/{limit} a {window}" for window, limit in budget.limit.items())
    return used if budget.share >= 1 else f"{used} ({budget.share:.0%} after a 429)"


def _stream(stream: StreamDocument | str) -> str:
    return stream if isinstance(stream, str) else f"{stream.waiting} waiting, {stream.pending} being taken in"


def _numbers(numbers: NumbersDocument | str) -> str:
    if isinstance(numbers, str):
        return numbers
    says = f"{numbers.lists_checked} lists checked, the last {duration(numbers.age_s)} ago"
    wrong = numbers.mismatches
    return f"{says}; {wrong} mismatches, mended: see the workers' log" if wrong else f"{says}; they add up"
