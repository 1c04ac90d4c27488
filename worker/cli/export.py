"""`leadsync export changes | attempts`: rows of the ledger for other programs."""

from __future__ import annotations

import enum
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import harmless

if TYPE_CHECKING:
    from worker.store.ledger_views import LedgerTable

export = typer.Typer(help="Rows of the ledger as CSV or JSON Lines.", no_args_is_help=True)


class Format(enum.StrEnum):
    """How rows are written."""

    CSV = "csv"  #: for spreadsheets
    JSONL = "jsonl"  #: for programs


Since = Annotated[str | None, typer.Option(metavar="TIME", help="From then on: 2026-11-22T12:00:00Z, 24h or 7d ago.")]
How = Annotated[Format, typer.Option("--format", help="JSON Lines, or CSV with titles.")]


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(export, name="export")


@export.command()
def changes(
    *,
    since: Since = None,
    how: How = Format.JSONL,
    remote: Annotated[str | None, typer.Option(help="Those that came from this remote.")] = None,
) -> None:
    """What was agreed, and why: field, old, new, origin, stamp, cause."""
    from worker.store.ledger_views import LedgerTable

    _write(LedgerTable.CHANGES, since, how, remote)


@export.command()
def attempts(
    *,
    since: Since = None,
    how: How = Format.JSONL,
    remote: Annotated[str | None, typer.Option(help="Calls to this remote.")] = None,
) -> None:
    """What was called: what was sent, what came back, how long it took."""
    from worker.store.ledger_views import LedgerTable

    _write(LedgerTable.ATTEMPTS, since, how, remote)


def _write(table: LedgerTable, since: str | None, how: Format, remote: str | None) -> None:
    from worker.cli.opening import at_desk
    from worker.documents.export import comma_separated, json_lines, moment, rows
    from worker.sync.operate import known

    begin = None if since is None else moment(since, datetime.now(UTC))
    with at_desk() as desk:
        if remote is not None:
            known(remote, desk.runtime.registry.rules)
        found = rows(desk.views, table, since=begin, remote=remote)
        try:
            for line in json_lines(found) if how is Format.JSONL else comma_separated(table, found):
                sys.stdout.buffer.write(harmless(line))
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has seen enough; Python must not complain about it at its end either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
