"""The person who holds a list, or one copy of it, and releases it some time later; and the judge of that.

Some histories have one, whatever else is drawn for them; all others stay as they are. Created by the history.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final

from models.lead_list import Copy
from worker.simulation.clock import VirtualLoop
from worker.simulation.life import Fate
from worker.store.memory import MemoryStore
from worker.sync.acting import Acting
from worker.sync.holding import hold, release

#: Histories in which somebody does so.
_SHARE: Final = 0.2
_WRITES: Final = frozenset({"patch", "create"})


class Holder:
    """One of them, or nobody."""

    def __init__(self, store: MemoryStore, loop: VirtualLoop, fate: Fate) -> None:
        self._store, self._loop, self._tell = store, loop, fate.tell
        self._rules, self._chance = fate.script.rules, fate.script.chance("holder")
        self._is_there = self._chance.random() < _SHARE
        #: What was written though it was held, in sentences.
        self.broken: list[str] = []
        self.counts: Counter[str] = Counter()

    async def at_work(self, until: float) -> None:
        """One list after the other, each for a while. Nothing is held when peace begins."""
        while self._is_there and self._loop.time() < until:
            await self._loop.after(self._chance.uniform(2.0, 20.0))
            lists = [number for number, one in self._store.tables.lists.items() if one.copies]
            if not lists or self._loop.time() >= until:
                return
            left_s = until - self._loop.time()
            await self._holds(self._chance.choice(lists), min(left_s, self._chance.uniform(10.0, 60.0)))

    async def _holds(self, number: int, for_s: float) -> None:
        copies = self._store.tables.lists[number].copies
        copy, alone = copies[self._chance.choice(sorted(copies))], self._chance.random() < 0.4
        what = f"{copy.remote}:{copy.remote_id}{' alone' if alone else ' and all its copies'}"
        self._tell("person", f"holds {what}")
        since, store = self._loop.now(), Acting(self._store, "ada")
        await hold(store, self._rules, [(copy.remote, copy.remote_id)], alone=alone)
        await self._loop.after(for_s)
        self._judge(number, [copy] if alone else [*copies.values()], since)
        self._tell("person", f"releases {what}")
        # It may be part of another list by now.
        held = [one for one in self._store.tables.lists.values() if one.holds and one.copies]
        keys = [next((one.remote, one.remote_id) for one in whole.copies.values()) for whole in held]
        await release(store, self._rules, keys)

    def _judge(self, number: int, copies: list[Copy], since: datetime) -> None:
        """A call belongs to the moment in which it was claimed: what was claimed before is let finish. What a list that
        was to be created turned out to be may have been written while it was a list of its own.
        """
        held = {copy.remote for copy in copies if not copy.pending}
        written = [
            one
            for one in self._store.tables.attempts
            if one.list_id == number and one.action in _WRITES and one.remote in held and one.at > since
        ]
        self.broken += [f"{one.remote} was told {one.sent} at {one.at:%H:%M:%S}, which was held" for one in written]
        due = [copy for copy in self._now(number) if copy.remote in held and copy.due_at is None and copy.since]
        self.counts["held by a person"] += bool(due)

    def _now(self, number: int) -> list[Copy]:
        whole = self._store.tables.lists.get(number)
        return [*whole.copies.values()] if whole else []
