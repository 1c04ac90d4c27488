"""The in-memory twin of the SQL store: the same transactions over dictionaries. Used by tests and simulations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy as shallow
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from models.lead_list import Copy, Kind, LeadList, Member, Standing
from models.ledger import Attempt, Change
from worker.ports import DueCount, Every, Reject, RemoteKey, RemoteState

T = TypeVar("T")


@dataclass
class Tables:
    """Everything the store knows. Values are frozen, so a transaction copies only the dictionaries."""

    lists: dict[int, LeadList] = field(default_factory=dict)
    links: dict[RemoteKey, int] = field(default_factory=dict)
    changes: list[tuple[int, Change]] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    rejects: dict[str, Reject] = field(default_factory=dict)
    remotes: dict[str, RemoteState] = field(default_factory=dict)
    numbers: int = 0

    def snapshot(self) -> Tables:
        """A copy that the original's transactions no longer touch."""
        return Tables(*(shallow(getattr(self, name)) for name in self.__dataclass_fields__))


class MemoryStore:
    """Implements `Store`. `now` is the database's clock."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.tables = Tables()
        self._now = now

    async def run(self, work: Callable[[MemoryTx], T]) -> T:
        """`work` at once; nothing of it stays when it raises."""
        return self.run_now(work)

    def run_now(self, work: Callable[[MemoryTx], T]) -> T:
        """The same for callers without a loop."""
        before = self.tables.snapshot()
        try:
            return work(MemoryTx(self.tables, self._now()))
        except BaseException:
            self.tables = before
            raise


class MemoryTx:
    """Implements `Tx`."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables = tables
        self.now = now

    def find(self, keys: Collection[RemoteKey]) -> dict[RemoteKey, int]:
        """See `Tx.find`."""
        return {key: self._tables.links[key] for key in keys if key in self._tables.links}

    def create(self, kinds: Sequence[Kind | None]) -> list[int]:
        """See `Tx.create`."""
        numbers = []
        for kind in kinds:
            self._tables.numbers += 1
            numbers.append(self._tables.numbers)
            self._tables.lists[self._tables.numbers] = LeadList(id=self._tables.numbers, kind=kind)
        return numbers

    def load(
        self, ids: Collection[int], members: Mapping[int, Collection[str] | Every] | None = None
    ) -> dict[int, LeadList]:
        """See `Tx.load`."""
        found = ((number, self._tables.lists.get(number)) for number in ids)
        return {number: _partly(one, (members or {}).get(number, ())) for number, one in found if one is not None}

    def save(self, changed: Iterable[tuple[LeadList | None, LeadList]]) -> None:
        """See `Tx.save`."""
        for before, after in changed:
            for copy in before.copies.values() if before else ():
                if copy.remote not in after.copies or after.copies[copy.remote].remote_id != copy.remote_id:
                    self._tables.links.pop((copy.remote, copy.remote_id), None)
            for copy in after.copies.values():
                self._tables.links[copy.remote, copy.remote_id] = after.id
            stored = self._tables.lists[after.id]
            self._tables.lists[after.id] = replace(after, members={**stored.members, **after.members})

    def drop(self, list_id: int, into: int) -> None:
        """See `Tx.drop`."""
        del self._tables.lists[list_id]
        self._tables.links = {key: number for key, number in self._tables.links.items() if number != list_id}
        self._tables.changes = [(into if n == list_id else n, change) for n, change in self._tables.changes]
        self._tables.attempts = [
            replace(one, list_id=into) if one.list_id == list_id else one for one in self._tables.attempts
        ]

    def due(self, remote: str, limit: int) -> list[int]:
        """See `Tx.due`."""
        ready = [
            (copy.tries > 0, copy.due_at or self.now, number)
            for number, copy in self._copies(remote)
            if _ready(copy, self.now)
        ]
        return [number for _, _, number in sorted(ready)[:limit]]

    def count_due(self, remote: str, limit: int) -> DueCount:
        """See `Tx.count_due`."""
        ready = [copy for _, copy in self._copies(remote) if _ready(copy, self.now)][:limit]
        retry = sum(copy.tries > 0 for copy in ready)
        return DueCount(len(ready) - retry, retry)

    def note(self, list_id: int, changes: Sequence[Change]) -> None:
        """See `Tx.note`."""
        self._tables.changes.extend((list_id, change) for change in changes)

    def attempted(self, attempts: Sequence[Attempt]) -> None:
        """See `Tx.attempted`."""
        self._tables.attempts.extend(attempts)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """See `Tx.reject`."""
        for reject in rejects:
            self._tables.rejects.setdefault(reject.entry_id, reject)

    def remote_state(self, remote: str) -> RemoteState:
        """See `Tx.remote_state`."""
        return self._tables.remotes.get(remote, RemoteState())

    def set_remote_state(self, remote: str, state: RemoteState) -> None:
        """See `Tx.set_remote_state`."""
        self._tables.remotes[remote] = state

    def _copies(self, remote: str) -> list[tuple[int, Copy]]:
        return [(n, one.copies[remote]) for n, one in self._tables.lists.items() if remote in one.copies]


def _ready(copy: Copy, now: datetime) -> bool:
    if copy.standing is not Standing.DUE or (copy.due_at is not None and copy.due_at > now):
        return False
    return copy.lease_until is None or copy.lease_until <= now


def _partly(lead_list: LeadList, asked: Collection[str] | Every) -> LeadList:
    """With the members that a SQL store would load: those that differ, and those asked for."""
    if asked is Every.MEMBER:
        return lead_list

    def loaded(name: str, member: Member) -> bool:
        return member.differs or name in asked

    return replace(lead_list, members={n: m for n, m in lead_list.members.items() if loaded(n, m)})
