"""Reads and counts the members of an Instantly list, which are rows apart from it. Used by Instantly's connector."""

from __future__ import annotations

from models.person import Person
from worker.errors import Transient
from worker.remotes.base import Request, Send
from worker.remotes.instantly import leads
from worker.remotes.instantly.paths import lead_list
from worker.remotes.reading import Item, document


async def read(send: Send, list_id: str) -> tuple[dict[str, Person], int]:
    """Everybody in the list, by id, and how many rows they have. Raises `Transient` when the list has another number of
    rows: too few would take somebody out who is there, too many are of a page that was old, and may lack others.
    """
    rows: set[str] = set()
    people: dict[str, Person] = {}
    async for lead in leads.rows(send, list_id):
        rows.add(lead.id)
        people.setdefault(lead.person.id, lead.person)
    if len(rows) != await count(send, list_id):
        raise Transient("not read: the list's leads changed while they were read, or a page is missing or old")
    return people, len(rows)


async def count(send: Send, list_id: str) -> int:
    """How many rows the list has."""
    answer = await send(Request(method="GET", path=f"{lead_list(list_id)}/verification-stats"))
    return Item(document(answer), "statistics of a lead list").count("total_leads")
