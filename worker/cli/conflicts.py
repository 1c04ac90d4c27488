"""`leadsync conflicts list | resolve`: fields that wait for a person, because of policy `hold` or of the brake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.asking import Yes, confirm
from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Exit, Json, document
from worker.cli.render import NOTHING, cell, cut, line, show
from worker.errors import NotPossible, UsageError

if TYPE_CHECKING:
    from worker.cli.opening import Desk
    from worker.documents.conflicts import HeldDocument, ShownDocument
    from worker.documents.lists import PageDocument
    from worker.documents.show import Some
    from worker.store.held_views import HeldFilter
    from worker.sync.resolve import HeldField, Resolved

conflicts = typer.Typer(help="Fields that wait for a person: edited on two sides, or braked.", no_args_is_help=True)

Remote = Annotated[str | None, typer.Option(help="Those that are held on this remote.")]
OfField = Annotated[str | None, typer.Option("--field", help="Those of this field: name, owner, enrichment, members.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(conflicts, name="conflicts")


@conflicts.command(name="list")
def list_conflicts(
    *, remote: Remote = None, field: OfField = None, limit: Limit = 50, after: After = None, json: Json = False
) -> None:
    """Each held field with what is wanted and what every remote shows. A page is so many lists."""
    from worker.cli.opening import at_desk
    from worker.documents.conflicts import conflicts as ask

    with at_desk() as desk:
        page = desk.runtime.run(ask(desk.runtime, desk.views, _filter(remote, field), limit=limit, after=after))
    show(page, _text, json=json, look=bool(page.items))


@conflicts.command()
def resolve(
    name: Annotated[str | None, typer.Argument(metavar="[REMOTE:ID")] = None,
    of_field: Annotated[str | None, typer.Argument(metavar="FIELD]")] = None,
    *,
    use: Annotated[str, typer.Option(metavar="REMOTE|wanted", help="Whose value it is to be.")],
    remote: Remote = None,
    field: OfField = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Decide: what REMOTE shows becomes wanted everywhere; or what is wanted overwrites what was held."""
    from worker.cli.opening import at_desk, ring_push
    from worker.sync import resolve as deciding

    named = name is not None
    if named == (remote is not None or field is not None or every) or named != (of_field is not None):
        raise UsageError("say which: REMOTE:ID FIELD, or a filter: --remote, --field or --all")
    with at_desk() as desk:
        runtime, rules = desk.runtime, desk.runtime.registry.rules
        deciding.check(use, rules)
        which = [_named(desk, name, of_field)] if name and of_field else _chosen(desk, _filter(remote, field))
        confirm(f"{len(which)} held fields will be decided: {_meaning(use)}", len(which), yes=yes)
        resolved = runtime.run(deciding.resolve(desk.store, rules, which, use=use))
        ring_push(runtime, resolved.due)
    _tell(len(which), resolved, use, json=json)


def _filter(remote: str | None, field: str | None) -> HeldFilter:
    from worker.store.held_views import HeldFilter
    from worker.sync.resolve import field_named

    return HeldFilter(remote, None if field is None else field_named(field))


def _named(desk: Desk, name: str, field: str) -> HeldField:
    from worker.cli.opening import remote_key
    from worker.documents.conflicts import is_held
    from worker.sync.resolve import field_named

    key, known = remote_key(name), field_named(field)
    if not desk.runtime.run(is_held(desk.runtime, key, known)):
        raise NotPossible(f"{field} of {name} is not held; leadsync conflicts list shows what is")
    return key, known


def _chosen(desk: Desk, which: HeldFilter) -> list[HeldField]:
    from worker.documents.conflicts import decidable

    return desk.runtime.run(decidable(desk.views, which))


def _meaning(use: str) -> str:
    return "what is wanted stays" if use == "wanted" else f"what {use} shows becomes wanted"


def _tell(matched: int, resolved: Resolved, use: str, *, json: bool) -> None:
    left = matched - resolved.fields
    if json:
        document({"matched": matched, "resolved": resolved.fields})
    else:
        line(f"{resolved.fields} held fields are decided: {_meaning(use)}")
        if left:
            line(f"{left} are left as they were: {use} has not shown them, or somebody else decided them")
    if left:
        raise typer.Exit(Exit.LOOK)


def _text(page: PageDocument[HeldDocument]) -> None:
    for one in page.items:
        remote, shown = next(iter(one.shows.items()))
        line(f"{remote}:{shown.id} {cut(cell(one.name))}: {one.field}, {_why(one)}")
        line(f"    wanted: {_wanted(one)}")
        for where, copy in one.shows.items():
            line(f"    {where}:{copy.id} shows {_shows(copy)}{' (held)' if copy.held else ''}")
            for text in _members(where, copy):
                line(f"        {text}")
        line(f"    next: {one.next_step}")
    if not page.items:
        line("none")
    next_page(page.next)


def _why(one: HeldDocument) -> str:
    return "edited on two sides" if one.why == "conflict" else "so many would go at once that the brake holds it"


def _wanted(one: HeldDocument) -> str:
    if one.wanted is None:
        return NOTHING if one.members is None else f"{one.members} members"
    return f"{_value(one.wanted.value)} [{one.wanted.origin}, {cell(one.wanted.stamp)}]"


def _shows(copy: ShownDocument) -> str:
    if copy.members_missing is not None:
        return f"{copy.value} members"
    return f"{_value(copy.value)} [{cell(copy.stamp)}]"


def _value(value: Any) -> str:
    return "empty" if value is None or value == "" else cut(cell(value))


def _members(remote: str, copy: ShownDocument) -> list[str]:
    """What the two answers would do to members."""
    if not copy.held:
        return []
    told = []
    if copy.members_missing and copy.members_missing.count:
        told.append(f"lacks {_some(copy.members_missing)}; --use {remote} lets them go everywhere")
    if copy.members_surplus and copy.members_surplus.count:
        told.append(f"has {_some(copy.members_surplus)} that are not wanted; --use wanted removes them there")
    return told


def _some(some: Some) -> str:
    more = some.count - len(some.first)
    return f"{some.count} ({', '.join(some.first)}{f' and {more} more' if more else ''})"
