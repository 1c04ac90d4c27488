"""Many remotes: do a dead one, a slow one and a rate-limited one hold up the 97 others? Run by hand.

    ./run bench remotes [--small] [--json]

Held fixed: the machine, `leadsync up` with its two Celery processes, embedded Redis and SQLite, and 97 healthy remotes
(one simulator that answers each call 50 ms after it came) with budgets of 50 calls a second each and 16 in flight.
Measured twice in one run: with nobody else to be told, and with news for three bad remotes too:

- dead: nobody listens there.
- slow: each answer takes 10 s.
- limited: one call a second is let through, the rest is answered 429; its budget believes in 50.

A burst, one edit of each list of every remote at once, gives the throughput, and Jain's index of how evenly the
remotes were served: 1 where all were done after the same time, 1/97 where one was served alone. Then a steady flow, one
edit a second and remote, gives the lag from XADD to the arrival of the PATCH there. Each edit needs one PATCH.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import redis

from bench.common import FREE, SOURCE, Meter, configure, leadsync, publish
from bench.table import Figure, options, show
from models.lead_list import Copy, Field, Kind, LeadList, Seen, Stamp, Wanted
from models.scan import ScanState, Trigger
from tests.support.fairness import jain
from tests.support.waiting import wait_until
from worker.embedded import EmbeddedRedis
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.processes import running
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import SIM_TOKEN, RunningSimulator
from worker.simulators.running import running as simulator
from worker.store.database import open_database, upgrade
from worker.store.sql import SqlStore, SqlTx

KIND = "instantly"
HEALTHY = [f"healthy{n:02}" for n in range(97)]
BAD = ["dead", "slow", "limited"]
EVERY = [*HEALTHY, *BAD]
START = Stamp(datetime(2025, 1, 1, tzinfo=UTC))
LATENCY_S = 0.05
SLOW_S = 10.0


@dataclass(frozen=True, slots=True)
class Met:
    """What came of one phase."""

    per_s: float
    fairness: float
    #: CPU of all of leadsync's processes, for each PATCH of the steady flow.
    cpu_ms: float
    lags: list[float]


@dataclass(slots=True)
class Bench:
    """The lists of all remotes, and the moments at which they were edited."""

    client: redis.Redis
    pid: int
    healthy: RunningSimulator
    lists: int
    edits: int = 0

    def phase(self, remotes: Sequence[str], seconds: int) -> Met:
        """A burst and a steady flow for these remotes; what the healthy ones met."""
        begun, told = time.time(), [(remote, n) for n in range(self.lists) for remote in remotes]
        self.edit(told)
        came = self.arrivals(len(HEALTHY) * self.lists)
        ends = [max(came[remote, n] for n in range(self.lists)) - begun for remote in HEALTHY]
        per_s, fairness = len(HEALTHY) * self.lists / max(ends), jain([1 / end for end in ends])
        with Meter(self.pid) as meter:
            sent = self.flow(remotes, seconds)
            came = self.arrivals(len(HEALTHY) * seconds)
        lags = [came[one] - sent[one] for one in came]
        return Met(per_s, fairness, meter.cost.cpu_s / len(sent) * 1000, sorted(lags))

    def flow(self, remotes: Sequence[str], seconds: int) -> Mapping[tuple[str, int], float]:
        """One edit a second and remote, evenly over the second."""
        begun, sent = time.time(), {}
        for n in range(seconds):
            for place, remote in enumerate(remotes):
                time.sleep(max(0.0, begun + n + place / len(remotes) - time.time()))
                sent[remote, n] = time.time()
                self.edit([(remote, n)])
        return sent

    def edit(self, lists: Sequence[tuple[str, int]]) -> None:
        """A new name for each, as the CRM tells it."""
        self.edits += 1
        publish(self.client, [event(remote, n, self.edits) for remote, n in lists])

    def arrivals(self, count: int) -> Mapping[tuple[str, int], float]:
        """When the PATCH of each list came, once so many have come."""

        def patched() -> dict[tuple[str, int], float]:
            calls = [call for call in self.healthy.calls() if call["method"] == "PATCH"]
            return {_list_of(call["path"].rpartition("/")[2]): call["arrived"] for call in calls}

        wait_until(lambda: self.healthy.summary()["patches"] >= count, deadline_s=60, what="all healthy are told")
        came = patched()
        self.healthy.forget_calls()
        return came


def event(remote: str, n: int, edition: int) -> bytes:
    """The CRM renames one list, which one remote has a copy of."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{remote}-{n}-{edition}",
            "source": SOURCE,
            "type": "leadlist.changed",
            "subject": f"{remote}-{n}",
            "time": (START.time + timedelta(milliseconds=edition)).isoformat(),
            "data": {"fields": {"name": f"Edition {edition}"}, "links": {remote: id_on(remote, n)}},
        }
    )


def id_on(remote: str, n: int) -> str:
    """A UUID that tells remote and number."""
    return str(UUID(int=(EVERY.index(remote) + 1 << 64) + n))


def _list_of(remote_id: str) -> tuple[str, int]:
    number = UUID(remote_id).int
    return EVERY[(number >> 64) - 1], number & 0xFFFF


def fill(url: str, rules: Rules, lists: int) -> None:
    """Equal copies on the CRM and one remote each; and a scan of every remote that has just ended."""
    upgrade(engine := open_database(url))
    store = SqlStore(engine)

    def save(tx: SqlTx, remote: str) -> None:
        made = [
            LeadList(
                id=number,
                kind=Kind.PERSON,
                wanted={Field.NAME: Wanted("Edition 0", START, SOURCE)},
                copies={
                    name: Copy(remote=name, remote_id=remote_id, seen={Field.NAME: Seen("Edition 0", START)})
                    for name, remote_id in {SOURCE: f"{remote}-{n}", remote: id_on(remote, n)}.items()
                },
            )
            for n, number in enumerate(tx.create([Kind.PERSON] * lists))
        ]
        tx.save([(None, restand(one, rules, tx.now)) for one in made])

    def scanned(tx: SqlTx) -> None:
        for remote in rules.remotes:
            scan = tx.scans.open(remote, Trigger.SCHEDULE)
            tx.scans.save(replace(scan, state=ScanState.COMPLETE, ended_at=tx.now))

    for remote in EVERY:
        store.run_now(partial(save, remote=remote))
    store.run_now(scanned)
    store.close()


def settings(urls: Mapping[str, str]) -> str:
    """All remotes, each with its budget."""
    budget = {"requests_per_second": 50, "requests_per_minute": 3_000, "max_in_flight": 16}
    one: Mapping[str, Any] = {"kind": KIND, "token": SIM_TOKEN, "fields": {"members": "off"}, **budget}
    remotes = {remote: {**one, "base_url": urls.get(remote, urls[HEALTHY[0]])} for remote in EVERY}
    remotes[SOURCE] = {"kind": SOURCE, "base_url": "http://127.0.0.1:9", "token": SIM_TOKEN, **budget}
    return json.dumps(remotes)


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    lists, seconds = (3, 3) if small else (10, 10)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = {**FREE, "log_size": 100_000}
        healthy = stack.enter_context(simulator(KIND, latency_s=LATENCY_S, **log))
        slow = stack.enter_context(simulator(KIND, latency_s=SLOW_S, **log))
        limited = stack.enter_context(simulator(KIND, **{**log, "limits": [[1, 1.0]], "retry_after": "seconds"}))
        urls = {HEALTHY[0]: healthy.base_url, "slow": slow.base_url, "limited": limited.base_url}
        urls["dead"] = "http://127.0.0.1:9"
        url = f"sqlite:///{folder / 'leadsync.db'}"
        configure(folder, database_url=url, urls={})
        os.environ["LEADSYNC_REMOTES"] = settings(urls)
        for sim, remotes in {healthy: HEALTHY, slow: ["slow"], limited: ["limited"]}.items():
            sim.seed(
                [
                    {"id": id_on(remote, n), "name": "Edition 0", "kind": "person"}
                    for remote in remotes
                    for n in range(lists)
                ]
            )
        fill(url, Registry(load_settings()).rules, lists)
        server = EmbeddedRedis(folder / "redis.sock", None)
        [kept] = stack.enter_context(running([leadsync("up")]))
        client = stack.enter_context(redis.Redis.from_url(server.url))
        wait_until(server.socket.exists, deadline_s=60, what="leadsync is up")
        bench = Bench(client, kept.pid or 0, healthy, lists)
        bench.edit([(remote, 0) for remote in HEALTHY])  # connections are made
        bench.arrivals(len(HEALTHY))
        alone = bench.phase(HEALTHY, seconds)
        beside = bench.phase(EVERY, seconds)
    of = "of that without the three bad ones"
    yield Figure(what="97 remotes, burst", value=beside.per_s, unit="PATCH/s", baseline=alone.per_s, of=of)
    yield Figure(what="97 remotes, fairness of it", value=beside.fairness, unit="Jain", baseline=alone.fairness, of=of)
    yield Figure(what="all, CPU of each edit", value=beside.cpu_ms, unit="ms", baseline=alone.cpu_ms, of=of)
    for name, percent in {"p50": 50, "p99": 99}.items():
        ours, base = (
            one.lags[min(len(one.lags) - 1, len(one.lags) * percent // 100)] * 1000 for one in (beside, alone)
        )
        yield Figure(what=f"97 remotes, lag {name}", value=ours, unit="ms", baseline=base, of=of.replace("of", "×", 1))


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
