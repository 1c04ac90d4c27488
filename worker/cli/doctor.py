"""`leadsync doctor`: is everything leadsync needs there and set well?"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import typer

from worker.cli.output import Json
from worker.cli.render import line, show, table
from worker.errors import LeadsyncError

if TYPE_CHECKING:
    from worker.documents.doctor import DoctorDocument


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(doctor)


def doctor(*, json: Json = False) -> None:
    """Check settings, Redis, database, clocks and each remote's credentials: ok, bad or unknown, with the next step."""
    from worker.cli.opening import beside
    from worker.documents.doctor import doctor as ask
    from worker.remotes.registry import Registry
    from worker.settings import load_settings
    from worker.store.health import Health
    from worker.wiring import opened

    settings = load_settings()
    Registry(settings)  # what is wrong with the settings is said here, not blamed on Redis
    no_redis = None
    with contextlib.ExitStack() as stack:
        try:
            runtime = stack.enter_context(opened(settings))
        except LeadsyncError as error:
            no_redis, runtime = str(error), beside(settings)
            stack.callback(runtime.close)
        database = Health(settings.database_url)
        stack.callback(database.close)
        found = runtime.run(ask(runtime, database, no_redis=no_redis))
    show(found, _text, json=json, look=not found.ok)


def _text(found: DoctorDocument) -> None:
    table(["check", "", "finding"], [[check.name, check.result, check.says] for check in found.checks])
    for check in found.checks:
        if check.next_step:
            line(f"{check.name}: {check.next_step}")
