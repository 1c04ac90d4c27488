"""Between Lance's lead lists and canonical fields. Pure; used by Lance's connector."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from worker.engine.rules import NoMapping
from worker.errors import Refused
from worker.remotes.reading import Item

#: The array that holds the ids of a list's members. Hydrated `persons` and `companies` leave some out.
ARRAYS: Mapping[Kind, str] = MappingProxyType({Kind.PERSON: "personIds", Kind.COMPANY: "companyIds"})

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parse(value: Any) -> Shown:
    """One lead list."""
    item = Item(value)
    kind = item.kind("type")
    ids = item.ids_or_null(ARRAYS[kind]) if kind else None
    return Shown(
        remote_id=item.id(),
        kind=kind,
        fields={Field.NAME: item.text("name")},
        members=None if ids is None else frozenset(ids),
        version=item.time("updatedAt"),
    )


def whole(kind: Kind, members: Iterable[str]) -> dict[str, list[str]]:
    """Membership as the array that replaces what is there. Raises `Refused` before Lance would."""
    ids = sorted(members)
    if kind is Kind.COMPANY and not all(map(_UUID.fullmatch, ids)):
        raise Refused("not sent: Lance knows companies by UUID, and a member of this list has another id")
    return {ARRAYS[kind]: ids}


def spell(field: Field, value: Value) -> Value:
    """A canonical value as Lance will show it. Raises `NoMapping`."""
    if field is not Field.NAME or not isinstance(value, str):
        raise NoMapping("a name is text, and Lance has no other field with one value")
    return value
