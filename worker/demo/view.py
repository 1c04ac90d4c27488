"""The view: the figures live on a terminal, as plain lines elsewhere, or as a picture. Fed by `play.py`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from worker.demo.measuring import CallLine, Cell, Figures, Phase, RemoteFigures

#: Names of the remotes as people write them.
TITLES: Final = {"crm": "CRM", "instantly": "Instantly", "lance": "Lance"}

_LINE_EVERY_S = 1.0
#: Lines of the view that are not rows of names or calls.
_FRAME = 16
_NARROW = 80
#: Letters beside the bars of budget ("100 of 100/s") and copies ("1999 due"): always as many, or the page would jump.
_BUDGET_NOTE, _COPIES_NOTE = 12, 8


class Screen(Protocol):
    """Where the figures go. Used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, figures: Figures) -> None:
        """These are the figures now."""
        ...


class LiveScreen:
    """One page on a terminal that is drawn again and again."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, figures: Figures) -> None:
        """See `Screen`."""
        self._live.update(View(figures), refresh=True)


class PlainScreen:
    """One line a second, without colours: for files, pipes and simple terminals."""

    def __init__(self, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print, self._clock = print_line, clock
        self._next = 0.0
        self._phase: Phase | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, figures: Figures) -> None:
        """See `Screen`."""
        now = self._clock()
        if now >= self._next or figures.phase is not self._phase:
            self._next, self._phase = now + _LINE_EVERY_S, figures.phase
            self._print(line(figures))


class Picture:
    """Passes all on, and writes the frame with the most to see: `leadsync demo --picture docs/images/demo.svg`."""

    def __init__(self, screen: Screen, file: Path) -> None:
        self._screen, self._file = screen, file
        self._best: tuple[int, Figures] | None = None

    def __enter__(self) -> Self:
        self._screen.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._screen.__exit__(kind, error, trace)
        if self._best is not None:
            self._file.write_text(svg(self._best[1]), encoding="utf-8")

    def show(self, figures: Figures) -> None:
        """See `Screen`."""
        self._screen.show(figures)
        late = figures.of_s is not None and figures.phase_s > figures.of_s / 2
        # Two lists that differ tell the story; with more it cannot be read.
        worth = sum(any(cell.differs for cell in row) for row in figures.rows[:5])
        worth = 0 if worth > 2 else worth
        if figures.phase is Phase.EDITING and late and (self._best is None or worth > self._best[0]):
            self._best = worth, figures


class View:
    """One page: as wide as the terminal, and not higher."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        figures, room = self._figures, max(4, options.size.height - _FRAME)
        names = min(len(figures.rows), 8, room - room // 2)
        calls = min(8, room - names)
        yield _head(figures)
        yield Text(_sentence(figures), style="dim", no_wrap=True, overflow="ellipsis")
        yield ""
        yield _sums(figures)
        yield ""
        yield _remotes(figures, wide=options.max_width - _NARROW)
        yield ""
        yield _rule("names, as each system shows them")
        yield _names(figures, names)
        yield ""
        yield _rule("last calls")
        yield _calls(figures.last_calls, calls)


def line(figures: Figures) -> str:
    """All of it in one line of text."""
    limited = sum(remote.rate_limited for remote in figures.remotes)
    errors = sum(remote.errors for remote in figures.remotes)
    lag = ", ".join(f"p{share * 100:.0f} {_ms(figures.lag_ms(share))}" for share in (0.5, 0.99))
    return (
        f"{figures.phase:<8} {figures.phase_s:3.0f} s: {figures.events} events in, {figures.patches} PATCHes and "
        f"{figures.reads} reads out, {_saved(figures)} calls saved, {limited} x 429, {errors} errors, "
        f"lag {lag}, {len(figures.different)} of {figures.lists} lists differ"
    )


def svg(figures: Figures, *, width: int = 100, height: int = 31) -> str:
    """The page as a picture. It names no fonts from elsewhere: a README is shown on machines without them."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=width, height=height, file=nowhere, force_terminal=True, color_system="truecolor"
        )
        console.print(View(figures))
        frame = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
        frame = frame.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace")
        return console.export_svg(title="leadsync demo", code_format=frame.replace("    \n", ""), unique_id="demo")


def _head(figures: Figures) -> RenderableType:
    head = Table.grid(expand=True, padding=(0, 1))
    head.add_column(ratio=1, no_wrap=True)
    head.add_column(justify="right", no_wrap=True, style="dim")
    title = Text("leadsync demo", style="bold cyan")
    if figures.of_s is None:
        head.add_row(title, f"{figures.phase_s:.0f} s")
        return head
    head.add_column(width=20)
    seconds = min(figures.phase_s, figures.of_s)
    head.add_row(title, f"{seconds:.0f} of {figures.of_s:g} s", _bar(seconds, figures.of_s, 20, "cyan"))
    return head


def _sentence(figures: Figures) -> str:
    match figures.phase:
        case Phase.LINKING if not figures.reads:
            return f"The worker's processes start; {figures.events} events wait in the stream."
        case Phase.LINKING:
            return f"The copies of {figures.lists} lead lists are tied together and read once."
        case Phase.EDITING:
            return f"People edit {figures.lists} lists in all three systems, calls fail, copies become equal."
        case Phase.SETTLING:
            return f"Nobody edits any more; {len(figures.different)} of {figures.lists} lists still differ."
        case _ if figures.different:
            return f"{len(figures.different)} of {figures.lists} lists differ."
        case _:
            return f"All {figures.lists} lists are equal in all three systems."


def _sums(figures: Figures) -> RenderableType:
    sums = Table.grid(expand=True)
    cells = (
        ("events in", f"{figures.events:,}", "bold"),
        ("calls out", f"{figures.patches + figures.reads:,}", "bold"),
        ("calls saved", _saved(figures), "bold green"),
        ("lag p50", _ms(figures.lag_ms(0.5)), "bold"),
        ("lag p99", _ms(figures.lag_ms(0.99)), "bold"),
    )
    for _ in cells:
        sums.add_column(ratio=1, justify="center", no_wrap=True)
    sums.add_row(*(Text(value, style=style) for _, value, style in cells))
    sums.add_row(*(Text(label, style="dim") for label, _, _ in cells))
    return sums


def _remotes(figures: Figures, *, wide: int) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim", pad_edge=False)
    table.add_column("", no_wrap=True, style="bold")
    for title, least in (("PATCH/s", 7), ("reads", 6), ("429", 4), ("errors", 6)):
        table.add_column(title, justify="right", no_wrap=True, min_width=least)
    table.add_column("budget", no_wrap=True)
    table.add_column("in sync", no_wrap=True)
    width = 7 + max(0, min(wide, 60)) // 3
    for remote in figures.remotes:
        table.add_row(
            TITLES[remote.name],
            f"{remote.patches_per_s:.0f}",
            f"{remote.reads:,}",
            _count(remote.rate_limited, "yellow"),
            _count(remote.errors, "red"),
            _budget(remote, width),
            _in_sync(remote, width),
        )
    return table


def _budget(remote: RemoteFigures, width: int) -> RenderableType:
    budget = remote.budget
    if budget is None:
        return Text("unknown", style="yellow")
    limit, used = budget.limit["second"], budget.used["second"]
    bar, note = _bar(min(used, limit), limit, width, "cyan"), Text(f"{used} of {limit}/s", style="dim")
    if budget.backoff_s > 0:
        bar, note = _bar(1, 1, width, "yellow"), Text(f"pause {budget.backoff_s:.1f} s", style="yellow")
    return _with_bar(bar, note, _BUDGET_NOTE)


def _in_sync(remote: RemoteFigures, width: int) -> RenderableType:
    copies = remote.copies
    if copies is None:
        return Text("unknown", style="yellow")
    if stuck := copies.parked + copies.conflict + copies.excluded:
        note = Text(f"{stuck} held", style="red")
    elif copies.due:
        note = Text(f"{copies.due} due", style="yellow")
    else:
        note = Text("all", style="green")
    return _with_bar(_bar(copies.in_sync, copies.total, width, "green"), note, _COPIES_NOTE)


def _names(figures: Figures, most: int) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim", pad_edge=False)
    table.add_column("", width=1, no_wrap=True)
    for remote in figures.remotes:
        table.add_column(TITLES[remote.name], ratio=1, no_wrap=True, overflow="ellipsis")
    for row in figures.rows[:most]:
        differs = any(cell.differs for cell in row)
        table.add_row(Text("≠", style="yellow") if differs else Text("=", style="green"), *map(_name, row))
    return table


def _name(cell: Cell) -> Text:
    return Text(cell.name, style="reverse yellow" if cell.differs else "")


def _calls(calls: Iterable[CallLine], most: int) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, width=9)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right")
    table.add_column(no_wrap=True, justify="right", style="dim", min_width=8)
    for call in list(calls)[-most:]:
        fields = ", ".join(f'"{field}"' for field in call.fields)
        table.add_row(
            Text(call.method, style="bold" if call.method == "PATCH" else "dim"),
            call.remote,
            f"…{call.list_id[-4:]}",
            Text(f"{{{fields}}}" if fields else "", style="cyan"),
            _status(call.status),
            f"{call.ms:,.0f} ms",
        )
    return table


def _status(status: int | None) -> Text:
    if status is None:
        return Text("no answer", style="red")
    return Text(str(status), style="green" if status < 300 else "yellow" if status == 429 else "red")


def _rule(title: str) -> Rule:
    return Rule(Text(title, style="dim"), align="left", style="dim")


def _bar(value: float, of: float, width: int, style: str) -> ProgressBar:
    done = value >= of
    return ProgressBar(
        total=of or 1, completed=value, width=width, complete_style=style, finished_style=style if done else ""
    )


def _with_bar(bar: ProgressBar, note: Text, letters: int) -> RenderableType:
    both = Table.grid(padding=(0, 1))
    both.add_column()
    both.add_column(width=letters, no_wrap=True)
    both.add_row(bar, note)
    return both


def _saved(figures: Figures) -> str:
    """Unknown while the first changes still wait to be sent: they would all look saved."""
    return "–" if figures.phase is Phase.LINKING else f"{figures.calls_saved:,}"


def _count(count: int, style: str) -> Text:
    return Text(f"{count:,}", style=style if count else "dim")


def _ms(ms: float | None) -> str:
    return "–" if ms is None else f"{ms:,.0f} ms"
