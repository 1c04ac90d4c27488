"""Deliberate bugs about members that are apart from their lists. A part of `mutants.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from models.lead_list import SCALARS, Copy
from models.person import Person
from models.values import replace
from tests.simulation.mutants import Change, Mutant
from worker.engine import plan
from worker.errors import Transient
from worker.remotes.base import Send
from worker.remotes.instantly import leads, members, removing
from worker.remotes.reading import Item
from worker.simulation import setting, wire
from worker.simulation.faults import Fault
from worker.sync import push, settle


async def _rows(send: Send, list_id: str) -> tuple[dict[str, Person], int]:
    rows = [lead async for lead in leads.rows(send, list_id)]
    return {lead.person.id: lead.person for lead in rows}, len({lead.id for lead in rows})


def believed_in_part(_old: Any) -> Any:
    """Whatever pages show is the whole membership."""
    return _rows


def believed_when_old(_old: Any) -> Any:
    """Only fewer rows than there are make a doubt, as if no page could be old."""

    async def read(send: Send, list_id: str) -> tuple[dict[str, Person], int]:
        people, rows = await _rows(send, list_id)
        if rows < await members.count(send, list_id):
            raise Transient("not read: a page is missing")
        return people, rows

    return read


def members_forgotten(old: Any) -> Any:
    """Members of a write of unknown outcome are neither waited for nor known as ours."""

    def abandon(copy: Copy, late_write_s: float) -> Copy:
        given_up: Copy = old(copy, late_write_s)
        kept = {field: one for field, one in given_up.abandoned.items() if field in SCALARS}
        return replace(given_up, abandoned=kept)

    return abandon


def rows_remembered(old: Any) -> Any:
    """Rows are looked up once, and their ids kept for ever: also of somebody who went and came back."""
    known: dict[tuple[str, str], set[str]] = {}

    async def find(send: Send, list_id: str, ids: Collection[str]) -> dict[str, set[str]]:
        if any((list_id, one) not in known for one in ids):
            known.update({(list_id, one): rows for one, rows in (await old(send, list_id, ids)).items()})
        return {one: known[list_id, one] for one in ids if (list_id, one) in known}

    return find


def known_by_row(old: Any) -> Any:
    """A member is known by the id of its row, and is another one each time it comes back."""

    def person(lead: Item) -> Person:
        known: Person = old(lead)
        return replace(known, id=lead.id())

    return person


def absence_believed(old: Any) -> Any:
    """Who is not found by a lookup is gone."""

    async def remove(send: Send, list_id: str, some: frozenset[str], done: Any) -> None:
        found = await leads.find(send, list_id, some)
        done.removed.update(some - found.keys())
        if found:
            await old(send, list_id, frozenset(found), done)

    return remove


#: Every history has members that are apart.
_ALWAYS: Change = (setting, "_APART", lambda _old: 1.0)


MEMBER_MUTANTS: Mapping[str, Mutant] = {
    "part of members": Mutant(
        says="Pages of members that lack some are taken for all of them.",
        changes=[(members, "read", believed_in_part)],
        faults=frozenset({Fault.DROPPED}),
        world=[_ALWAYS],
        busy=True,
    ),
    "old members": Mutant(
        says="A page of members that is old brings back who was removed, because it shows no fewer than there are.",
        changes=[(members, "read", believed_when_old)],
        faults=frozenset({Fault.STALE}),
        world=[_ALWAYS, (wire, "ROWS", lambda _old: {Fault.STALE: 50})],
        busy=True,
    ),
    "made twice": Mutant(
        says="A member is made twice, because the answer to the first call was lost.",
        changes=[(settle, "abandon", members_forgotten), (push, "abandon", members_forgotten)],
        faults=frozenset({Fault.LATE}),
        world=[_ALWAYS],
        busy=True,
    ),
    "rows remembered": Mutant(
        says="The row of a member that went and came back with another id is deleted by the old one.",
        changes=[(leads, "find", rows_remembered)],
        world=[_ALWAYS],
        busy=True,
    ),
    "known by row": Mutant(
        says="A member is known by the id of its row instead of its address.",
        changes=[(leads, "person", known_by_row)],
        world=[_ALWAYS],
    ),
    "not found is gone": Mutant(
        says="Who is not found by a lookup is taken for removed.",
        changes=[(removing, "_remove", absence_believed)],
        faults=frozenset({Fault.UNFOUND}),
        world=[_ALWAYS],
        busy=True,
    ),
    "members unread": Mutant(
        says="Members that are apart are not read as long as nobody tells of them.",
        changes=[(plan, "_is_unread", lambda _old: lambda *_args: False)],
        faults=frozenset({Fault.SILENT}),
        world=[_ALWAYS],
    ),
}
