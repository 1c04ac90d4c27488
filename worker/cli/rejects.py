"""`leadsync rejects list | retry`: events that could not be taken in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.asking import Yes, confirm
from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Json, document
from worker.cli.render import cut, line, show, table
from worker.errors import UsageError

if TYPE_CHECKING:
    from worker.documents.lists import PageDocument
    from worker.store.views import RejectedEntry

rejects = typer.Typer(help="Events that could not be taken in.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(rejects, name="rejects")


@rejects.command(name="list")
def list_rejects(*, limit: Limit = 50, after: After = None, json: Json = False) -> None:
    """Each as it was received, with the reason."""
    from worker.cli.opening import at_desk
    from worker.documents import lists

    with at_desk() as desk:
        page = desk.runtime.run(lists.rejects(desk.views, limit=limit, after=after))
    show(page, _text, json=json)


@rejects.command()
def retry(
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID…]")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put them back into the stream, for instance after the settings were corrected."""
    from worker.cli.opening import add_events, at_desk, person
    from worker.store.database import open_database
    from worker.store.rejects import SqlRejects
    from worker.sync.operate import retry_rejects
    from worker.wiring import opened

    if bool(ids) == every:
        raise UsageError("say which: the ids of some, or --all; leadsync rejects list shows them")
    with at_desk() as desk:
        known = desk.views.look(lambda view: view.reject_ids())
    for missing in set(ids or ()) - set(known):
        raise UsageError(f"there is no reject {missing}; leadsync rejects list shows what there is")
    chosen = sorted(set(ids)) if ids else known
    confirm(f"{len(chosen)} rejected events go back to the stream", len(chosen), yes=yes)
    with opened(desk.runtime.settings) as runtime:
        kept = SqlRejects(open_database(runtime.settings.database_url), person())
        retried = retry_rejects(kept, lambda events: add_events(runtime, events), chosen)
    if json:
        document({"matched": len(chosen), "retried": retried})
    else:
        line(f"{retried} events are in the stream again")


def _text(page: PageDocument[RejectedEntry]) -> None:
    table(["id", "received at", "reason", "event"], [[o.id, o.received_at, o.reason, cut(o.event)] for o in page.items])
    next_page(page.next)
