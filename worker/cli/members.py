"""`leadsync members import | list | show`: who members are, who is on a list, and who cannot be told of where."""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Json
from worker.cli.render import cell, cut, line, show, table
from worker.errors import UsageError

if TYPE_CHECKING:
    from worker.documents.lists import PageDocument
    from worker.documents.members import ImportDocument, MemberDocument
    from worker.store.member_views import ListedMember

members = typer.Typer(help="Members: who they are, and who cannot be told of where.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(members, name="members")


@members.command(name="import")
def import_file(
    name: Annotated[str, typer.Argument(metavar="FILE.csv", help="- is standard input.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check it.")] = False,
    json: Json = False,
) -> None:
    """Learn who members are: key (the CRM's id), email, names, and ids on remotes. Nothing is sent from the file."""
    from worker.cli.opening import at_desk, ring_push
    from worker.cli.people_file import read
    from worker.documents.members import imported
    from worker.sync.teach import namer, teach

    with at_desk() as desk:
        runtime, rules = desk.runtime, desk.runtime.registry.rules
        namer(rules)
        with _opened(name) as file:
            rows = read(name, file, rules)
            ring = partial(ring_push, runtime)
            taught = runtime.run(teach(desk.store, rules, rows, only_check=dry_run, announce=ring))
    document = imported(taught, dry_run=dry_run)
    show(document, _import_text, json=json, look=document.refused > 0)


@members.command(name="list")
def list_members(
    name: Annotated[str, typer.Argument(metavar="REMOTE:ID")],
    *,
    excluded: Annotated[bool, typer.Option("--excluded", help="Those that a remote cannot be told of.")] = False,
    on: Annotated[str | None, typer.Option(help="Those that this remote shows; with --excluded: lacks.")] = None,
    limit: Limit = 50,
    after: After = None,
    json: Json = False,
) -> None:
    """Who is on a list: wanted or not, shown by which remotes, excluded where and why. Ordered by key."""
    from worker.cli.opening import at_desk, remote_key
    from worker.documents.members import members as ask

    key = remote_key(name)
    with at_desk() as desk:
        question = ask(desk.views, key, excluded=excluded, on=on, limit=limit, after=after)
        page = desk.runtime.run(question)
    show(page, _list_text, json=json)


@members.command(name="show")
def show_member(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The CRM's id, as members list shows it.")],
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Lists that are told.")] = 50,
    json: Json = False,
) -> None:
    """What is known of one member: its ids on each remote, its addresses and names, and the lists it is on."""
    from worker.cli.opening import at_desk
    from worker.documents.members import member as ask

    if not key or "\0" in key or any("\ud800" <= letter <= "\udfff" for letter in key):
        raise UsageError(f"expected a member's key, got {key!r}")
    with at_desk() as desk:
        found = desk.runtime.run(ask(desk.views, key, limit=limit))
    show(found, _show_text, json=json)


@contextlib.contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    """Spreadsheets begin UTF-8 with a mark; what is no UTF-8 is found row by row."""
    with contextlib.ExitStack() as opened:
        try:
            file = sys.stdin.buffer if name == "-" else opened.enter_context(Path(name).open("rb"))
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror}") from None
        yield io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")


def _import_text(found: ImportDocument) -> None:
    line(f"rows read: {found.rows}{', and nothing taken in' if found.dry_run else ''}")
    line(f"members with an id or an address that is new: {found.members}")
    if found.lists is not None:
        line(f"lists that move on by it: {found.lists}")
    if found.refused:
        line(f"rows refused, or not wholly taken in: {found.refused}")
    for one in found.first:
        line(f"    line {one.line}: {one.why}")
    if found.refused > len(found.first):
        line(f"    and {found.refused - len(found.first)} more")


def _list_text(page: PageDocument[ListedMember]) -> None:
    rows = [[one.key, one.wanted, ", ".join(one.shown_by) or None, _excluded(one)] for one in page.items]
    table(["member", "wanted", "shown by", "excluded from"], rows)
    next_page(page.next and shlex.quote(page.next))


def _excluded(one: ListedMember) -> str | None:
    return "; ".join(f"{remote}: {why}" for remote, why in one.excluded.items()) or None


def _show_text(found: MemberDocument) -> None:
    line(f"member {found.key}{'' if found.named else ': the CRM has not named it yet'}")
    name = " ".join(part for part in (found.first_name, found.last_name) if part)
    told = {"name": name, "company": found.company_name, "e-mail": ", ".join(found.emails)}
    told |= {f"id on {remote}": ", ".join(ids) for remote, ids in found.ids.items()}
    for word, text in told.items():
        if text:
            line(f"    {word}: {text}")
    line()
    rows = [
        [
            next((f"{remote}:{one.copies[remote]}" for remote in one.copies), one.list_id),
            cut(cell(one.name)),
            one.member.wanted,
            ", ".join(one.member.shown_by) or None,
            _excluded(one.member),
        ]
        for one in found.lists
    ]
    table(["list", "name", "wanted", "shown by", "excluded from"], rows)
    if found.more_lists:
        line("it is on more lists: add --limit")
