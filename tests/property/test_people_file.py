"""Whatever a file holds: rows are taken in or refused with a line, and what is taken in can be stored."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from models.person import address
from tests.support.members import strangers
from worker.cli.people_file import read
from worker.errors import UsageError
from worker.sync.teach import Refused, Told

RULES = strangers()
CELLS = st.sampled_from(["p1", "", '"', '""', "a@b", "A@B\n", ";", ",", "\t", "\r", "\n", "\0", "~x", "ü", "x" * 600])
ROWS = st.lists(CELLS, max_size=40).map("".join)


def rows(contents: bytes) -> list[Told | Refused]:
    """As the command reads them."""
    file = io.TextIOWrapper(io.BytesIO(contents), encoding="utf-8-sig", errors="surrogateescape", newline="")
    return list(read("FILE", file, RULES))


@given(ROWS, st.binary(max_size=40), st.sampled_from(["key;email;lance", "email,key,first_name", "lance\tkey"]))
def test_every_row_has_an_end(text: str, noise: bytes, titles: str) -> None:
    """Lines grow; keys are keys, addresses addresses, and nothing is longer than its column."""
    found = rows(f"{titles}\r\n{text}".encode() + noise)
    lines = [one.line for one in found]
    assert sorted(set(lines)) == lines
    for one in found:
        if isinstance(one, Refused):
            assert one.why
            continue
        person = one.person
        texts = [person.id, person.email, person.first_name, *person.ids.values()]
        assert all(text is None or (0 < len(text) <= 512 and "\0" not in text) for text in texts)
        assert all(text is None or text.encode() for text in texts)
        assert person.says_more
        assert not person.id.startswith("~")
        assert person.email is None or "@" in address(person.email)


@given(st.binary(max_size=200).filter(lambda contents: b"key" not in contents.lower()))
def test_what_is_no_file_of_members_is_wrong_usage(contents: bytes) -> None:
    """Never anything but one sentence."""
    said = ""
    try:
        rows(contents)
    except UsageError as error:
        said = str(error)
    assert said.startswith("FILE")
    assert "\n" not in said
