"""A file that tells who members are, as CRMs and spreadsheets export it: read row by row for `leadsync members import`.

Commas, semicolons or tabs between the cells, with or without a byte order mark; one line of titles.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TextIO

from models.person import UNNAMED, Naming, Person
from worker.engine.rules import Rules
from worker.errors import UsageError
from worker.sync.teach import Refused, Told

#: Columns of any file, as its titles name them. Others are remotes with ids of their own.
COLUMNS: Final = ("key", "email", "first_name", "last_name", "company_name")
_BETWEEN: Final = (",", ";", "\t")
#: As the database keeps them.
_LONGEST: Final = 512
#: A line of titles that is longer is none.
_TITLES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Titles:
    """The first line, understood."""

    columns: tuple[str, ...]
    between: str


def read(name: str, file: TextIO, rules: Rules) -> Iterator[Told | Refused]:
    """Every row with its line; one that cannot be taken in, with the reason. Raises `UsageError` for bad titles."""
    titles = _titles(name, file.readline(_TITLES), rules)
    return _rows(file, titles)


def _titles(name: str, first: str, rules: Rules) -> Titles:
    if not first.strip():
        raise UsageError(f"{name}: expected titles in the first line: key, and {_known(rules)}")
    known = {*COLUMNS, *_remotes(rules)}
    forms = [Titles(tuple(_cells(first, between)), between) for between in _BETWEEN]
    titles = max(forms, key=lambda one: len(known.intersection(one.columns)))
    for title in titles.columns:
        if title not in known:
            raise UsageError(f"{name}, line 1: {_unknown(title, known, rules)}")
        if titles.columns.count(title) > 1:
            raise UsageError(f"{name}, line 1: two columns are called {title}")
    if "key" not in titles.columns:
        raise UsageError(f"{name}, line 1: expected a column key, which holds the CRM's id of each member")
    if len(titles.columns) == 1:
        raise UsageError(f"{name}, line 1: expected a column beside key: {_known(rules)}")
    return titles


def _cells(first: str, between: str) -> list[str]:
    return [title.strip().lower() for title in next(csv.reader([first], delimiter=between))]


def _remotes(rules: Rules) -> list[str]:
    return sorted(name for name, one in rules.remotes.items() if one.naming is Naming.ID)


def _known(rules: Rules) -> str:
    return ", ".join((*COLUMNS[1:], *_remotes(rules)))


def _unknown(title: str, known: Iterable[str], rules: Rules) -> str:
    if "\ufffd" in title or any("\ud800" <= letter <= "\udfff" for letter in title):
        return "this is no text in UTF-8; export it as CSV in UTF-8"
    if title in rules.remotes:
        other = "key" if rules.remotes[title].naming is Naming.KEY else "email"
        return f"unknown column {title}: {title} has no ids of its own; its members are known by the column {other}"
    near = difflib.get_close_matches(title, sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known here: key, {_known(rules)}"
    return f"unknown column {title[:40]!r}; {hint}"


def _rows(file: TextIO, titles: Titles) -> Iterator[Told | Refused]:
    reader = csv.reader(file, delimiter=titles.between)
    while True:
        line = reader.line_num + 2  # a cell may go over several lines: the row begins at the first
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Refused(line, "a cell of it never ends: a quotation mark is missing")
            continue
        if any(cell.strip() for cell in cells):
            yield _row(line, [cell.strip() for cell in cells], titles.columns)


def _row(line: int, cells: Sequence[str], columns: Sequence[str]) -> Told | Refused:
    if len(cells) != len(columns):
        return Refused(line, f"expected {len(columns)} cells, as there are titles, got {len(cells)}")
    row = dict(zip(columns, cells, strict=True))
    wrong = _wrong(row)
    return Refused(line, wrong) if wrong else Told(line, _person(row))


def _wrong(row: Mapping[str, str]) -> str | None:
    """Why it cannot be taken in. What stands in the cells is not told: it is about people."""
    for title, text in row.items():
        if "\0" in text:
            return f"{title}: expected text without NUL characters"
        if any("\ud800" <= letter <= "\udfff" for letter in text):
            return f"{title}: expected text in UTF-8"
        if len(text) > _LONGEST or len(text.lower()) > _LONGEST:  # addresses are kept in lower case
            return f"{title}: expected at most {_LONGEST} characters, got {len(text)}"
    if not row["key"]:
        return "key: expected the CRM's id, it is empty"
    if row["key"].startswith(UNNAMED):
        return f"key: expected the CRM's id; what begins with {UNNAMED} stands for members that the CRM has not named"
    if row.get("email") and not _is_address(row["email"]):
        return "email: expected an address with an @, as in name@example.com"
    if not any(text for title, text in row.items() if title != "key"):
        return "expected something beside the key"
    return None


def _is_address(email: str) -> bool:
    local, _, domain = email.rpartition("@")
    return bool(local and domain) and not any(letter.isspace() for letter in email)


def _person(row: Mapping[str, str]) -> Person:
    return Person(
        id=row["key"],
        email=row.get("email") or None,
        first_name=row.get("first_name") or None,
        last_name=row.get("last_name") or None,
        company_name=row.get("company_name") or None,
        ids={title: text for title, text in row.items() if title not in COLUMNS and text},
    )
