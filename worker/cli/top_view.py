"""The view of `leadsync top`: one screen of text. The same sentence, bar and plots as on the page Now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from worker.cli.output import printable
from worker.cli.render import duration
from worker.documents.pace import MINUTES, PaceDocument
from worker.documents.status import RemoteDocument, StatusDocument
from worker.web.pages import words

_STYLES: Final = {
    "in_sync": "green",
    "due": "yellow",
    "conflict": "magenta",
    "excluded": "cyan",
    "parked": "red",
    "active": "green",
    "paused": "red",
    "unknown": "yellow",
}
_STEPS: Final = "▁▂▃▄▅▆▇█"
_BLOCK, _EMPTY = "█", "░"
_BUDGET: Final = 12
#: Titles of columns, and what they show; those that little room has no place for.
_COUNTS: Final = {"copies": "total", "in sync": "in_sync", "due": "due", "parked": "parked", "conflict": "conflict"}
_LEFT_OUT: Final = frozenset({"copies", "conflict"})
_WIDE: Final = 98
#: Letters beside the plots.
_BESIDE: Final = 48


@dataclass(frozen=True, slots=True)
class Now:
    """One look."""

    found: StatusDocument
    pace: PaceDocument

    def document(self) -> dict[str, Any]:
        """With --json: the document of `status`, and the last hour."""
        hour = {name: getattr(self.pace, name) for name in ("calls", "patches", "limited", "p50_ms", "p99_ms")}
        return {"sentence": sentence(self.found), "status": self.found, "hour": hour}


def sentence(found: StatusDocument) -> str:
    """As on the page Now; a terminal may not know the space between its thousands."""
    return printable(words.sentence(found).replace(words.THOUSANDS, ","))


class View:
    """As wide as the terminal."""

    def __init__(self, now: Now, trouble: str = "") -> None:
        self._found, self._pace, self._trouble = now.found, now.pace, trouble

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.max_width
        yield Text(sentence(self._found), style="bold")
        if self._trouble:
            yield Text(printable(f"This is old: {self._trouble}"), style="bold red")
        yield ""
        yield _bar(self._found, wide)
        yield _legend(self._found)
        yield ""
        yield _plots(self._pace, wide)
        yield ""
        yield _remotes(self._found.remotes, wide)
        yield ""
        trouble = [text for name, one in self._found.remotes.items() for text in _trouble(name, one)]
        if trouble:
            yield from trouble
            yield ""
        yield _foot(self._found)


def _bar(found: StatusDocument, wide: int) -> Text:
    """Every part that is not nothing has a letter at least, and all together the whole width."""
    parts = [part for part in words.bar(found) if part.copies]
    if not parts:
        return Text(_EMPTY * wide, style="dim")
    widths = [max(1, int(part.width * wide / 1000)) for part in parts]
    largest = max(range(len(parts)), key=widths.__getitem__)
    widths[largest] += wide - sum(widths)
    bar = Text(no_wrap=True)
    for part, width in zip(parts, widths, strict=True):
        bar.append(_BLOCK * max(0, width), style=_STYLES[part.kind])
    return bar


def _legend(found: StatusDocument) -> RenderableType:
    parts = [part for part in words.bar(found) if part.copies or not part.label.startswith("due")]
    told = [
        Text.assemble(
            ("■ ", _STYLES[part.kind] if part.copies else "dim"),
            (f"{part.copies:,} {part.label}", "" if part.copies else "dim"),
        )
        for part in parts
    ]
    return Columns([*told, Text(f"{found.copies.total:,} copies in all", style="dim")], padding=(0, 3))


def _plots(pace: PaceDocument, wide: int) -> RenderableType:
    """The last hour; each letter is a minute, or some of them where there is little room."""
    minutes, each = pace.minutes, next(n for n in (1, 2, 3, 5, 60) if MINUTES / n <= max(1, wide - _BESIDE))
    some = [minutes[begin : begin + each] for begin in range(0, len(minutes), each)]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis")
    lag = f"p50 {words.milliseconds(pace.p50_ms)}, p99 {words.milliseconds(pace.p99_ms)}"
    lags = [max((one.p99_ms or 0.0 for one in part), default=0.0) for part in some]
    table.add_row("event to PATCH", Text(_line(lags), style="cyan"), lag)
    patches = [sum(one.patches for one in part) for part in some]
    table.add_row("PATCHes", Text(_line(patches), style="green"), f"{pace.patches:,} of {pace.calls:,} calls")
    limited = [sum(one.limited for one in part) for part in some]
    table.add_row("answers 429", Text(_line(limited), style="yellow"), f"{pace.limited:,} in the last hour")
    return table


def _line(values: Sequence[float]) -> str:
    most, steps = max(values, default=0), len(_STEPS) - 1
    return "".join(_STEPS[round(steps * value / most)] if value else " " for value in values)


def _remotes(remotes: dict[str, RemoteDocument], wide: int) -> RenderableType:
    """With little room some columns are left out: `leadsync status` shows all."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column("remote", style="bold", no_wrap=True)
    table.add_column("state", no_wrap=True)
    shown = [title for title in _COUNTS if wide >= _WIDE or title not in _LEFT_OUT]
    for title in shown:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("rate budget", no_wrap=True)
    table.add_column("last scan", no_wrap=True)
    for name, one in remotes.items():
        counts = (f"{getattr(one.copies, _COUNTS[title]):,}" for title in shown)
        scanned = "none yet" if one.last_complete_scan is None else f"{words.age(one.last_complete_scan)} ago"
        state = Text(one.state, style=_STYLES[one.state])
        table.add_row(Text(printable(name)), state, *counts, _budget(one, bar=wide >= _WIDE), scanned)
    return table


def _budget(one: RemoteDocument, *, bar: bool) -> Text:
    budget = one.budget
    if isinstance(budget, str):
        return Text(budget, style="yellow")
    if budget.breaker_s is not None:
        return Text(f"open, probe in {duration(budget.breaker_s)}", style="red")
    if budget.backoff_s:
        return Text(f"backs off for {duration(budget.backoff_s)}", style="yellow")
    used, limit = budget.used["second"], budget.limit["second"]
    full = min(_BUDGET, round(_BUDGET * used / max(limit, 1)))
    text = Text.assemble((_BLOCK * full, "cyan"), (_EMPTY * (_BUDGET - full), "dim"), " ") if bar else Text()
    return text.append(f"{used} of {limit}/s")


def _trouble(name: str, one: RemoteDocument) -> Iterable[Text]:
    if one.cause:
        yield Text(printable(f"{name} {one.state}: {one.cause}; next: {one.next_step}"), style="red")
    if one.held_scan:
        held = one.held_scan
        yield Text(printable(f"{name} scan {held.id} is held: {held.reason}; next: {held.next_step}"), style="red")


def _foot(found: StatusDocument) -> Text:
    stream, numbers = found.stream, found.numbers
    events = stream if isinstance(stream, str) else f"{stream.waiting} waiting, {stream.pending} being taken in"
    if isinstance(numbers, str):
        adds = "not checked yet"
    elif numbers.mismatches:
        adds = f"{numbers.mismatches} mismatches, mended: see the workers' log"
    else:
        adds = f"they add up, as of {duration(numbers.age_s)} ago"
    return Text(f"events: {events}   numbers: {adds}", style="dim")
