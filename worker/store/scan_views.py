"""What people ask about scans. A part of `View`."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, func, select

from models.scan import UNDER_WAY, Scan, ScanState
from worker.store import codec
from worker.store.tables import SCANS


class ScanView:
    """Questions to one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, number: int) -> Scan | None:
        """One scan."""
        return next(iter(self._read(select(SCANS).where(SCANS.c.id == number))), None)

    def newest(self, remote: str | None, limit: int, before: int | None = None) -> list[Scan]:
        """Of one remote or of all, the newest first, one more than `limit` when there are more."""
        query = select(SCANS).order_by(SCANS.c.id.desc()).limit(limit + 1)
        if remote is not None:
            query = query.where(SCANS.c.remote == remote)
        return self._read(query if before is None else query.where(SCANS.c.id < before))

    def held(self) -> dict[str, Scan]:
        """By remote, those that wait for a person."""
        held = select(SCANS).where(SCANS.c.state == ScanState.HELD.value).order_by(SCANS.c.id)
        return {scan.remote: scan for scan in self._read(held)}

    def last_complete(self) -> dict[str, datetime]:
        """By remote, when its last complete scan began: what it showed is not older."""
        newest = select(SCANS.c.remote, func.max(SCANS.c.started_at).label("at"))
        complete = newest.where(SCANS.c.state == ScanState.COMPLETE.value).group_by(SCANS.c.remote)
        return {row.remote: row.at for row in self._connection.execute(complete)}

    def last_of_each(self, remotes: Iterable[str], *, complete: bool) -> dict[str, Scan]:
        """By remote its last complete scan, or the last one that has ended: each found from the end of its index."""
        states = [ScanState.COMPLETE.value] if complete else [one.value for one in ScanState if one not in UNDER_WAY]
        query = select(SCANS).where(SCANS.c.state.in_(states)).order_by(SCANS.c.id.desc()).limit(1)
        found = (self._read(query.where(SCANS.c.remote == remote)) for remote in remotes)
        return {scan.remote: scan for scans in found for scan in scans}

    def begun(self) -> set[str]:
        """Remotes that were ever scanned, or are."""
        return set(self._connection.execute(select(SCANS.c.remote).distinct()).scalars())

    def _read(self, query: Select[Any]) -> list[Scan]:
        return [codec.read_scan(dict(row)) for row in self._connection.execute(query).mappings()]
