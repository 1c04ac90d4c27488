"""Running totals in the SQL store: `SqlTotals` is a part of `SqlTx`, `TotalsView` a part of `View`.

They are written with the rows that they count, in one transaction: so they are exact over any number of processes,
survive the loss of Redis, and stay when `sync.keep_days` forgets those rows. That costs one statement a transaction,
its last one, so that nobody waits for anything while he holds these few rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from models.lead_list import LeadList
from models.ledger import Attempt, Change, ChangeKind
from models.totals import NO_ANSWER, Total, TotalKind, lag_step
from worker.limits.base import Lane
from worker.store.tables import TOTALS

#: kind, remote, detail
_Key = tuple[str, str, str]
_KEY: Final = ("kind", "remote", "detail")
#: Changes that other copies must be told of.
_TOLD_ON: Final = frozenset({ChangeKind.WANTED, ChangeKind.RESOLVED})


def _adding(dialect: Any) -> Any:
    insert = dialect.insert(TOTALS)
    more = {name: TOTALS.c[name] + insert.excluded[name] for name in ("number", "seconds")}
    return insert.on_conflict_do_update(index_elements=list(_KEY), set_=more)


# Built once: to build a statement costs more than to run it.
_ADD = {"postgresql": _adding(postgresql), "sqlite": _adding(sqlite)}


class SqlTotals:
    """Counts what one transaction does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._numbers, self._seconds = Counter[_Key](), defaultdict[_Key, float](float)
        self._changes: list[tuple[int, Change]] = []
        self._lists: dict[int, LeadList] = {}

    def attempted(self, attempts: Iterable[Attempt]) -> None:
        """Calls, and what they carried."""
        for one in attempts:
            status = NO_ANSWER if one.status is None else str(one.status)
            self._add(TotalKind.CALLS, one.remote, f"{one.action} {one.lane} {status}", one.duration_ms / 1000)
            if one.lag_ms is not None:
                self._add(TotalKind.LAG, one.remote, lag_step(one.lag_ms / 1000), one.lag_ms / 1000)

    def page(self, remote: str) -> None:
        """A page of a scan was read."""
        self._add(TotalKind.CALLS, remote, f"page {Lane.SCAN} 200", 0.0)

    def changed(self, list_id: int, changes: Sequence[Change]) -> None:
        """What became wanted: other copies must be told of it."""
        self._changes += [(list_id, one) for one in changes if one.kind in _TOLD_ON and one.field is not None]

    def saved(self, after: LeadList) -> None:
        """A list, whose copies are those that must be told."""
        self._lists[after.id] = after

    def write(self) -> None:
        """The last statement of a transaction. In one order, so that two of them cannot wait for each other."""
        for number, change in self._changes:
            for remote in _others(self._lists.get(number), change):
                self._add(TotalKind.NEEDED, remote, "", 0.0)
        rows = [
            {**dict(zip(_KEY, key, strict=True)), "number": self._numbers[key], "seconds": self._seconds[key]}
            for key in sorted(self._numbers)
        ]
        if rows:
            self._connection.execute(_ADD[self._connection.dialect.name], rows)

    def _add(self, kind: TotalKind, remote: str, detail: str, seconds: float) -> None:
        key = (kind.value, remote, detail)
        self._numbers[key] += 1
        self._seconds[key] += seconds


class TotalsView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> list[Total]:
        """Some dozen rows."""
        return [
            Total(
                kind=TotalKind(row.kind),
                remote=row.remote,
                detail=row.detail,
                number=row.number,
                seconds=row.seconds,
            )
            for row in self._connection.execute(select(TOTALS).order_by(*(TOTALS.c[name] for name in _KEY)))
        ]


def _others(lead_list: LeadList | None, change: Change) -> list[str]:
    """Remotes whose copies have that field, but for the one that it came from."""
    if lead_list is None:
        return []
    copies = lead_list.copies.values()
    return [copy.remote for copy in copies if change.field in copy.seen and copy.remote != change.origin]
