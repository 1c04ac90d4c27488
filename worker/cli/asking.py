"""Asks before many things are changed at once. Used by `parked` and `rejects`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from worker.cli.output import Exit, say
from worker.errors import UsageError

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def confirm(what: str, count: int, *, yes: bool) -> None:
    """The count first; then a person on a terminal is asked, and a script must have said --yes for more than one."""
    ask = sys.stdin.isatty() and not yes
    if count > 1 and not (ask or yes):
        raise UsageError(f"{what}: add --yes to do that without being asked")
    say(f"leadsync: {what}")
    if count and ask and not typer.confirm("Go on?", err=True):
        say("leadsync: nothing was done")
        raise typer.Exit(Exit.FAILED)
