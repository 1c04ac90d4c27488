"""Plans in the SQL store: what waits to be sent, and what people have seen of it. A part of `SqlTx`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, text

from models.plan import KEPT, KEPT_FOR, KeptPlan, PlanItem
from worker.store.tables import COPIES, PLANS


class SqlPlans:
    """Implements `Plans` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection, self._now = connection, now

    def waiting(self, remote: str | None, after: int, limit: int) -> list[int]:
        """See `Plans.waiting`."""
        some = select(COPIES.c.list_id).where(text("copies.standing = 'due'"), COPIES.c.list_id > after)
        if remote is not None:
            some = some.where(COPIES.c.remote == remote)
        query = some.distinct().order_by(COPIES.c.list_id).limit(limit)
        return list(self._connection.execute(query).scalars())

    def keep(self, plan: KeptPlan) -> None:
        """See `Plans.keep`."""
        items = [[item.list_id, item.remote, item.remote_id, item.signature] for item in plan.items]
        self._connection.execute(delete(PLANS).where(PLANS.c.hash == plan.hash))
        self._connection.execute(insert(PLANS).values(hash=plan.hash, made_at=plan.made_at, items=items))
        newest = select(PLANS.c.hash).order_by(PLANS.c.made_at.desc(), PLANS.c.hash).limit(KEPT)
        kept = self._connection.execute(newest).scalars().all()
        old = PLANS.c.made_at < self._now - KEPT_FOR
        self._connection.execute(delete(PLANS).where(old | PLANS.c.hash.not_in(kept)))

    def find(self, digits: str) -> list[KeptPlan]:
        """See `Plans.find`."""
        mine = (PLANS.c.hash.startswith(digits, autoescape=True), PLANS.c.made_at >= self._now - KEPT_FOR)
        rows = self._connection.execute(select(PLANS).where(*mine).order_by(PLANS.c.hash).limit(2))
        return [
            KeptPlan(hash=row.hash, made_at=row.made_at, items=tuple(PlanItem(*item) for item in row.items))
            for row in rows
        ]
