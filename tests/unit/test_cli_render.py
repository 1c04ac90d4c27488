"""Text for people: aligned without a terminal, safe whatever names hold."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import pytest

from worker.cli import render


def test_columns_are_aligned_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain lines, no colours, no trailing blanks."""
    render.table(["list", "name"], [["crm:1", "A"], ["lance:22", None]])

    assert capsys.readouterr().out == "list      name\ncrm:1     A\nlance:22  –\n"


def test_nothing_to_show_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table is one word, not a lonely heading."""
    render.table(["list"], [])

    assert capsys.readouterr().out == "none\n"


@pytest.mark.parametrize(
    "hostile", ["\x1b[31mred", "\x9b31m", "bell\a", "back\b", "over\rwritten", "\u202ereversed", "\x7f"]
)
def test_no_control_character_reaches_the_terminal(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A list's name is somebody else's text."""
    render.line(hostile)
    render.table(["name"], [[hostile]])
    printed = capsys.readouterr().out

    assert all(character.isprintable() or character == "\n" for character in printed)


def test_a_name_with_line_breaks_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot pretend to be another row."""
    render.table(["name"], [["one\ntwo\tthree"]])

    assert capsys.readouterr().out == "name\none two three\n"


def test_a_terminal_gets_colours_and_no_markup_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standings are coloured; square brackets in a name stay what they are."""
    screen = _Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    render.table(["name", "standing"], [["[bold]A[/bold]", "parked"]])
    printed = screen.getvalue()

    assert "[bold]A[/bold]" in printed
    assert "\x1b[31mparked" in printed


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "–"), (0, "0 s"), (119.6, "120 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")],
)
def test_durations_use_the_largest_unit_that_makes_sense(seconds: float | None, said: str) -> None:
    """Nobody reads 172800 seconds."""
    assert said == render.duration(seconds)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (3, "3"),
        (datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC), "2026-03-01 12:00:05Z"),
    ],
)
def test_values_are_said_as_people_say_them(value: object, said: str) -> None:
    """None is "nobody has said", not the word None."""
    assert said == render.cell(value)


def test_long_texts_are_cut() -> None:
    """To the length asked for, the mark included."""
    assert render.cut("x" * 10, 5) == "xxxx…"
    assert render.cut("x" * 5, 5) == "xxxxx"


class _Terminal(io.StringIO):
    """A stdout that says it is a terminal."""

    def isatty(self) -> bool:
        return True
