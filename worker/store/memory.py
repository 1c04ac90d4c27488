"""The in-memory twin of the SQL store: the same transactions over dictionaries. Used by tests and simulations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from models.audit import Action, Audited
from models.lead_list import Copy, Kind, LeadList, Standing
from models.ledger import Attempt, Change
from models.plan import KEPT, KEPT_FOR, KeptPlan
from models.scan import Scan, ScanState
from models.values import replace
from worker.parts import Astray, Kept
from worker.ports import DueCount, Every, Reject, RemoteKey, RemoteState
from worker.store.memory_identities import MemoryIdentities
from worker.store.memory_scans import MemoryScans
from worker.store.memory_tables import Tables
from worker.store.memory_traces import MemoryTraces

T = TypeVar("T")


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
        self.scans = MemoryScans(tables, now)
        self.plans = MemoryPlans(tables, now)
        self.upkeep = MemoryUpkeep(tables, now)
        self.audit = MemoryAudit(tables, now)
        self.identities = MemoryIdentities(tables)
        self.traces = MemoryTraces(tables, now)

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
        lists, asked = self._tables.lists, members or {}
        return {number: _partly(lists[number], asked.get(number, ())) for number in ids if number in lists}

    def save(self, changed: Iterable[tuple[LeadList | None, LeadList]]) -> None:
        """See `Tx.save`."""
        for before, after in changed:
            for copy in before.copies.values() if before else ():
                if copy.remote not in after.copies or after.copies[copy.remote].remote_id != copy.remote_id:
                    self._tables.links.pop((copy.remote, copy.remote_id), None)
            for copy in after.copies.values():
                key = (copy.remote, copy.remote_id)
                if self._tables.links.get(key) != after.id:
                    self._tables.linked_at[key] = self.now
                self._tables.links[key] = after.id
            stored, gone = self._tables.lists[after.id], before.members.keys() - after.members.keys() if before else ()
            kept = {key: member for key, member in stored.members.items() if key not in gone}
            self._tables.lists[after.id] = replace(after, members={**kept, **after.members})

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

    def due_remotes(self, remotes: Collection[str]) -> list[str]:
        """See `Tx.due_remotes`."""
        due = [name for name in remotes if any(_ready(copy, self.now) for _, copy in self._copies(name))]
        return sorted(name for name in due if not self.remote_state(name).paused)

    def note(self, list_id: int, changes: Sequence[Change]) -> None:
        """See `Tx.note`."""
        self._tables.changes.extend((list_id, change) for change in changes)
        self._tables.noted_at.extend([self.now] * len(changes))

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


class MemoryPlans:
    """Implements `Plans`."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables, self._now = tables, now

    def waiting(self, remote: str | None, after: int, limit: int) -> list[int]:
        """See `Plans.waiting`."""
        due = [
            number
            for number, one in self._tables.lists.items()
            for copy in one.copies.values()
            if copy.standing is Standing.DUE and remote in (None, copy.remote)
        ]
        return sorted({number for number in due if number > after})[:limit]

    def keep(self, plan: KeptPlan) -> None:
        """See `Plans.keep`."""
        plans = {**self._tables.plans, plan.hash: plan}.values()
        newest = sorted(plans, key=lambda one: one.made_at, reverse=True)[:KEPT]
        self._tables.plans = {one.hash: one for one in newest if one.made_at >= self._now - KEPT_FOR}

    def find(self, digits: str) -> list[KeptPlan]:
        """See `Plans.find`."""
        young = (plan for plan in self._tables.plans.values() if plan.made_at >= self._now - KEPT_FOR)
        return sorted((plan for plan in young if plan.hash.startswith(digits)), key=lambda plan: plan.hash)[:2]


class MemoryAudit:
    """Implements `Audit`."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables, self._now = tables, now
        self.who = ""

    def note(self, what: Action, target: str, before: dict[str, Any], after: dict[str, Any]) -> None:
        """See `Audit.note`."""
        number, at, audit = len(self._tables.audit) + 1, self._now, self._tables.audit
        audit.append(Audited(id=number, at=at, who=self.who, what=what, target=target, before=before, after=after))


class MemoryUpkeep:
    """Implements `Upkeep`."""

    def __init__(self, tables: Tables, now: datetime) -> None:
        self._tables, self._now = tables, now

    def forget(self, kept: Kept, before: datetime, limit: int) -> int:
        """See `Upkeep.forget`."""
        tables = self._tables
        match kept:
            case Kept.CHANGES:
                stay = _young(tables.noted_at, before, limit)
                gone = len(tables.changes) - len(stay)
                tables.changes, tables.noted_at = _at(tables.changes, stay), _at(tables.noted_at, stay)
            case Kept.ATTEMPTS:
                stay = _young([one.at for one in tables.attempts], before, limit)
                gone = len(tables.attempts) - len(stay)
                tables.attempts = _at(tables.attempts, stay)
            case Kept.SCANS:
                old = [scan for _, scan in sorted(tables.scans.items())[:limit] if self._is_over(scan, before)]
                gone = len(old)
                for scan in old:
                    del tables.scans[scan.id]
            case Kept.PLANS:
                plans = {plan.hash: plan for plan in tables.plans.values() if plan.made_at >= before}
                gone, tables.plans = len(tables.plans) - len(plans), plans
            case Kept.GONE:
                young = {key: at for key, at in tables.gone.items() if at >= before}
                gone, tables.gone = len(tables.gone) - len(young), young
        return gone

    def lists(self, after: int, limit: int) -> list[int]:
        """See `Upkeep.lists`."""
        return sorted(number for number in self._tables.lists if number > after)[:limit]

    def small(self, ids: Collection[int], limit: int) -> set[int]:
        """See `Upkeep.small`."""
        return {number for number in ids if len(self._tables.lists[number].members) <= limit}

    def mend(self, after: int, last: int | None) -> list[Astray]:
        """See `Upkeep.mend`. Here links are told by the copies."""
        del after, last
        return []

    def _is_over(self, scan: Scan, before: datetime) -> bool:
        if scan.ended_at is None or scan.ended_at >= before or scan.state is ScanState.HELD:
            return False
        later = [one for one in self._tables.scans.values() if one.remote == scan.remote and one.id > scan.id]
        return bool(later) and (
            scan.state is not ScanState.COMPLETE or any(one.state is ScanState.COMPLETE for one in later)
        )


def _young(moments: Sequence[datetime], before: datetime, limit: int) -> list[int]:
    return [place for place, moment in enumerate(moments) if place >= limit or moment >= before]


def _at(values: list[T], places: Sequence[int]) -> list[T]:
    return [values[place] for place in places]


def _ready(copy: Copy, now: datetime) -> bool:
    if copy.standing is not Standing.DUE or copy.due_at is None or copy.due_at > now:
        return False
    return copy.lease_until is None or copy.lease_until <= now


def _partly(lead_list: LeadList, asked: Collection[str] | Every) -> LeadList:
    """With the members that a SQL store would load: those that differ, and those asked for."""
    if asked is Every.MEMBER:
        return lead_list

    loaded = {name: member for name, member in lead_list.members.items() if member.differs or name in asked}
    return lead_list if len(loaded) == len(lead_list.members) else replace(lead_list, members=loaded)
