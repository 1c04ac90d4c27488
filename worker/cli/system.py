"""Commands about the installation: db upgrade, events publish."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.output import Json, document, say
from worker.errors import UsageError

db = typer.Typer(help="The database.", no_args_is_help=True)
events = typer.Typer(help="The stream of events.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(db, name="db")
    app.add_typer(events, name="events")


@db.command()
def upgrade(json: Json = False) -> None:
    """Bring the database to the newest schema."""
    from worker.settings import load_settings
    from worker.store.database import open_database
    from worker.store.database import upgrade as upgrade_database

    settings = load_settings()
    engine = open_database(settings.database_url)
    upgrade_database(engine)
    if json:
        document({"database": engine.url.render_as_string(hide_password=True), "current": True})
    else:
        print(f"{engine.url.render_as_string(hide_password=True)} is current")


@events.command()
def publish(
    files: Annotated[list[str], typer.Argument(help="JSON Lines, one event a line; - is standard input.")],
    json: Json = False,
) -> None:
    """Validate events and add them to the stream. Nothing is added when one of them is bad."""
    from models.event import BadEvent, parse_event
    from worker.cli.opening import add_events
    from worker.settings import load_settings
    from worker.wiring import opened

    lines: list[bytes] = []
    for name in files:
        for number, line in enumerate(_lines(name), start=1):
            if not line.strip():
                continue
            try:
                parse_event(line)
            except BadEvent as error:
                raise UsageError(f"{name}, line {number}: {error}; nothing was added") from None
            lines.append(line.strip())
    settings = load_settings()
    with opened(settings) as runtime:
        ids = add_events(runtime, lines)
    if json:
        document({"added": len(ids), "ids": ids})
    else:
        say(f"{len(ids)} {'event' if len(ids) == 1 else 'events'} added to {settings.events.stream}")


def _lines(name: str) -> list[bytes]:
    try:
        return (sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()).splitlines()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
