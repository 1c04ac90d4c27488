"""The judge: are the three copies of each list equal? Asks the simulators, never leadsync. Used by `measuring.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.demo.scenario import HOLDERS, OWNERS

#: Remote → id there → the list as its simulator holds it.
States = Mapping[str, Mapping[str, Mapping[str, Any]]]
Ids = Mapping[str, Sequence[str]]

_OURS = {theirs: ours for ours, theirs in OWNERS.items()}


@dataclass(frozen=True, slots=True)
class Difference:
    """A list whose copies are not equal."""

    #: Its id in the CRM.
    id: str
    fields: tuple[str, ...]


def differences(states: States, ids: Ids) -> list[Difference]:
    """All lists that differ, and in which fields."""
    found = (Difference(ids["crm"][n], _differing(_copies(states, ids, n))) for n in range(len(ids["crm"])))
    return [difference for difference in found if difference.fields]


def tidy(name: str) -> str:
    """A name as Lance keeps it: trimmed, inner runs of spaces made one."""
    return " ".join(name.split())


def _copies(states: States, ids: Ids, n: int) -> dict[str, Mapping[str, Any]]:
    return {remote: states[remote].get(ids[remote][n], {}) for remote in ids}


def _differing(copies: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    def equal(field: str) -> bool:
        agreed = _value(field, copies["crm"])
        return all(
            _value(field, copies[remote]) == (_as_lance_shows(field, agreed) if remote == "lance" else agreed)
            for remote in HOLDERS[field]
        )

    return tuple(field for field in HOLDERS if not equal(field))


def _value(field: str, row: Mapping[str, Any]) -> Any:
    """In canonical form; a list that is not there equals nothing."""
    value = row.get(field, object())
    match field:
        case "owner":
            return _OURS.get(value, value)
        case "members" if isinstance(value, list):
            return frozenset(value)
        case _:
            return value


def _as_lance_shows(field: str, value: Any) -> Any:
    return tidy(value) if field == "name" and isinstance(value, str) else value
