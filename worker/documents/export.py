"""The rows of `leadsync export`: one table of the ledger, streamed in pages, so memory stays the same for any number.

Each page is a snapshot of its own, so a long export holds up nobody; it ends with the row that was the newest when it
began.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from worker.errors import UsageError
from worker.store.ledger_views import LedgerTable, columns
from worker.store.views import View, Views

_PAGE: Final = 1_000
_AGO: Final = re.compile(r"(\d{1,5})(min|h|d)")
#: Nothing is older, and a little before it is still in the calendar.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"min": "minutes", "h": "hours", "d": "days"}
#: What spreadsheets take for the beginning of a formula, full-width forms too.
_FORMULA: Final = tuple("=+-@\t\r\n＝＋－＠")


def rows(
    views: Views, table: LedgerTable, *, since: datetime | None = None, remote: str | None = None, page: int = _PAGE
) -> Iterator[dict[str, Any]]:
    """In the order in which they were noted."""

    def begin(view: View) -> tuple[int, int]:
        return (0 if since is None else view.ledger.before(table, since)), view.ledger.last(table)

    def following(view: View) -> list[dict[str, Any]]:
        return view.ledger.rows(table, page, after=after, last=last, since=since, remote=remote)

    after, last = views.look(begin)
    while found := views.look(following):
        yield from found
        after = found[-1]["id"]


def json_lines(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """One JSON object a line."""
    for row in found:
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def comma_separated(table: LedgerTable, found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """RFC 4180 with a line of titles. Values of fields are JSON; what could be a formula begins with an apostrophe."""
    line = io.StringIO(newline="")
    writer = csv.writer(line)

    def taken() -> bytes:
        text = line.getvalue().encode()
        line.seek(0)
        line.truncate()
        return text

    writer.writerow(columns(table))
    for row in found:
        yield taken()
        writer.writerow([_cell(name, value) for name, value in row.items()])
    yield taken()


def moment(text: str, now: datetime) -> datetime:
    """`2026-11-22`, `2026-11-22T12:00:00Z` (UTC without a zone), or as in `30min`, `24h`, `7d`: so long ago."""
    if ago := _AGO.fullmatch(text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since: expected a time as in 2026-11-22T12:00:00Z, or as in 24h or 7d, got {text!r}"
        ) from None
    try:
        return max(_FIRST, found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC))
    except OverflowError:  # a zone that leads out of the calendar
        return _FIRST


#: Columns that hold values of fields.
_DOCUMENTS: Final = frozenset({"old", "new", "sent"})


def _cell(name: str, value: Any) -> str:
    if name in _DOCUMENTS:
        return "" if value is None else orjson.dumps(value).decode()
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case str():
            return _harmless(value)
        case _:
            return str(value)


def _harmless(text: str) -> str:
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return f"'{plain}" if text.startswith(_FORMULA) else plain
