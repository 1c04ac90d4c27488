"""Real connectors over loopback HTTP to the three simulators, and a real database; only the stream is in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import orjson

from models.lead_list import LeadList
from models.scan import Scan, Trigger
from tests.support.stores import opened
from worker.clock import SystemClock
from worker.ports import Every
from worker.remotes.memory import NoLimit
from worker.remotes.registry import Registry
from worker.settings import Settings
from worker.simulators.running import SIM_TOKEN, RunningSimulator, running_all
from worker.store.sql import SqlStore
from worker.stream.memory import Log, MemoryStream
from worker.sync.intake import Taken, drain
from worker.sync.push import Door, Pushed, push
from worker.sync.scan import scan
from worker.sync.schedule import begin

#: Rounds of pushes after which all must be quiet.
_ROUNDS = 20
WITH_MEMBERS = {"fields": {"members": "both"}}


class ThreeSides:
    """A CRM, Instantly and Lance, and a leadsync between them that does what it is told to."""

    def __init__(
        self, simulators: Mapping[str, RunningSimulator], store: SqlStore, remotes: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.simulators, self.store = simulators, store
        known = {
            name: {"kind": name, "base_url": one.base_url, "token": SIM_TOKEN, **remotes.get(name, {})}
            for name, one in simulators.items()
        }
        self.settings = Settings(remotes=known)
        self.rules = Registry(self.settings).rules
        self.log = Log(time.time)
        self._events = 0

    # -- what remotes tell

    def tell(self, source: str, subject: str, data: Mapping[str, Any]) -> None:
        """An event, now."""
        self._events += 1
        event = {
            "specversion": "1.0",
            "id": f"e{self._events}",
            "source": source,
            "type": "leadlist.changed",
            "subject": subject,
            "time": datetime.now(UTC),
            "data": data,
        }
        self.log.add(orjson.dumps(event))

    # -- what leadsync does

    def intake(self) -> Taken:
        """Take in all that was told."""
        return asyncio.run(self.drain())

    async def drain(self) -> Taken:
        """The same, beside something else."""
        stream = MemoryStream(self.log, "one")
        return await drain(stream, self.store, self.rules, batch=500, takeover_s=45.0)

    def push(self, *remotes: str) -> int:
        """Push these remotes, or all, until none has anything due. Answers with the number of calls."""
        return asyncio.run(self.pushing(*remotes or tuple(self.simulators)))

    def scan(self, remote: str) -> Scan:
        """Scan one remote to its end, and read what it asks for."""
        return asyncio.run(self._scan(remote))

    async def pushing(self, *remotes: str) -> int:
        """The same, beside something else."""
        registry, calls = Registry(self.settings), 0
        try:
            for _ in range(_ROUNDS):
                done = [await self._push_one(registry, remote) for remote in remotes]
                calls += sum(one.calls for one in done)
                if not any(one.calls for one in done):
                    return calls
        finally:
            await registry.close()
        raise AssertionError("pushing goes on and on")

    async def _push_one(self, registry: Registry, remote: str) -> Pushed:
        return await push(self._door(registry, remote), self.store, self.rules, SystemClock(), for_s=60.0)

    async def _scan(self, remote: str) -> Scan:
        registry = Registry(self.settings)
        try:
            await self.store.run(lambda tx: begin(tx, remote, Trigger.PERSON))
            door = self._door(registry, remote)
            while await scan(door, self.store, self.rules, SystemClock(), for_s=60.0) is not None:
                await self._push_one(registry, remote)
            await self._push_one(registry, remote)
        finally:
            await registry.close()
        latest = await self.store.run(lambda tx: tx.scans.latest(remote))
        assert latest is not None
        return latest

    def _door(self, registry: Registry, remote: str) -> Door:
        return Door(
            connector=registry.connector(remote),
            wire=registry.wire(remote),
            tickets=NoLimit(),
            max_in_flight=8,
            timeout_s=60.0,
            late_write_s=120.0,
        )

    # -- what it looks like

    def members(self, remote: str, list_id: str) -> set[str]:
        """Who is on a list there, as the simulator names them."""
        return set(self.simulators[remote].lead_list(list_id)["members"])

    def lead_list(self, remote: str, list_id: str) -> LeadList:
        """With all members."""

        def work(tx: Any) -> LeadList:
            number = tx.find([(remote, list_id)])[remote, list_id]
            loaded: dict[int, LeadList] = tx.load([number], {number: Every.MEMBER})
            return loaded[number]

        return self.store.run_now(work)

    def calls(self, remote: str) -> list[tuple[str, str]]:
        """Method and path of each call since they were last forgotten."""
        return [(one["method"], one["path"]) for one in self.simulators[remote].calls()]

    def forget_calls(self) -> None:
        """On every side."""
        for one in self.simulators.values():
            one.forget_calls()


@contextmanager
def three_sides(url: str, **remotes: Mapping[str, Any]) -> Iterator[ThreeSides]:
    """All three, without rate limits. Members flow on every side unless told otherwise."""
    settings = {"instantly": WITH_MEMBERS, "lance": WITH_MEMBERS, **remotes}
    free: dict[str, dict[str, Any]] = {kind: {"limits": []} for kind in ("crm", "instantly", "lance")}
    with running_all(switches=free) as simulators, opened(url) as store:
        yield ThreeSides(simulators, store, settings)
