"""`leadsync health`: does this machine's worker, or beat, do its work? For health checks of containers."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import Exit, Json
from worker.cli.render import line, show
from worker.notes.marks import Role

if TYPE_CHECKING:
    from worker.documents.health import HealthDocument


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(health)


def health(role: Annotated[Role, typer.Argument(metavar="worker|beat")], *, json: Json = False) -> None:
    """Does every worker (or the beat) of this machine do its work? Exit status 0 if it does, else 1."""
    from worker.documents.health import health as judge
    from worker.documents.health import marks_in
    from worker.embedded import shared_redis
    from worker.redis_access import client
    from worker.settings import load_settings

    settings = load_settings()
    url = settings.redis.url or shared_redis(settings.data_dir).url
    with contextlib.closing(client(url)) as redis:
        found = judge(marks_in(redis, settings.sync.tick_s), role, socket.gethostname())
    show(found, _text, json=json)
    if not found.ok:
        raise typer.Exit(Exit.FAILED)


def _text(found: HealthDocument) -> None:
    line(found.says)
