"""`leadsync parked list | retry | discard`: the copies that only a person can move on."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.asking import Yes, confirm
from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Json, document
from worker.cli.render import cell, cut, line, show
from worker.errors import UsageError

if TYPE_CHECKING:
    from worker.documents.lists import PageDocument, ParkedLine
    from worker.engine.rules import Rules
    from worker.ports import RemoteKey, Store
    from worker.store.views import ParkedFilter, Views
    from worker.sync.operate import Moved

    Move = Callable[[Store, Rules, Sequence[RemoteKey]], Coroutine[Any, Any, Moved]]

parked = typer.Typer(help="Copies that only a person can move on.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[REMOTE:ID…]")]
Remote = Annotated[str | None, typer.Option(help="Those on this remote.")]
Cause = Annotated[str | None, typer.Option(help="Those whose cause holds this text.")]
Every = Annotated[bool, typer.Option("--all", help="All of them.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(parked, name="parked")


@parked.command(name="list")
def list_parked(
    *, remote: Remote = None, cause: Cause = None, limit: Limit = 50, after: After = None, json: Json = False
) -> None:
    """Each with its cause and the next step."""
    from worker.cli.opening import at_desk
    from worker.documents import lists
    from worker.store.views import ParkedFilter

    with at_desk() as desk:
        which = ParkedFilter(remote, cause)
        page = desk.runtime.run(lists.parked(desk.views, which, limit=limit, after=after))
    show(page, _text, json=json, look=bool(page.items))


@parked.command()
def retry(
    names: Names = None,
    *,
    remote: Remote = None,
    cause: Cause = None,
    every: Every = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Try again: they become due now, and are read before anything is sent."""
    from worker.sync.operate import retry_parked

    _move(_which(names, remote, cause, every=every), retry_parked, "due again", yes=yes, json=json)


@parked.command()
def discard(
    names: Names = None,
    *,
    remote: Remote = None,
    cause: Cause = None,
    every: Every = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Give them up: they are unlinked, and no longer synced there. Nothing is deleted on the remote."""
    from worker.sync.operate import discard_parked

    _move(_which(names, remote, cause, every=every), discard_parked, "unlinked", yes=yes, json=json)


def _which(
    names: list[str] | None, remote: str | None, cause: str | None, *, every: bool
) -> list[RemoteKey] | ParkedFilter:
    from worker.cli.opening import remote_key
    from worker.store.views import ParkedFilter

    if bool(names) == (remote is not None or cause is not None or every):
        raise UsageError("say which: REMOTE:ID of some copies, or a filter: --remote, --cause or --all")
    return [remote_key(name) for name in names] if names else ParkedFilter(remote, cause)


def _move(which: list[RemoteKey] | ParkedFilter, move: Move, outcome: str, *, yes: bool, json: bool) -> None:
    from worker.cli.opening import at_desk, ring_push

    with at_desk() as desk:
        keys, runtime = _chosen(desk.views, which), desk.runtime
        confirm(f"{len(keys)} parked copies will be {outcome}", len(keys), yes=yes)
        moved = runtime.run(move(desk.store, runtime.registry.rules, keys))
        ring_push(runtime, moved.due)
    if json:
        document({"matched": len(keys), "moved": moved.copies})
    else:
        line(f"{moved.copies} copies are {outcome}")


def _chosen(views: Views, which: list[RemoteKey] | ParkedFilter) -> list[RemoteKey]:
    from worker.store.views import ParkedFilter

    if isinstance(which, ParkedFilter):
        return views.look(lambda view: view.parked_keys(which))
    parked = set(views.look(lambda view: view.parked_keys(ParkedFilter())))
    for key in which:
        if key not in parked:
            raise UsageError(f"{':'.join(key)} is not parked; leadsync parked list shows what is")
    return which


def _text(page: PageDocument[ParkedLine]) -> None:
    for one in page.items:
        line(f"{one.remote}:{one.id} {cut(cell(one.name))}, since {cell(one.since)}")
        line(f"    {one.cause}")
        line(f"    next: {one.next_step}")
    if not page.items:
        line("none")
    next_page(page.next)
