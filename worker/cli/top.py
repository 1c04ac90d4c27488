"""`leadsync top`: the page Now on a terminal, drawn again and again; once where there is no terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import Exit, Json, document

if TYPE_CHECKING:
    from worker.cli.opening import Desk
    from worker.cli.top_view import Now
    from worker.documents.pace import Pace


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(top)


def top(
    *,
    every: Annotated[float, typer.Option(min=0.5, max=3600, help="Seconds between two looks.")] = 2.0,
    json: Json = False,
) -> None:
    """How everything stands, live, until Ctrl-C. Without a terminal, and with --json, once."""
    from worker.cli.opening import at_desk
    from worker.documents.pace import Pace

    with at_desk() as desk:
        pace = Pace()
        now = _look(desk, pace)
        if not json and sys.stdout.isatty():
            _follow(desk, pace, now, every)
            return
    if json:
        document(now.document())
    else:
        _print(now)
    if now.found.needs_a_person:
        raise typer.Exit(Exit.LOOK)


def _look(desk: Desk, pace: Pace) -> Now:
    import asyncio

    from worker.cli.top_view import Now
    from worker.documents.status import status

    async def both() -> Now:
        return Now(*await asyncio.gather(status(desk.runtime, desk.views), pace.ask(desk.views)))

    return desk.runtime.run(both())


def _print(now: Now) -> None:
    from rich.console import Console

    from worker.cli.top_view import View

    Console(no_color=True, highlight=False, width=100, color_system=None).print(View(now))


def _follow(desk: Desk, pace: Pace, now: Now, every: float) -> None:
    from rich.live import Live

    from worker.cli.top_view import View
    from worker.errors import Transient

    trouble = ""
    with contextlib.suppress(KeyboardInterrupt), Live(screen=True, auto_refresh=False) as screen:
        while True:
            screen.update(View(now, trouble), refresh=True)
            time.sleep(every)
            try:
                now, trouble = _look(desk, pace), ""
            except Transient as error:  # the last look stays, and says that it is old
                trouble = str(error)
