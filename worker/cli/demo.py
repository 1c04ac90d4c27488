"""The command `demo`: three simulated remotes, people who edit, the real worker; needs no keys and no settings."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import Exit, Json, document, say

if TYPE_CHECKING:
    from worker.demo.play import Summary
    from worker.demo.scenario import Scenario
    from worker.demo.view import Screen


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(demo)


def demo(
    lists: Annotated[int, typer.Option(min=1, max=10_000, help="Lead lists, each on all three sides.")] = 200,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long people edit.")] = 15.0,
    json: Json = False,
    picture: Annotated[Path | None, typer.Option(hidden=True, help="Write the live view as SVG.")] = None,
) -> None:
    """Simulated CRM, Instantly and Lance with faults, and the real worker that keeps them equal."""
    from worker.demo.scenario import Scenario

    raise typer.Exit(perform(Scenario(lists=lists, seconds=seconds), json=json, picture=picture))


def perform(scenario: Scenario, *, json: bool, picture: Path | None = None) -> Exit:
    """Play, print the summary, and say how it ended."""
    from worker.demo.play import play

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    summary = play(scenario, _screen(json=json, picture=picture), say)
    if json:
        document(summary.document())
    else:
        _tell(summary)
    if summary.well:
        return Exit.DONE
    _complain(summary)
    return Exit.LOOK


def _screen(*, json: bool, picture: Path | None) -> Screen:
    from rich.console import Console

    from worker.demo.view import LiveScreen, Picture, PlainScreen

    # With --json, standard output is for the document.
    console = Console(stderr=json, highlight=False)
    live = console.is_terminal and not console.is_dumb_terminal
    screen: Screen = (
        LiveScreen(console) if live else PlainScreen(lambda line: print(line, file=console.file, flush=True))
    )
    return screen if picture is None else Picture(screen, picture.absolute())


def _tell(summary: Summary) -> None:
    figures, says = summary.figures, summary.document()
    lags = [f"{lag:,.0f} ms" if lag is not None else "unknown" for lag in says["lag_ms"].values()]
    rows = (
        ("events in", f"{says['events']:,}", f"{says['rejected']:,} of them unreadable: rejected, with the reason"),
        ("calls out", f"{says['calls']:,}", f"{says['patches']:,} PATCHes and {says['reads']:,} reads"),
        (
            "calls saved",
            f"{says['calls_saved']:,}",
            "against one PATCH to every other copy for each change",
        ),
        ("429", f"{says['rate_limited']:,}", "the remote is paused for all workers"),
        ("errors", f"{says['retried']:,}", "5xx or no answer: looked at, then tried again"),
        ("overlaps", f"{says['overlaps']:,}", "writes to one list at the same time"),
        ("lag p50", lags[0], "from the event to the end of the PATCH that carries it"),
        ("lag p99", lags[1], "with the errors and pauses on its way"),
        ("took", f"{summary.seconds:.0f} s", "from the first process to the last answer"),
    )
    print()
    if summary.all_equal:
        print(f"All {figures.lists:,} lists are equal in CRM, Instantly and Lance.")
    for label, value, note in rows:
        print(f"  {label:<12}{value:>10}  {note}")


def _complain(summary: Summary) -> None:
    different = summary.figures.different
    if different:
        names = ", ".join(f"crm:{one.id} ({', '.join(one.fields)})" for one in different[:3])
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        say(f"leadsync: {len(different)} of {summary.figures.lists} lists differ: {names}{more}")
        say(f"leadsync: look with: LEADSYNC_CONFIG={summary.config} leadsync show crm:{different[0].id}")
    elif not summary.all_equal:
        say("leadsync: the simulators' copies are equal, but leadsync does not say so")
        say(f"leadsync: look with: LEADSYNC_CONFIG={summary.config} leadsync status")
    if summary.overlaps:
        say(f"leadsync: {summary.overlaps} writes met another one on the same list; please report this")
    if summary.rejected != summary.unreadable:
        say(f"leadsync: {summary.rejected} events were rejected, {summary.unreadable} are bad; please report this")
    say(f"leadsync: what the processes said is in {summary.log}")


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
