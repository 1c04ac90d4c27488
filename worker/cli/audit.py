"""`leadsync audit list`: what people did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Json
from worker.cli.render import NOTHING, cell, cut, show, table

if TYPE_CHECKING:
    from models.audit import Audited
    from worker.documents.lists import PageDocument

audit = typer.Typer(help="What people did, by commands and in the web.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(audit, name="audit")


@audit.command(name="list")
def list_audit(*, limit: Limit = 50, after: After = None, json: Json = False) -> None:
    """Who changed what, with what was there before and after, the newest first."""
    from worker.cli.opening import at_desk
    from worker.documents.audit import audit as ask

    with at_desk() as desk:
        page = desk.runtime.run(ask(desk.views, limit=limit, after=after))
    show(page, _text, json=json)


def _text(page: PageDocument[Audited]) -> None:
    rows = [[o.at, o.who, o.what.value, cut(o.target), _some(o.before), _some(o.after)] for o in page.items]
    table(["at", "who", "what", "on", "before", "after"], rows)
    next_page(page.next)


def _some(told: dict[str, Any]) -> str:
    return cut(", ".join(f"{name} {cell(value)}" for name, value in told.items())) or NOTHING
