"""Between Instantly's lead lists and canonical fields. Pure; used by Instantly's connector."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from models.lead_list import Field, Value
from models.observation import Shown
from models.patch import Patch
from worker.engine.rules import NoMapping
from worker.remotes.owners import Owners, to_send
from worker.remotes.reading import Item

#: Canonical field to Instantly's own word. Members are leads, not a property of the list.
WORDS: Mapping[Field, str] = MappingProxyType(
    {Field.NAME: "name", Field.OWNER: "owned_by", Field.ENRICHMENT: "has_enrichment_task"}
)


def parse(value: Any, owners: Owners) -> Shown:
    """One lead list. Instantly may leave out what is null."""
    item = Item(value)
    fields: dict[Field, Value] = {
        Field.NAME: item.text(WORDS[Field.NAME]),
        Field.OWNER: owners.parse(item.text_or_null(WORDS[Field.OWNER])),
        Field.ENRICHMENT: item.flag_or_null(WORDS[Field.ENRICHMENT]),
    }
    return Shown(remote_id=item.id(), fields=fields)


def render(patch: Patch, owners: Owners) -> dict[str, Any]:
    """The body of a PATCH."""
    body: dict[str, Any] = {WORDS[field]: value for field, value in patch.fields.items()}
    if Field.OWNER in patch.fields:
        body[WORDS[Field.OWNER]] = to_send(owners, patch.fields[Field.OWNER])
    return body


def spell(field: Field, value: Value, owners: Owners) -> Value:
    """A canonical value as Instantly will show it. Raises `NoMapping`."""
    if field is Field.OWNER:
        return owners.parse(owners.render(value))
    if field not in WORDS or (field is Field.NAME and not isinstance(value, str)):
        raise NoMapping("a name is text, and members are not a field of the list")
    return value
