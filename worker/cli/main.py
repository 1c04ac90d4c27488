"""Entry point: puts the commands together and turns errors into one sentence and an exit status."""

from __future__ import annotations

import sys

import typer

from worker.cli import (
    alerts,
    audit,
    conflicts,
    demo,
    doctor,
    export,
    health,
    lists,
    members,
    operate,
    parked,
    plan,
    processes,
    rejects,
    scans,
    simulate,
    status,
    system,
    top,
)
from worker.cli.output import Exit, say
from worker.errors import LeadsyncError, UsageError
from worker.log import set_up_logs

app = typer.Typer(
    name="leadsync",
    help="Keeps lead lists equal between a CRM, Instantly and Lance with the fewest, smallest writes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for module in (
    demo,
    processes,
    system,
    status,
    top,
    lists,
    members,
    operate,
    plan,
    parked,
    conflicts,
    rejects,
    scans,
    alerts,
    audit,
    export,
    doctor,
    health,
    simulate,
):
    module.register(app)


def main() -> None:
    """Run one command. 0 done, 1 failed, 2 wrong usage or settings, 3 a person must look."""
    set_up_logs()
    try:
        app(standalone_mode=True)
    except UsageError as error:
        say(f"leadsync: {error}")
        sys.exit(Exit.USAGE)
    except LeadsyncError as error:
        say(f"leadsync: {error}")
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
