"""Alerts in the SQL store: `SqlAlerts` is a part of `SqlTx`, `AlertView` a part of `View`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, exists, func, insert, select, update

from models.alert import Alert, AlertKey, AlertKind
from worker.store.tables import ALERTS

_LONGEST_TEXT, _LONGEST_TROUBLE = 1000, 200

_LATER = ALERTS.alias("later")
#: Another alert of the same state has followed.
_FOLLOWED = exists().where(
    _LATER.c.kind == ALERTS.c.kind, _LATER.c.about == ALERTS.c.about, _LATER.c.nth > ALERTS.c.nth
)


def _newest() -> Select[Any]:
    """The last alert of each state."""
    return select(ALERTS).where(~_FOLLOWED).order_by(ALERTS.c.id)


class SqlAlerts:
    """Implements `worker.sync.alerts.Alerts` on one open transaction."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection, self._now = connection, now

    def newest_of_each(self) -> dict[AlertKey, Alert]:
        """See `Alerts.newest_of_each`."""
        alerts = [_alert(row) for row in self._connection.execute(_newest())]
        return {alert.key: alert for alert in alerts}

    def add(self, alert: Alert) -> None:
        """See `Alerts.add`. Another worker may have been faster: then this transaction is done again."""
        row = asdict(alert) | {"kind": alert.kind.value}
        row |= {"says": alert.says[:_LONGEST_TEXT], "next_step": alert.next_step[:_LONGEST_TEXT]}
        del row["id"]
        self._connection.execute(insert(ALERTS), [row])

    def waver(self, number: int, since: datetime | None) -> None:
        """See `Alerts.waver`."""
        self._connection.execute(update(ALERTS).where(ALERTS.c.id == number).values(wavers_since=since))

    def untold(self, limit: int) -> list[Alert]:
        """See `Alerts.untold`."""
        waiting = select(ALERTS).where(ALERTS.c.told_at.is_(None)).order_by(ALERTS.c.id).limit(limit)
        return [_alert(row) for row in self._connection.execute(waiting)]

    def take(self, number: int, until: datetime) -> bool:
        """See `Alerts.take`."""
        free = (ALERTS.c.id == number, ALERTS.c.told_at.is_(None), ALERTS.c.due_at <= self._now)
        taken = update(ALERTS).where(*free).values(due_at=until, tries=ALERTS.c.tries + 1)
        return self._connection.execute(taken).rowcount == 1

    def told(self, number: int) -> None:
        """See `Alerts.told`."""
        told = update(ALERTS).where(ALERTS.c.id == number, ALERTS.c.told_at.is_(None))
        self._connection.execute(told.values(told_at=self._now, trouble=""))

    def failed(self, number: int, due_at: datetime, trouble: str) -> None:
        """See `Alerts.failed`."""
        failed = update(ALERTS).where(ALERTS.c.id == number, ALERTS.c.told_at.is_(None))
        self._connection.execute(failed.values(due_at=due_at, trouble=trouble[:_LONGEST_TROUBLE]))

    def forget(self, before: datetime) -> None:
        """See `Alerts.forget`."""
        old = (ALERTS.c.told_at.is_not(None), ALERTS.c.at < before)
        self._connection.execute(delete(ALERTS).where(*old, _FOLLOWED))


class AlertView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def newest(self, limit: int, before: int | None = None) -> list[Alert]:
        """Turns, the newest first, one more than `limit` when there are more."""
        query = select(ALERTS).where(ALERTS.c.nth > 0).order_by(ALERTS.c.id.desc()).limit(limit + 1)
        rows = self._connection.execute(query if before is None else query.where(ALERTS.c.id < before))
        return [_alert(row) for row in rows]

    def bad(self) -> list[Alert]:
        """States that are bad as people were told last, the newest first."""
        bad = select(ALERTS).where(~_FOLLOWED, ALERTS.c.bad).order_by(ALERTS.c.id.desc())
        return [_alert(row) for row in self._connection.execute(bad)]

    def count_bad(self) -> int:
        """States that are bad as people were told last."""
        bad = select(func.count()).select_from(ALERTS).where(~_FOLLOWED, ALERTS.c.bad)
        return int(self._connection.execute(bad).scalar_one())


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        kind=AlertKind(row.kind),
        about=row.about,
        nth=row.nth,
        bad=row.bad,
        at=row.at,
        says=row.says,
        next_step=row.next_step,
        wavers_since=row.wavers_since,
        message=row.message,
        told_at=row.told_at,
        tries=row.tries,
        due_at=row.due_at,
        trouble=row.trouble,
    )
