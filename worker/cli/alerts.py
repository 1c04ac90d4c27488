"""`leadsync alerts list | test`: what people were told, and whether the receiver takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING

import typer

from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Json, document
from worker.cli.render import cell, line, show, table

if TYPE_CHECKING:
    from worker.documents.alerts import AlertLine
    from worker.documents.lists import PageDocument

alerts = typer.Typer(help="What people were told.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(alerts, name="alerts")


@alerts.command(name="list")
def list_alerts(*, limit: Limit = 50, after: After = None, json: Json = False) -> None:
    """States that turned bad, and those that recovered, the newest first."""
    from worker.cli.opening import at_desk
    from worker.documents.alerts import alerts as ask

    with at_desk() as desk:
        page, bad = desk.runtime.run(ask(desk.views, limit=limit, after=after))
    show(page, _text, json=json, look=bad > 0)


@alerts.command(name="test")
def send_test(*, json: Json = False) -> None:
    """Send one message now, signed as alerts are, and say whether the receiver took it."""
    import asyncio

    from worker.errors import UsageError
    from worker.remotes.hook import Hook
    from worker.settings import load_settings
    from worker.sync.alerts import trial_message

    settings = load_settings().alerts
    if settings.url is None:
        raise UsageError("alerts.url: not set, so alerts are in the logs only; set it, and alerts.secret")
    message_id = token_hex(16)
    hook = Hook(settings.url, settings.keys(), timeout_s=settings.timeout_s)
    asyncio.run(hook.send(message_id, trial_message(datetime.now(UTC))))
    if json:
        document({"sent": True, "id": message_id})
    else:
        line("the receiver took it")


def _text(page: PageDocument[AlertLine]) -> None:
    table(
        ["at", "state", "alert", "remote", "told", "what"],
        [[one.at, "bad" if one.bad else "ok", one.kind, one.remote, _told(one), one.says] for one in page.items],
    )
    next_page(page.next)


def _told(one: AlertLine) -> str:
    if one.told_at is not None:
        return cell(one.told_at)
    return f"not yet: {one.trouble}" if one.trouble else "not yet"
