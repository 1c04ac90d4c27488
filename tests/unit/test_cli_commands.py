"""The command line itself: names of lists, help, options that every command has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from worker.cli.main import app
from worker.cli.opening import remote_key
from worker.errors import UsageError

#: They run until they are told to stop, so there is no document to print.
PROCESSES = {"up", "worker", "beat", "web", "simulator"}
#: They print rows without end, so no single document.
STREAMS = {"export changes", "export attempts"}


def commands(group: TyperGroup, before: str = "") -> Iterator[tuple[str, TyperCommand]]:
    """All commands with their full names."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{before}{name} ")
        elif isinstance(command, TyperCommand):
            yield f"{before}{name}", command


def everything() -> list[tuple[str, TyperCommand]]:
    """What `leadsync --help` leads to."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return list(commands(root))


@pytest.mark.parametrize(("name", "command"), everything())
def test_every_command_has_help_and_json(name: str, command: TyperCommand) -> None:
    """A sentence that says what it does, and one JSON document for scripts."""
    options = {option for parameter in command.params for option in parameter.opts}

    assert command.help
    assert name in PROCESSES or "--json" in options or (name in STREAMS and "--format" in options)


@pytest.mark.parametrize(
    ("text", "key"),
    [("crm:17", ("crm", "17")), ("lance:a:b:c", ("lance", "a:b:c")), ("crm: ", ("crm", " "))],
)
def test_a_list_is_named_by_remote_and_id(text: str, key: tuple[str, str]) -> None:
    """An id may hold colons: the first one counts."""
    assert key == remote_key(text)


@pytest.mark.parametrize("text", ["", "crm", "crm:", ":17", "crm:" + "x" * 513, "crm:\udcff"])
def test_a_malformed_name_is_wrong_usage(text: str) -> None:
    """One sentence that says what was expected."""
    with pytest.raises(UsageError, match=r"expected REMOTE:ID|at most 512"):
        remote_key(text)
