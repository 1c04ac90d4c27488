"""`leadsync lists` and `leadsync show`: lead lists, and everything about one of them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from worker.cli.output import Json
from worker.cli.render import NOTHING, cell, cut, line, show, table, words

if TYPE_CHECKING:
    from worker.documents.lists import CopyLine, ListLine, PageDocument
    from worker.documents.show import AttemptDocument, ChangeDocument, CopyDocument, ShowDocument, Some
    from worker.store.member_views import Excluded

Order = Literal["number", "name", "standing", "age"]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="Rows on one page.")]
After = Annotated[str | None, typer.Option(help="The cursor that the page before ended with.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(lists)
    app.command(name="show")(show_list)


def lists(
    *,
    due: Annotated[bool, typer.Option("--due", help="Those with a copy that is due.")] = False,
    parked: Annotated[bool, typer.Option("--parked", help="Those with a parked copy.")] = False,
    conflict: Annotated[bool, typer.Option("--conflict", help="Those with a copy in conflict.")] = False,
    on_hold: Annotated[bool, typer.Option("--on-hold", help="Only those that people hold, or a copy of.")] = False,
    sort: Annotated[Order, typer.Option(help="standing: the most urgent first; age: the oldest first.")] = "number",
    down: Annotated[bool, typer.Option("--down", help="The other way round.")] = False,
    limit: Limit = 50,
    after: After = None,
    json: Json = False,
) -> None:
    """Lead lists and how their copies stand. Several options show all that one of them would show."""
    from models.lead_list import Standing
    from worker.cli.opening import at_desk
    from worker.documents.lists import is_braked
    from worker.documents.lists import lists as ask
    from worker.store.list_views import ListFilter, Sort

    asked = ((due, Standing.DUE), (parked, Standing.PARKED), (conflict, Standing.CONFLICT))
    standings = [standing for chosen, standing in asked if chosen]
    which, order = ListFilter(on_hold=on_hold), Sort(sort)
    with at_desk() as desk:
        found = ask(desk.runtime, desk.views, standings, limit=limit, after=after, which=which, sort=order, down=down)
        page = desk.runtime.run(found)
    urgent = any(one.standing in (Standing.PARKED, Standing.CONFLICT) or is_braked(one) for one in page.items)
    show(page, _lists_text, json=json, look=urgent)


def show_list(
    name: Annotated[str, typer.Argument(metavar="REMOTE:ID")],
    *,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="Steps of its history.")] = 20,
    json: Json = False,
) -> None:
    """One list: wanted beside each copy, why each field is or is not sent, and its history."""
    from worker.cli.opening import at_desk, remote_key
    from worker.documents.show import show as ask

    key = remote_key(name)
    with at_desk() as desk:
        found = desk.runtime.run(ask(desk.runtime, desk.views, key, history=limit))
    show(found, _show_text, json=json, look=found.needs_a_person)


def next_page(cursor: str | None) -> None:
    """Say how to see more."""
    if cursor is not None:
        line(f"more: add --after {shlex.quote(cursor)}")


def _lists_text(page: PageDocument[ListLine]) -> None:
    rows = [[_name(one), cut(cell(one.name)), words(one.standing), _where(one.copies), one.since] for one in page.items]
    table(["list", "name", "standing", "copies", "not in sync since"], rows)
    for one in page.items:
        if one.next_step:
            line(one.next_step)
    next_page(page.next)


def _name(one: ListLine) -> str:
    """What `leadsync show` takes; one of its copies is enough."""
    from models.lead_list import PENDING

    names = [(copy.id.startswith(PENDING), f"{remote}:{copy.id}") for remote, copy in one.copies.items()]
    return min(names, key=lambda name: name[0])[1]


def _where(copies: dict[str, CopyLine]) -> str:
    """The remotes; with how each copy stands, unless they all stand alike."""
    if len({_standing(copy) for copy in copies.values()}) == 1:
        return ", ".join(copies)
    return ", ".join(f"{remote} {_standing(copy)}" for remote, copy in copies.items())


def _to_come(copy: CopyDocument) -> str:
    from models.lead_list import PENDING

    return " (to be created there)" if copy.id.startswith(PENDING) else ""


def _standing(copy: CopyLine | CopyDocument) -> str:
    return words(copy.standing) if copy.waiting is None else f"{words(copy.standing)} ({copy.waiting})"


def _show_text(found: ShowDocument) -> None:
    line(f"lead list {found.id}, {found.kind or 'kind not known yet'}: {words(found.standing)}")
    copies = found.copies.items()
    for remote, copy in copies:
        line(f"  {remote}:{copy.id}{_to_come(copy)} {_standing(copy)}")
        for text in _about(copy):
            line(f"    {text}")
    if found.next_step:
        line(f"  {found.next_step}")
    line()
    fields = ("name", "owner", "enrichment", "members")
    rows = [[field, _wanted(found, field), *(_shown(copy, field) for _, copy in copies)] for field in fields]
    table(["", "wanted", *(remote for remote, _ in copies)], rows)
    if any(copy.explained for _, copy in copies):
        line()
        width = max(len(remote) for remote, _ in copies)
        for remote, copy in copies:
            for name, text in zip([remote, *[""] * len(fields)], _why(copy), strict=False):
                line(f"{name:{width}}  {text}")
    if found.history:
        line()
        table(["at", "what", "where", "details"], [_past(one) for one in found.history])


def _wanted(found: ShowDocument, field: str) -> str:
    if field == "members":
        return str(found.members)
    wanted = found.wanted.get(field)
    return f"{_value(wanted.value)} [{wanted.origin}]" if wanted else NOTHING


def _shown(copy: CopyDocument, field: str) -> str:
    shown = _value(copy.fields[field]) if field in copy.fields else NOTHING
    reason = copy.reasons.get(field)
    return f"{shown} [{reason}]" if reason else shown


def _why(copy: CopyDocument) -> list[str]:
    """A line for each sentence, with the fields that it explains."""
    fields: dict[str, list[str]] = {}
    for field, sentence in copy.explained.items():
        fields.setdefault(sentence, []).append(field)
    return [f"{', '.join(names)}: {sentence}" for sentence, names in fields.items()]


def _value(value: Any) -> str:
    return "empty" if value is None or value == "" else cut(cell(value), 40)


def _about(copy: CopyDocument) -> list[str]:
    from worker.documents.explain import failed

    told = []
    if copy.would_send:
        sent = [f"{field} = {_value(value)}" for field, value in copy.would_send.fields.items()]
        sent += [f"{word} {_some(some)}" for word, some in _moves(copy) if some.count]
        told.append(f"would send {', '.join(sent)}")
    elif copy.members_missing and copy.members_missing.count:
        told.append(f"lacks members: {_some(copy.members_missing)}")
    if copy.members_excluded and copy.members_excluded.count:
        told += _excluded(copy.members_excluded)
    if copy.due_at:
        after = f", after {failed(copy.tries)}" if copy.tries else ""
        told.append(f"due at {cell(copy.due_at)}{after}")
    if copy.cause:
        told.append(f"{copy.cause}; next: {copy.next_step}")
    return told


def _excluded(found: Excluded) -> list[str]:
    told = [f"members that are wanted and that it cannot be told of: {found.count}"]
    for why, count in found.reasons.items():
        first = [key for key, reason in found.first.items() if reason == why]
        told.append(f"    {_some_of(count, first)}: {why}" if first else f"    {count}: {why}")
    return told


def _moves(copy: CopyDocument) -> list[tuple[str, Some]]:
    would = copy.would_send
    return [("members added:", would.members_added), ("members removed:", would.members_removed)] if would else []


def _some(some: Some) -> str:
    return _some_of(some.count, some.first)


def _some_of(count: int, first: list[str]) -> str:
    more = count - len(first)
    return f"{count} ({', '.join(first)}{f' and {more} more' if more else ''})"


def _past(one: ChangeDocument | AttemptDocument) -> list[object]:
    if one.what == "change":
        moved = f"{one.field}: {_short(one.old)} → {_short(one.new)}" if one.field else one.new or one.old
        return [one.at, one.kind, one.origin, f"{moved}, by {one.cause}"]
    sent = ", ".join(f"{field} = {_short(value)}" for field, value in one.sent.items())
    status = "no answer" if one.status is None else one.status
    told = f"{status} {one.outcome} in {one.duration_ms:.0f} ms"
    return [one.at, one.action, one.remote, "; ".join(part for part in (sent, told, one.note) if part)]


def _short(value: Any) -> str:
    return _value(value) if not hasattr(value, "first") else _some(value)
