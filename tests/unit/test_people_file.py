"""Files that tell who members are: forms that programs export, titles that cannot be meant, rows that are refused."""

from __future__ import annotations

import io

import pytest

from models.person import Person
from tests.support.members import strangers
from worker.cli.people_file import read
from worker.errors import UsageError
from worker.sync.teach import Refused, Told

ANN = Person(id="p1", email="ann@example.com", first_name="Ann", last_name="Fake", ids={"lance": "l1"})


def rows(text: str) -> list[Told | Refused]:
    """As the command reads it."""
    return list(read("FILE", io.TextIOWrapper(_bytes(text), "utf-8-sig", "surrogateescape", newline=""), strangers()))


def _bytes(text: str) -> io.BytesIO:
    return io.BytesIO(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("between", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_programs_export_in_many_forms(between: str, end: str, mark: str) -> None:
    """Whatever stands between cells and at the end of lines, and with a byte order mark."""
    titles, cells = ("key", "email", "first_name", "last_name", "lance"), ("p1", "ann@example.com", "Ann", "Fake", "l1")
    text = mark + between.join(titles) + end + between.join(cells) + end
    assert [Told(2, ANN)] == rows(text)


def test_titles_are_read_with_a_good_will_and_cells_without_their_edges() -> None:
    """Their order, case and spaces do not matter; quotation marks hold what would divide cells, and line breaks."""
    text = '"Lance" ; Key; EMAIL ;company_name\nl1; p1 ;"ann@example.com";"Fake; and\nSons"\n\n;;;\nl2;p2;;\n'
    company = Person(id="p1", email="ann@example.com", company_name="Fake; and\nSons", ids={"lance": "l1"})
    assert [Told(2, company), Told(6, Person(id="p2", ids={"lance": "l2"}))] == rows(text)


@pytest.mark.parametrize(
    ("titles", "says"),
    [
        ("", "FILE: expected titles in the first line: key, and email, first_name, last_name, company_name, lance"),
        ("key,emial", "FILE, line 1: unknown column 'emial'; did you mean email?"),
        ("key,zzz", "unknown column 'zzz'; known here: key, email, first_name, last_name, company_name, lance"),
        ("email,lance", "expected a column key, which holds the CRM's id of each member"),
        ("key", "expected a column beside key: email"),
        ("key,email,Email", "two columns are called email"),
        ("key,crm", "unknown column crm: crm has no ids of its own; its members are known by the column key"),
        ("key,instantly", "instantly has no ids of its own; its members are known by the column email"),
        ("key|email", "unknown column 'key|email'"),
        ("k\udcffey,email", "this is no text in UTF-8; export it as CSV in UTF-8"),
    ],
)
def test_titles_that_cannot_be_meant(titles: str, says: str) -> None:
    """One sentence; no row is read."""
    with pytest.raises(UsageError) as error:
        rows(f"{titles}\np1,x\n")
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",ann@example.com,", "key: expected the CRM's id, it is empty"),
        ("~lance:l1,ann@example.com,", "key: expected the CRM's id; what begins with ~ stands for members that"),
        ("p1,,", "expected something beside the key"),
        ("p1,ann.example.com,", "email: expected an address with an @, as in name@example.com"),
        ("p1,@example.com,", "email: expected an address"),
        ("p1,ann@,", "email: expected an address"),
        ("p1,ann b@example.com,", "email: expected an address"),
        (f"p1,,{'x' * 513}", "lance: expected at most 512 characters, got 513"),
        (f"{'x' * 513},ann@example.com,", "key: expected at most 512 characters, got 513"),
        ("p1,a\0nn@example.com,", "email: expected text without NUL characters"),
        ("p1,,l\udce9", "lance: expected text in UTF-8"),
        ("p1,ann@example.com", "expected 3 cells, as there are titles, got 2"),
        ("p1,ann@example.com,l1,", "expected 3 cells, as there are titles, got 4"),
        ('p1,"' + "x" * 200_000, "a cell of it never ends: a quotation mark is missing"),
    ],
)
def test_rows_that_are_refused(row: str, why: str) -> None:
    """With line and reason, and never with what they hold; the next one is read all the same."""
    before, refused, *after = rows(f"key,email,lance\np0,,l0\n{row}\np9,,l9\n")
    assert isinstance(before, Told)
    assert isinstance(refused, Refused)
    assert 3 == refused.line
    assert refused.why.startswith(why)
    assert "ann" not in refused.why
    assert [Told(4, Person(id="p9", ids={"lance": "l9"}))] == after or "never ends" in why
