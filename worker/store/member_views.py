"""What people ask about members: who is on a list, who is excluded where, and what is known of one. A part of `View`.

A list may have a million members: pages are cut by keys, and reasons are counted by the database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, union

from models.lead_list import Field
from models.person import Details
from worker.ports import RemoteKey
from worker.store.among import rows_among
from worker.store.tables import EXCLUSIONS, IDENTITIES, LINKS, MEMBERS, PEOPLE, WANTED

# Built once: `rows_among` keeps what it makes of each.
_ROWS = select(MEMBERS).where(MEMBERS.c.list_id == bindparam("number"))
_WHY = select(EXCLUSIONS).where(EXCLUSIONS.c.list_id == bindparam("number"))
_TIED = select(LINKS)


@dataclass(frozen=True, slots=True)
class TiedList:
    """One lead list, and where it has copies."""

    id: int
    remotes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMember:
    """One member of one list."""

    key: str
    wanted: bool
    shown_by: list[str]
    #: Remotes that cannot be told of it, and why.
    excluded: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnList:
    """One list that a member is on."""

    list_id: int
    name: str | None
    #: Ids of its copies, by remote.
    copies: dict[str, str]
    member: ListedMember


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """Members of one list that one remote cannot be told of."""

    count: int = 0
    #: How many for which reason.
    reasons: dict[str, int] = field(default_factory=dict)
    #: The first of them, and why.
    first: dict[str, str] = field(default_factory=dict)


class MemberView:
    """What a snapshot knows of members."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, key: RemoteKey) -> TiedList | None:
        """The lead list that this copy belongs to."""
        mine = select(LINKS.c.list_id).where(LINKS.c.remote == key[0], LINKS.c.remote_id == key[1]).scalar_subquery()
        rows = self._connection.execute(
            select(LINKS.c.list_id, LINKS.c.remote).where(LINKS.c.list_id == mine).order_by(LINKS.c.remote)
        ).all()
        return TiedList(rows[0].list_id, tuple(row.remote for row in rows)) if rows else None

    def of(self, tied: TiedList, limit: int, after: str = "", on: str | None = None) -> list[ListedMember]:
        """Those that are wanted or shown, in the order of their keys; with `on`, those that this remote shows."""
        shown = [_shown_by(remote) for remote in tied.remotes]
        meant = or_(MEMBERS.c.wanted, *shown) if on is None else _shown_by(on)
        mine = (MEMBERS.c.list_id == tied.id, MEMBERS.c.member > after, meant)
        query = select(MEMBERS.c.member).where(*mine).order_by(MEMBERS.c.member).limit(limit + 1)
        return self._named(tied, list(self._connection.execute(query).scalars()))

    def excluded_of(self, tied: TiedList, limit: int, after: str = "", on: str | None = None) -> list[ListedMember]:
        """Those that some remote cannot be told of, in the order of their keys; with `on`, those of this one."""
        found = [self._excluded(tied.id, remote, limit + 1, after).subquery() for remote in _remotes(tied, on)]
        together = union(*(select(one.c.member) for one in found)).subquery()
        query = select(together.c.member).order_by(together.c.member).limit(limit + 1)
        return self._named(tied, list(self._connection.execute(query).scalars()))

    def excluded(self, number: int, remotes: Iterable[str], some: int) -> dict[str, Excluded]:
        """Of one list, by remote; `some` of them by name."""
        query = select(EXCLUSIONS.c.remote, EXCLUSIONS.c.reason, func.count().label("members"))
        rows = self._connection.execute(
            query.where(EXCLUSIONS.c.list_id == number)
            .group_by(EXCLUSIONS.c.remote, EXCLUSIONS.c.reason)
            .order_by(func.count().desc(), EXCLUSIONS.c.reason)
        )
        counts: dict[str, dict[str, int]] = {}
        for row in rows:
            counts.setdefault(row.remote, {})[row.reason] = row.members
        return {
            remote: Excluded(
                count=sum(counts[remote].values()),
                reasons=counts[remote],
                first={
                    row.member: row.reason for row in self._connection.execute(self._excluded(number, remote, some))
                },
            )
            for remote in remotes
            if remote in counts
        }

    # -- one member

    def ids(self, key: str) -> dict[str, list[str]]:
        """By system, the one that was learned last at the end."""
        query = select(IDENTITIES).where(IDENTITIES.c.member == key)
        found: dict[str, list[str]] = {}
        for row in self._connection.execute(query.order_by(IDENTITIES.c.system, IDENTITIES.c.learned)):
            found.setdefault(row.system, []).append(row.id)
        return found

    def details(self, key: str) -> Details:
        """What it is called."""
        row = self._connection.execute(select(PEOPLE).where(PEOPLE.c.member == key)).one_or_none()
        if row is None:
            return Details()
        return Details(first_name=row.first_name, last_name=row.last_name, company_name=row.company_name)

    def lists(self, key: str, limit: int) -> list[OnList]:
        """The first lists that it is on, or was."""
        name = WANTED.c.fields[(Field.NAME.value, 0)].as_string().label("name")
        query = (
            select(MEMBERS, name)
            .outerjoin(WANTED, WANTED.c.list_id == MEMBERS.c.list_id)
            .where(MEMBERS.c.member == key)
            .order_by(MEMBERS.c.list_id)
            .limit(limit + 1)
        )
        rows = self._connection.execute(query).all()
        why: dict[int, dict[str, str]] = {}
        for row in self._connection.execute(select(EXCLUSIONS).where(EXCLUSIONS.c.member == key)):
            why.setdefault(row.list_id, {})[row.remote] = row.reason
        copies: dict[int, dict[str, str]] = {}
        for link in rows_among(self._connection, _TIED, LINKS.c.list_id, [row.list_id for row in rows]):
            copies.setdefault(link.list_id, {})[link.remote] = link.remote_id
        return [
            OnList(
                list_id=row.list_id,
                name=row.name,
                copies=dict(sorted(copies.get(row.list_id, {}).items())),
                member=_member(row, sorted(copies.get(row.list_id, ())), why.get(row.list_id, {})),
            )
            for row in rows
        ]

    # -- below here: how

    def _excluded(self, number: int, remote: str, limit: int, after: str = "") -> Any:
        mine = (EXCLUSIONS.c.list_id == number, EXCLUSIONS.c.remote == remote, EXCLUSIONS.c.member > after)
        query = select(EXCLUSIONS.c.member, EXCLUSIONS.c.reason).where(*mine)
        return query.order_by(EXCLUSIONS.c.member).limit(limit)

    def _named(self, tied: TiedList, keys: Sequence[str]) -> list[ListedMember]:
        """These members of the list, in this order."""
        found = rows_among(self._connection, _ROWS, MEMBERS.c.member, keys, number=tied.id)
        rows = {row.member: row for row in found}
        why: dict[str, dict[str, str]] = {}
        for row in rows_among(self._connection, _WHY, EXCLUSIONS.c.member, keys, number=tied.id):
            why.setdefault(row.member, {})[row.remote] = row.reason
        return [_member(rows[key], tied.remotes, why.get(key, {})) for key in keys if key in rows]


def _remotes(tied: TiedList, on: str | None) -> Collection[str]:
    return tied.remotes if on is None else (on,)


def _shown_by(remote: str) -> Any:
    return MEMBERS.c.seen[(remote, 0)].as_boolean()


def _member(row: Any, remotes: Iterable[str], why: dict[str, str]) -> ListedMember:
    shown = [remote for remote in remotes if remote in row.seen and row.seen[remote][0]]
    return ListedMember(key=row.member, wanted=row.wanted, shown_by=shown, excluded=dict(sorted(why.items())))
