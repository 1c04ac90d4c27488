"""Between the CRM's objects and canonical fields. Pure; used by the CRM's connector."""

from __future__ import annotations

from typing import Any

from models.lead_list import Field, Value
from models.observation import Shown
from models.patch import Patch
from models.person import Person
from worker.engine.rules import NoMapping
from worker.errors import BadAnswer
from worker.remotes.owners import Owners, to_send
from worker.remotes.reading import Item


def parse(value: Any, owners: Owners) -> Shown:
    """One lead list. A property that is absent was not shown."""
    item = Item(value)
    fields: dict[Field, Value] = {Field.NAME: item.text("name")}
    if item.has("owner"):
        fields[Field.OWNER] = owners.parse(item.text_or_null("owner"))
    if item.has("enrichment"):
        fields[Field.ENRICHMENT] = item.flag_or_null("enrichment")
    members, people = _members(item)
    return Shown(
        remote_id=item.id(),
        kind=item.kind("kind"),
        fields=fields,
        members=members,
        people=people,
        version=item.time("updated_at"),
    )


def _members(item: Item) -> tuple[frozenset[str] | None, tuple[Person, ...]]:
    """Ids, or objects as in events, which tell who the members are too; nothing when they were not shown."""
    members = item.ids_or_objects("members")
    if members is None:
        return None, ()
    people = tuple(_person(held) for _, held in members if held is not None)
    return frozenset(one for one, _ in members), people


def _person(item: Item) -> Person:
    known = item.get("ids") or {}
    if not isinstance(known, dict) or not all(isinstance(one, str) and one for one in known.values()):
        raise BadAnswer("expected a member's ids as an object of remotes and ids, got something else")
    return Person(
        id=item.id(),
        email=item.text_or_null("email"),
        first_name=item.text_or_null("first_name"),
        last_name=item.text_or_null("last_name"),
        company_name=item.text_or_null("company_name"),
        ids=known,
    )


def render(patch: Patch, owners: Owners) -> dict[str, Any]:
    """The body of a PATCH: JSON merge patch, members as what is added and removed."""
    body: dict[str, Any] = {field.value: value for field, value in patch.fields.items()}
    if Field.OWNER in patch.fields:
        body["owner"] = to_send(owners, patch.fields[Field.OWNER])
    if patch.add:
        body["members_added"] = sorted(patch.add)
    if patch.remove:
        body["members_removed"] = sorted(patch.remove)
    return body


def spell(field: Field, value: Value, owners: Owners) -> Value:
    """A canonical value as the CRM will show it. Raises `NoMapping`."""
    if field is Field.OWNER:
        return owners.parse(owners.render(value))
    if field is Field.NAME and not isinstance(value, str):
        raise NoMapping("a name is text")
    return value
