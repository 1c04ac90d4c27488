"""Upkeep in the SQL store: forgetting what is old, and finding rows that contradict each other. A part of `SqlTx`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)

from models.lead_list import PENDING, Copy, Standing, Waiting
from models.scan import ScanState
from worker.parts import Astray, Kept
from worker.store import codec
from worker.store.tables import ATTEMPTS, CHANGES, COPIES, GONE_LISTS, LINKS, LISTS, MEMBERS, PLANS, SCANS

#: What is older goes, and where that is written.
_MOMENTS = {Kept.CHANGES: CHANGES.c.at, Kept.ATTEMPTS: ATTEMPTS.c.at, Kept.SCANS: SCANS.c.ended_at}

_FEW = {Kept.PLANS: PLANS.c.made_at, Kept.GONE: GONE_LISTS.c.at}

_LATER = SCANS.alias("later")
#: A scan that another one of its remote has followed; of the complete ones the last stays.
_FOLLOWED = exists().where(
    _LATER.c.remote == SCANS.c.remote,
    _LATER.c.id > SCANS.c.id,
    or_(SCANS.c.state != ScanState.COMPLETE.value, _LATER.c.state == ScanState.COMPLETE.value),
)

_SAME = (LINKS.c.list_id == COPIES.c.list_id) & (LINKS.c.remote == COPIES.c.remote)
_LINKED = exists().where(_SAME)
_UNKNOWN = or_(
    COPIES.c.standing.not_in([standing.value for standing in Standing]),
    and_(COPIES.c.waiting.is_not(None), COPIES.c.waiting.not_in([waiting.value for waiting in Waiting])),
)
_NO_LINK, _NO_COPY, _NO_STANDING = "no link", "no copy", "no standing"


class SqlUpkeep:
    """Implements `Upkeep` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection, self._now = connection, now

    def forget(self, kept: Kept, before: datetime, limit: int) -> int:
        """See `Upkeep.forget`. Looks along the primary key only, and writes nothing when nothing is old."""
        if kept in _FEW:  # rows without numbers
            return self._connection.execute(delete(_FEW[kept].table).where(_FEW[kept] < before)).rowcount
        moment = _MOMENTS[kept]
        table = moment.table
        oldest = select(table.c.id, moment.label("moment")).order_by(table.c.id).limit(limit).subquery()
        query = select(func.max(oldest.c.id), func.min(oldest.c.moment))
        last, first_moment = self._connection.execute(query).one()
        if first_moment is None or first_moment >= before:
            return 0
        old: list[ColumnElement[bool]] = [table.c.id <= last, moment < before]
        if kept is Kept.SCANS:
            old += [SCANS.c.state != ScanState.HELD.value, _FOLLOWED]
        return self._connection.execute(delete(table).where(*old)).rowcount

    def lists(self, after: int, limit: int) -> list[int]:
        """See `Upkeep.lists`."""
        following = select(LISTS.c.id).where(LISTS.c.id > after).order_by(LISTS.c.id).limit(limit)
        return list(self._connection.execute(following).scalars())

    def small(self, ids: Collection[int], limit: int) -> set[int]:
        """See `Upkeep.small`."""
        counted = select(MEMBERS.c.list_id).where(MEMBERS.c.list_id.in_(ids)).group_by(MEMBERS.c.list_id)
        large = self._connection.execute(counted.having(func.count() > limit)).scalars()
        return set(ids).difference(large)

    def mend(self, after: int, last: int | None) -> list[Astray]:
        """See `Upkeep.mend`. One statement looks, so that a list that is being linked is seen before or after that;
        what it finds is looked at again once nobody else can change those lists.
        """
        found = {row.list_id for row in self._astray(after, last)}
        if not found:
            return []
        mine = LISTS.c.id.in_(found)
        self._connection.execute(select(LISTS.c.id).where(mine).order_by(LISTS.c.id).with_for_update())
        rows = [row for row in self._astray(after, last) if row.list_id in found]
        return [Astray(row.list_id, row.remote, self._mended(row)) for row in rows]

    # -- below here: how

    def _astray(self, after: int, last: int | None) -> list[Row[Any]]:
        def among(column: ColumnElement[int]) -> ColumnElement[bool]:
            return column > after if last is None else column.between(after + 1, last)

        nothing = literal(None)
        query = union_all(
            select(
                COPIES.c.list_id, COPIES.c.remote, literal(_NO_LINK).label("what"), nothing.label("remote_id")
            ).where(among(COPIES.c.list_id), ~_LINKED),
            select(LINKS.c.list_id, LINKS.c.remote, literal(_NO_COPY), LINKS.c.remote_id).where(
                among(LINKS.c.list_id), ~exists().where(_SAME)
            ),
            select(COPIES.c.list_id, COPIES.c.remote, literal(_NO_STANDING), nothing).where(
                among(COPIES.c.list_id), _LINKED, _UNKNOWN
            ),
        )
        return list(self._connection.execute(query))

    def _mended(self, row: Row[Any]) -> str:
        mine = (COPIES.c.list_id == row.list_id, COPIES.c.remote == row.remote)
        if row.what == _NO_LINK:
            self._connection.execute(delete(COPIES).where(*mine))
            return "a copy without a link; it is forgotten until it is linked again"
        if row.what == _NO_COPY:
            pending = row.remote_id.startswith(PENDING)
            copy = Copy(
                remote=row.remote,
                remote_id=row.remote_id,
                look=not pending,
                standing=Standing.DUE,
                waiting=Waiting.FIRST_SCAN if pending else Waiting.FIRST_READ,
                due_at=self._now,
                since=self._now,
            )
            self._connection.execute(insert(COPIES), [codec.copy_row(row.list_id, copy)])
            return "a link without a copy; it is read anew"
        anew = {"standing": Standing.DUE.value, "waiting": Waiting.TURN.value, "due_at": self._now}
        since = func.coalesce(COPIES.c.since, self._now)
        self._connection.execute(update(COPIES).where(*mine).values(**anew, since=since))
        return "a standing that is none; it is computed anew"
