"""Who members are, in the SQL store: ids, details and exclusions. A part of `SqlTx`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from models.person import Details, filled
from worker.store.among import rows_among
from worker.store.tables import EXCLUSIONS, IDENTITIES, MEMBERS, PEOPLE
from worker.store.writing import insert_of, upsert

_KEYS = select(IDENTITIES.c.id, IDENTITIES.c.member).where(IDENTITIES.c.system == bindparam("system"))
_IDS = (
    select(IDENTITIES.c.id, IDENTITIES.c.member)
    .where(IDENTITIES.c.system == bindparam("system"))
    .order_by(IDENTITIES.c.learned)
)
_PEOPLE = select(PEOPLE)
_EXCLUDED = select(EXCLUSIONS)
_NAMES = tuple(field.name for field in fields(Details))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SqlIdentities:
    """Implements `Identities` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._learned = (now - _EPOCH) // timedelta(microseconds=1)

    def keys(self, system: str, ids: Collection[str]) -> dict[str, str]:
        """See `Identities.keys`."""
        rows = self._among(_KEYS, IDENTITIES.c.id, ids, system=system)
        return dict(rows)

    def ids(self, system: str, keys: Collection[str]) -> dict[str, tuple[str, ...]]:
        """See `Identities.ids`."""
        found: dict[str, tuple[str, ...]] = {}
        for one, key in self._among(_IDS, IDENTITIES.c.member, keys, system=system):
            found[key] = (*found.get(key, ()), one)
        return found

    def add(self, system: str, ids: Mapping[str, str]) -> None:
        """See `Identities.add`."""
        upsert(self._connection, IDENTITIES, self._rows(system, ids))

    def mint(self, system: str, ids: Mapping[str, str]) -> dict[str, str]:
        """See `Identities.mint`. In order, so that two transactions do not wait for each other."""
        rows = self._rows(system, dict(sorted(ids.items())))
        self._connection.execute(insert_of(self._connection, IDENTITIES).on_conflict_do_nothing(), rows)
        return self.keys(system, ids)

    def _rows(self, system: str, ids: Mapping[str, str]) -> list[dict[str, Any]]:
        """Each learned after the one before, in one transaction too."""
        begin, self._learned = self._learned, self._learned + len(ids)
        pairs = enumerate(ids.items(), start=begin)
        return [{"system": system, "id": one, "member": key, "learned": learned} for learned, (one, key) in pairs]

    def details(self, keys: Collection[str]) -> dict[str, Details]:
        """See `Identities.details`."""
        rows = self._among(_PEOPLE, PEOPLE.c.member, keys)
        return {row.member: Details(**{name: getattr(row, name) for name in _NAMES}) for row in rows}

    def describe(self, details: Mapping[str, Details]) -> None:
        """See `Identities.describe`."""
        known = self.details(details)
        whole = {key: filled(new, known.get(key, Details())) for key, new in details.items()}
        rows = [{"member": key, **asdict(new)} for key, new in whole.items() if new != known.get(key, Details())]
        upsert(self._connection, PEOPLE, rows)

    def rename(self, old: str, new: str) -> None:
        """See `Identities.rename`."""
        self._connection.execute(update(IDENTITIES).where(IDENTITIES.c.member == old).values(member=new))
        was = self.details([old, new])
        if old in was:
            self._connection.execute(delete(PEOPLE).where(PEOPLE.c.member == old))
            self.describe({new: filled(was.get(new, Details()), was[old])})

    def lists(self, key: str) -> list[int]:
        """See `Identities.lists`."""
        query = select(MEMBERS.c.list_id).where(MEMBERS.c.member == key).order_by(MEMBERS.c.list_id)
        return list(self._connection.execute(query).scalars())

    def excluded(self, keys: Collection[str]) -> dict[int, set[str]]:
        """See `Identities.excluded`."""
        found: dict[int, set[str]] = {}
        for row in self._among(_EXCLUDED, EXCLUSIONS.c.member, keys):
            found.setdefault(row.list_id, set()).add(row.member)
        return found

    def count_excluded(self, list_id: int) -> dict[str, int]:
        """See `Identities.count_excluded`."""
        query = select(EXCLUSIONS.c.remote, func.count().label("members")).where(EXCLUSIONS.c.list_id == list_id)
        rows = self._connection.execute(query.group_by(EXCLUSIONS.c.remote))
        return {row.remote: row.members for row in rows}

    # -- for the store itself

    def excluded_of(
        self, members: Collection[tuple[int, str]], whole: Collection[int]
    ) -> dict[tuple[int, str], dict[str, str]]:
        """From which remotes these members of these lists are excluded, and why. Of the `whole` lists all are told."""
        found: dict[tuple[int, str], dict[str, str]] = {}
        rows = list(self._among(_EXCLUDED, EXCLUSIONS.c.list_id, whole)) if whole else []
        named = {name for number, name in members if number not in whole}
        rows += self._among(_EXCLUDED, EXCLUSIONS.c.member, named) if named else ()
        for row in rows:
            found.setdefault((row.list_id, row.member), {})[row.remote] = row.reason
        return found

    def forget(self, merged: Sequence[tuple[int, str]], told: Sequence[tuple[int, str, str]]) -> None:
        """Rows of members that are no more, and exclusions that hold no more."""
        if merged:
            gone = [{"number": number, "name": name} for number, name in merged]
            for table in (MEMBERS, EXCLUSIONS):
                mine = (table.c.list_id == bindparam("number"), table.c.member == bindparam("name"))
                self._connection.execute(delete(table).where(*mine), gone)
        if told:
            one = delete(EXCLUSIONS).where(
                EXCLUSIONS.c.list_id == bindparam("number"),
                EXCLUSIONS.c.remote == bindparam("on"),
                EXCLUSIONS.c.member == bindparam("name"),
            )
            rows = [{"number": number, "on": remote, "name": name} for number, remote, name in told]
            self._connection.execute(one, rows)

    def _among(self, query: Select[Any], column: Any, values: Collection[Any], **binds: Any) -> Iterable[Any]:
        return rows_among(self._connection, query, column, values, **binds)
