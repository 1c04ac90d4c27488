"""Between Lance's lead lists and canonical fields. Pure; used by Lance's connector."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.person import Person
from worker.engine.rules import NoMapping
from worker.errors import Refused
from worker.remotes.reading import MAX_ID, Item

#: The array that holds the ids of a list's members. Hydrated `persons` and `companies` leave some out.
ARRAYS: Mapping[Kind, str] = MappingProxyType({Kind.PERSON: "personIds", Kind.COMPANY: "companyIds"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse(value: Any) -> Shown:
    """One lead list. Of hydrated members nothing is kept but who they are."""
    item = Item(value)
    kind = item.kind("type")
    ids = item.ids_or_null(ARRAYS[kind]) if kind else None
    members = None if ids is None else frozenset(ids)
    return Shown(
        remote_id=item.id(),
        kind=kind,
        fields={Field.NAME: item.text("name")},
        members=members,
        people=_people(item.get("persons"), members) if members and kind is Kind.PERSON else (),
        version=item.time("updatedAt"),
    )


def check_ids(kind: Kind | None, ids: Iterable[str]) -> None:
    """Raises `Refused` before Lance would."""
    if kind is Kind.COMPANY and not all(map(_UUID.fullmatch, ids)):
        raise Refused("not sent: Lance knows companies by UUID, and a member of this list has another id")


def spell(field: Field, value: Value) -> Value:
    """A canonical value as Lance will show it. Raises `NoMapping`."""
    if field is not Field.NAME or not isinstance(value, str):
        raise NoMapping("a name is text, and Lance has no other field with one value")
    return value


def _people(rows: Any, members: Container[str]) -> tuple[Person, ...]:
    """Who these members are. It says nothing of who is a member, so what cannot be read is passed over."""
    people: dict[str, Person] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("id"), str) and row["id"] in members:
            person = _person(row)
            if person.says_more:
                people.setdefault(person.id, person)
    return tuple(people.values())


def _person(row: Mapping[str, Any]) -> Person:
    emails, company = row.get("emails"), row.get("company")
    return Person(
        id=row["id"],
        email=_email(emails[0]) if isinstance(emails, list) and emails else None,
        first_name=_words(row.get("firstName")),
        last_name=_words(row.get("lastName")),
        company_name=_words(company.get("name")) if isinstance(company, dict) else None,
    )


def _email(value: Any) -> str | None:
    text = _words(value)
    return text if text and "@" in text else None


def _words(value: Any) -> str | None:
    """Text that can be kept, or nothing."""
    if not isinstance(value, str) or len(value) > MAX_ID or "\0" in value:
        return None
    return value.strip() or None
