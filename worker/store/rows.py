"""Values as rows to be written: what differs between lists, and the ledger. Used by the SQL store only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.lead_list import LeadList
from models.ledger import Attempt, Change
from worker.store import codec

Rows = list[dict[str, Any]]


class Written:
    """Rows that differ between lists before and after."""

    def __init__(self) -> None:
        self.lists: Rows = []
        self.links: Rows = []
        self.wanted: Rows = []
        self.copies: Rows = []
        self.members: Rows = []
        #: Members by list that are no more: they turned out to be others.
        self.merged: list[tuple[int, str]] = []
        self.excluded: Rows = []
        #: List, remote and member of what can be told now, or need not be told any more.
        self.told: list[tuple[int, str, str]] = []
        self.unlinked: list[tuple[str, str, int]] = []

    def add(self, before: LeadList, after: LeadList, now: datetime) -> None:
        """What of one list must be written."""
        number = after.id
        if (after.kind, after.apart, after.holds) != (before.kind, before.apart, before.holds):
            self.lists.append(codec.list_row(after))
        if after.wanted != before.wanted:
            self.wanted.append(codec.wanted_row(number, after.wanted))
        self._add_copies(before, after, now)
        for name, member in after.members.items():
            if before.members.get(name) != member:
                self.members.append(codec.member_row(number, name, member))
        if before.members:
            self.merged += [(number, name) for name in before.members if name not in after.members]
        self._add_exclusions(before, after)

    def _add_exclusions(self, before: LeadList, after: LeadList) -> None:
        for name, member in after.members.items():
            old = before.members.get(name)
            was: Mapping[str, str] = old.excluded if old else {}
            if was == member.excluded:
                continue
            self.excluded += [
                {"list_id": after.id, "remote": remote, "member": name, "reason": why[:200]}
                for remote, why in member.excluded.items()
                if was.get(remote) != why
            ]
            self.told += [(after.id, remote, name) for remote in was if remote not in member.excluded]

    def _add_copies(self, before: LeadList, after: LeadList, now: datetime) -> None:
        number = after.id
        for remote, copy in after.copies.items():
            old = before.copies.get(remote)
            if old is None or old.remote_id != copy.remote_id:
                self.links.append({"remote": remote, "remote_id": copy.remote_id, "list_id": number, "linked_at": now})
            if old is not copy and old != copy:
                self.copies.append(codec.copy_row(number, copy))
        for remote, copy in before.copies.items():
            if remote not in after.copies or after.copies[remote].remote_id != copy.remote_id:
                self.unlinked.append((remote, copy.remote_id, number))


def change_row(list_id: int, change: Change, now: datetime) -> dict[str, Any]:
    """All columns of one change."""
    return {
        "list_id": list_id,
        "at": now,
        "kind": change.kind.value,
        "field": change.field and change.field.value,
        "old": change.old,
        "new": change.new,
        "origin": change.origin,
        "stamp": change.stamp.time,
        "sequence": None if change.stamp.sequence is None else str(change.stamp.sequence),
        "cause": change.cause[:600],
    }


def attempt_row(one: Attempt) -> dict[str, Any]:
    """All columns of one attempt."""
    return {
        "list_id": one.list_id,
        "remote": one.remote,
        "action": one.action,
        "lane": one.lane,
        "at": one.at,
        "sent": one.sent,
        "status": one.status,
        "outcome": one.outcome,
        "note": one.note[:600],
        "duration_ms": one.duration_ms,
        "lag_ms": one.lag_ms,
    }
