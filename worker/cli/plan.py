"""`leadsync plan` and `leadsync apply`: see what would be sent, and send exactly that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.asking import Yes, confirm
from worker.cli.lists import After, next_page
from worker.cli.output import Json, say
from worker.cli.render import cell, cut, line, show, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.lead_list import Value
    from worker.documents.plan import ApplyDocument, ApplyLine, PlanDocument, PlanLine

#: Copies that are named in a sentence; of the others only the number is told.
_SOME = 3


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(plan)
    app.command()(apply)


def plan(
    *,
    remote: Annotated[str | None, typer.Option(help="What would be sent to this remote.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many lists at most; the plan holds no others.")] = None,
    after: After = None,
    json: Json = False,
) -> None:
    """What would be sent now, with a hash. Nothing is sent; apply HASH sends exactly that."""
    from worker.cli.opening import at_desk
    from worker.documents.plan import plan as ask

    with at_desk() as desk:
        found = desk.runtime.run(ask(desk.runtime, remote=remote, limit=limit, after=after))
    show(found, _plan_text, json=json)


def apply(
    digits: Annotated[str, typer.Argument(metavar="HASH", help="As leadsync plan printed it.")],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until all of it was sent, or needs a person.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Send what a plan showed. What has moved since is not sent."""
    from worker.cli.opening import at_desk, ring_push
    from worker.documents.plan import applied as tell
    from worker.sync import apply as use_case

    with at_desk() as desk:
        runtime, rules, store = desk.runtime, desk.runtime.registry.rules, desk.runtime.store
        kept = runtime.run(use_case.find(store, digits))
        ready = runtime.run(use_case.judge(store, rules, kept)).count[use_case.Fate.READY]
        if ready:
            confirm(f"{ready} of {len(kept.items)} copies will be sent what the plan showed", ready, yes=yes)
        done = first = runtime.run(use_case.apply(desk.store, rules, kept))
        ring_push(runtime, first.due)
        if wait:
            say("leadsync: waiting until all of it was sent; to stop waiting stops nothing else")
            done = runtime.run(use_case.follow(store, rules, runtime.clock, kept))
    document = tell(kept, done, first.let_through, waited=wait)
    show(document, _apply_text, json=json, look=document.needs_a_person)


def _plan_text(found: PlanDocument) -> None:
    if found.hash is None:
        line("nothing to send")
        return
    rows = [row for one in found.items for row in _rows(one)]
    table(["list", "copy", "field", "shown", "wanted", "waits for"], rows)
    lists = len({one.list_id for one in found.items})
    line(f"{len(found.items)} copies of {lists} lists; to send exactly this: leadsync apply {found.hash[:12]}")
    next_page(found.next)


def _rows(one: PlanLine) -> Iterator[list[object]]:
    """A row for each field; the list by its number and name."""
    copy = f"{one.remote} (new list)" if one.action == "create" else f"{one.remote}:{one.id}"
    head = [f"{one.list_id} {cut(cell(one.name), 30)}", copy]
    for name, move in one.fields.items():
        yield [*head, name, _value(move.shown), _value(move.wanted), one.waits_for]
    moves = [f"+{one.members_added.count}"] if one.members_added.count else []
    moves += [f"-{one.members_removed.count}"] if one.members_removed.count else []
    if moves:
        yield [*head, "members", "", " ".join(moves), one.waits_for]


def _value(value: Value) -> str:
    return cut(cell("empty" if value == "" else value), 40)


def _apply_text(done: ApplyDocument) -> None:
    from worker.sync.apply import Fate

    copies = done.copies
    if copies.total == copies.sent + copies.sending and not done.let_through:
        line(f"nothing to do: {copies.sent} of {copies.total} copies have what the plan showed, {copies.sending} wait")
        return
    line(f"let through {done.let_through} of {copies.total} copies; {copies.sent} have what the plan showed")
    fates = (Fate.MOVED, Fate.PARKED, Fate.HELD, Fate.PAUSED)
    moved, parked, held, paused = (done.having(fate) for fate in fates)
    if moved:
        line(f"{_lists(moved)} moved since: {_named(moved)}; look again: leadsync plan")
    if parked:
        line(f"{_lists(parked)} parked: {_named(parked)}; see: leadsync parked list")
    if held:
        line(f"{_lists(held)} held by a person: {_named(held)}; see: leadsync lists --on-hold")
    if paused:
        line(f"{_lists(paused)} held up by a paused remote: {_named(paused)}; see: leadsync status")


def _lists(lines: list[ApplyLine]) -> str:
    number = len({one.list_id for one in lines})
    return f"{number} list{'s' if number > 1 else ''}"


def _named(lines: list[ApplyLine]) -> str:
    more = f" and {len(lines) - _SOME} more" if len(lines) > _SOME else ""
    return ", ".join(f"{one.remote}:{one.id}" for one in lines[:_SOME]) + more
