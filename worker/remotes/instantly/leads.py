"""Lead rows of one Instantly list: read all, or look some up. Used by what reads, adds and removes members.

A member's id there is its e-mail address; only a lead without one has the id of its row. Several rows of one address
are one member.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.person import Person, address
from worker.errors import BadAnswer
from worker.remotes.base import Request, Send
from worker.remotes.instantly.paths import LEADS, PAGE
from worker.remotes.reading import MAX_ID, Item, document, next_cursor

#: The most leads that one call adds or deletes.
MOST: Final = 1_000

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
#: Addresses that Instantly takes as a filter. It answers 400 to a filter with any other, and to all that is beside it.
is_plain: Callable[[str], object] = re.compile(
    rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+{_LABEL}", re.IGNORECASE | re.ASCII
).fullmatch

#: Shared by all people: a million dicts that stay empty would be 64 MB.
_NO_IDS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Lead:
    """One row."""

    #: The row's, not the member's.
    id: str
    person: Person


def is_email(id: str) -> bool:
    """Whether a member's id is an address; else it is the id of a row."""
    return "@" in id


async def rows(send: Send, list_id: str, **filters: Any) -> AsyncIterator[Lead]:
    """Every row of the list that the filters leave, page by page. Raises `BadAnswer` for a row of another list."""
    asked: set[str] = set()
    cursor: str | None = None
    while True:
        body = {"list_id": list_id, "limit": PAGE, **filters} | ({"starting_after": cursor} if cursor else {})
        answer = await send(Request(method="POST", path=f"{LEADS}/list", body=body, only_reads=True))
        page = Item(document(answer), "a page of leads")
        for value in (values := page.elements("items")):
            yield _row(Item(value, "a lead"), list_id)
        cursor = next_cursor(cursor, values, page.get("next_starting_after"))
        if cursor is None:
            return
        if cursor in asked:
            raise BadAnswer("expected each page's cursor to be new, got an earlier one again")
        asked.add(cursor)


async def find(send: Send, list_id: str, ids: Collection[str]) -> dict[str, set[str]]:
    """Ids of the rows of these members, by member. Those without a row in the list are left out."""
    wanted = frozenset(ids)
    found: dict[str, set[str]] = {}
    for filters in _filters(wanted):
        async for lead in rows(send, list_id, **filters):
            member = lead.id if lead.id in wanted else lead.person.id
            if member in wanted:
                found.setdefault(member, set()).add(lead.id)
    return found


def person(lead: Item) -> Person:
    """Who a lead is."""
    row, email = lead.id(), address(lead.text_or_null("email") or "")
    known = is_email(email) and len(email) <= MAX_ID
    return Person(
        id=email if known else row,
        email=email if known else None,
        first_name=lead.text_or_null("first_name") or None,
        last_name=lead.text_or_null("last_name") or None,
        company_name=lead.text_or_null("company_name") or None,
        ids=_NO_IDS,
    )


def batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """`items` in their order, so many at a time."""
    return (items[begin : begin + size] for begin in range(0, len(items), size))


def _row(lead: Item, list_id: str) -> Lead:
    if lead.text_or_null("list_id") != list_id:
        raise BadAnswer("expected leads of the list that was asked for, got one of another")
    return Lead(lead.id(), person(lead))


def _filters(ids: Collection[str]) -> Iterator[dict[str, Any]]:
    emails = sorted(filter(is_email, ids))
    for batch in batches([email for email in emails if is_plain(email)], PAGE):
        yield {"contacts": batch}
    for batch in batches(sorted(set(ids).difference(emails)), PAGE):
        yield {"ids": batch}
    for email in emails:
        if not is_plain(email):
            yield {"search": email}
