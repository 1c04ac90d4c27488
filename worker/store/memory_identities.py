"""Who members are, in the in-memory store. A part of `MemoryTx`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from models.lead_list import LeadList
from models.person import Details, filled
from worker.store.memory_tables import Tables


class MemoryIdentities:
    """Implements `Identities`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def keys(self, system: str, ids: Collection[str]) -> dict[str, str]:
        """See `Identities.keys`."""
        known = self._tables.identities
        return {one: known[system, one] for one in ids if (system, one) in known}

    def ids(self, system: str, keys: Collection[str]) -> dict[str, tuple[str, ...]]:
        """See `Identities.ids`."""
        found: dict[str, tuple[str, ...]] = {}
        for (on, one), key in self._tables.identities.items():
            if on == system and key in keys:
                found[key] = (*found.get(key, ()), one)
        return found

    def add(self, system: str, ids: Mapping[str, str]) -> None:
        """See `Identities.add`."""
        for one, key in ids.items():
            self._tables.identities.pop((system, one), None)
            self._tables.identities[system, one] = key

    def mint(self, system: str, ids: Mapping[str, str]) -> dict[str, str]:
        """See `Identities.mint`."""
        return {one: self._tables.identities.setdefault((system, one), key) for one, key in ids.items()}

    def details(self, keys: Collection[str]) -> dict[str, Details]:
        """See `Identities.details`."""
        return {key: self._tables.people[key] for key in keys if key in self._tables.people}

    def describe(self, details: Mapping[str, Details]) -> None:
        """See `Identities.describe`."""
        for key, new in details.items():
            self._tables.people[key] = filled(new, self._tables.people.get(key, Details()))

    def rename(self, old: str, new: str) -> None:
        """See `Identities.rename`."""
        known = self._tables.identities
        self._tables.identities = {handle: new if key == old else key for handle, key in known.items()}
        was = self._tables.people.pop(old, None)
        if was is not None:
            self._tables.people[new] = filled(self._tables.people.get(new, Details()), was)

    def lists(self, key: str) -> list[int]:
        """See `Identities.lists`."""
        return sorted(number for number, one in self._tables.lists.items() if key in one.members)

    def excluded(self, keys: Collection[str]) -> dict[int, set[str]]:
        """See `Identities.excluded`."""
        found = {n: {k for k in keys if k in one.members and one.members[k].excluded} for n, one in self._lists()}
        return {number: some for number, some in found.items() if some}

    def count_excluded(self, list_id: int) -> dict[str, int]:
        """See `Identities.count_excluded`."""
        members = self._tables.lists[list_id].members.values()
        return dict(Counter(remote for member in members for remote in member.excluded))

    def _lists(self) -> Iterable[tuple[int, LeadList]]:
        return self._tables.lists.items()
