"""The demo's page: fits its terminal, says all in plain text too, and needs no fonts from elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from worker.demo.equality import Difference
from worker.demo.measuring import CallLine, Cell, Figures, Phase, RemoteFigures
from worker.demo.view import Picture, PlainScreen, View, line, svg
from worker.documents.remotes import BudgetDocument
from worker.documents.status import CopyCounts

BUDGET = BudgetDocument(
    used={"second": 100, "minute": 900}, limit={"second": 100, "minute": 6000}, share=1.0, backoff_s=0.0, breaker_s=None
)
COPIES = CopyCounts(total=2000, in_sync=1, due=1999, conflict=0, excluded=0, parked=0)
LONG = "The quick brown fox jumps over the lazy dog and runs into the webinar 12345"


def remote(name: str, *, budget: BudgetDocument | None = BUDGET, copies: CopyCounts | None = COPIES) -> RemoteFigures:
    """One remote with numbers as wide as they get."""
    return RemoteFigures(
        name=name,
        patches=9999,
        patches_per_s=99.4,
        reads=12345,
        rate_limited=321,
        errors=123,
        overlaps=0,
        budget=budget,
        copies=copies,
    )


FIGURES = Figures(
    phase=Phase.EDITING,
    phase_s=9.4,
    of_s=15.0,
    lists=10_000,
    events=123_456,
    needed=40_000,
    lags=[20.0] * 98 + [1_500.0, 12_345.0],
    remotes=(
        remote("crm", budget=None, copies=None),
        remote("instantly", budget=replace(BUDGET, backoff_s=1.25)),
        remote("lance", copies=replace(COPIES, parked=3)),
    ),
    rows=((Cell(LONG, differs=False), Cell(LONG, differs=True), Cell("short", differs=True)),) * 10,
    last_calls=(
        CallLine("PATCH", "instantly", "0190a000-3f2a", ("name", "owned_by"), 200, 23.4),
        CallLine("GET", "lance", "0190a000-3f2b", (), None, 1500.0),
    )
    * 6,
    different=(Difference("list-1", ("name",)),),
    settled=False,
    in_sync=False,
)


def printed(figures: Figures, width: int, height: int = 24) -> list[str]:
    """The page as lines of text."""
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(View(figures))
    return [text.rstrip() for text in console.export_text().splitlines()]


@pytest.mark.parametrize("width", [80, 100, 120, 200])
@pytest.mark.parametrize("height", [20, 24, 40])
def test_the_page_fits_its_terminal(width: int, height: int) -> None:
    """No line is wider than the terminal, none wraps into a second one, and the page is not higher."""
    lines = printed(FIGURES, width, height)

    assert max(map(len, lines)) <= width
    assert len(lines) < height
    assert 1 == sum("budget" in text for text in lines)
    assert 3 == sum(text.startswith(("CRM ", "Instantly ", "Lance ")) for text in lines)


def test_no_figure_is_cut_at_80_columns() -> None:
    """Numbers as wide as they get stand there whole; only names end in an ellipsis."""
    text = "\n".join(printed(FIGURES, 80))

    for whole in (
        "123,456",
        "12,345",
        "1,500 ms",
        "100 of 100/s",
        "pause 1.2 s",
        "1999 due",
        "3 held",
        "unknown",
        "errors",
    ):
        assert whole in text
    assert "9 of 15 s" in text
    assert "…3f2a" in text
    assert '{"name", "owned_by"}' in text
    assert "no answer" in text


def test_columns_stay_where_they_are_when_numbers_change() -> None:
    """Or the page would jump from frame to frame."""
    calm, idle = replace(COPIES, in_sync=2000, due=0), replace(BUDGET, used={"second": 0})
    quiet = tuple(
        replace(one, patches_per_s=0.0, reads=0, errors=0, rate_limited=0, budget=idle, copies=calm)
        for one in FIGURES.remotes
    )

    def places(figures: Figures) -> list[int]:
        [header] = [text for text in printed(figures, 80) if "budget" in text]
        return [header.index(title) for title in ("PATCH/s", "reads", "budget", "in sync")]

    assert places(replace(FIGURES, remotes=quiet)) == places(FIGURES)


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        (Phase.LINKING, "tied together"),
        (Phase.EDITING, "People edit"),
        (Phase.SETTLING, "1 of 10000 lists still differ"),
        (Phase.DONE, "1 of 10000 lists differ"),
    ],
)
def test_each_phase_is_told_in_one_sentence(phase: Phase, says: str) -> None:
    """The second line says what happens, and does not end in an ellipsis."""
    [_, sentence, *_] = printed(replace(FIGURES, phase=phase), 80)

    assert says in sentence
    assert not sentence.endswith("…")


def test_nothing_counts_as_saved_before_it_could_be_sent() -> None:
    """While lists are being linked, what waits would all look saved."""
    assert "– calls saved" in line(replace(FIGURES, phase=Phase.LINKING))
    assert f"{FIGURES.calls_saved:,} calls saved" in line(FIGURES)


def test_a_plain_line_has_everything_and_no_colours() -> None:
    """For files and pipes."""
    assert (
        "editing    9 s: 123456 events in, 29997 PATCHes and 37035 reads out, 10,003 calls saved, 963 x 429, "
        "369 errors, lag p50 20 ms, p99 1,500 ms, 1 of 10000 lists differ"
    ) == line(FIGURES)


def test_plain_lines_come_once_a_second_and_at_each_new_phase() -> None:
    """A log is not flooded, and misses no turn."""
    said: list[str] = []
    times = iter((10.0, 10.2, 10.9, 11.1, 11.2))
    screen = PlainScreen(said.append, clock=lambda: next(times))
    for _ in range(4):
        screen.show(FIGURES)
    screen.show(replace(FIGURES, phase=Phase.DONE))

    assert ["editing", "editing", "done"] == [text.split()[0] for text in said]


def test_the_picture_loads_nothing_from_elsewhere() -> None:
    """It is shown on pages without our fonts, and by readers without a network."""
    picture = svg(FIGURES)

    assert "@font-face" not in picture
    assert "url(http" not in picture
    assert "monospace" in picture


def test_the_picture_is_of_the_second_half_of_the_editing(tmp_path: Path) -> None:
    """Its file is written at the end, from a frame that had something to see."""
    file = tmp_path / "demo.svg"
    with Picture(PlainScreen(lambda _line: None), file) as screen:
        for seconds, name in ((2.0, "too-early"), (9.0, "just-right")):
            row = (Cell(name, differs=False), Cell(name, differs=False), Cell("old", differs=True))
            screen.show(replace(FIGURES, phase_s=seconds, rows=(row,)))
        screen.show(replace(FIGURES, phase=Phase.DONE, of_s=None))

    assert "just-right" in file.read_text()
