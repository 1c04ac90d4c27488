"""Text for people: coloured tables on a terminal, plain aligned lines elsewhere. Used by all commands that show things.

Everything passes `printable`: names come from outside, and no control character may reach a terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeVar

import typer

from worker.cli.output import Exit, document, printable

T = TypeVar("T")

#: What stands in for "nobody has said".
NOTHING: Final = "–"

_LONGEST: Final = 60
_STYLES: Final = {
    "in sync": "green",
    "active": "green",
    "ok": "green",
    "due": "yellow",
    "excluded": "cyan",
    "unknown": "yellow",
    "paused": "red",
    "conflict": "magenta",
    "parked": "red",
    "bad": "red",
}


def show(contents: T, as_text: Callable[[T], None], *, json: bool, look: bool = False) -> None:
    """Print it as one JSON document or as text; exit status 3 when a person must look."""
    if json:
        document(contents)
    else:
        as_text(contents)
    if look:
        raise typer.Exit(Exit.LOOK)


def line(text: str = "") -> None:
    """One line of text."""
    print(_plain(text))


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under titles; "none" when there are no rows."""
    cells = [[_plain(cell(value)) for value in row] for row in rows]
    if not cells:
        line("none")
    elif sys.stdout.isatty():
        _coloured(titles, cells)
    else:
        _aligned([list(titles), *cells])


def cell(value: object) -> str:
    """A value as people read it; None is "nobody has said"."""
    match value:
        case None:
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S}Z"
        case _:
            return str(value)


def words(value: str) -> str:
    """An identifier as words."""
    return value.replace("_", " ")


def cut(text: str, longest: int = _LONGEST) -> str:
    """The beginning of a long text."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def duration(seconds: float | None) -> str:
    """Seconds in the largest unit that makes sense."""
    if seconds is None:
        return NOTHING
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _plain(text: str) -> str:
    return printable(" ".join(text.split("\n")).replace("\t", " "))


def _aligned(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(padded).rstrip())


def _coloured(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column, title in enumerate(titles):
        drawn.add_column(title, overflow="fold", no_wrap=column == 0)  # what comes first is there to be copied
    for row in rows:
        # Text, not a string: markup in a name stays what it is.
        drawn.add_row(*(Text(text, style=_STYLES.get(text.partition(" (")[0], "")) for text in row))
    Console().print(drawn)
