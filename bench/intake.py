"""Intake: a history of events becomes state, against the plain worker and against the raw ceiling. Run by hand.

    ./run bench intake [--small] [--json]

Held fixed: the machine, one Redis with its append-only file on, simulators without limits and latency, and one
history: 100,000 events about 10,000 lists (Zipf, seeded) that are linked and equal on three remotes when it begins.
Each event names every scalar field and both links; one field was edited (name 60 %, owner 20 %, enrichment 20 %).
The source is the CRM, which nobody calls. Instantly holds all three fields, Lance the name.

- raw ceiling: XREADGROUP 500, orjson, one bulk upsert of one narrow row per event, commit, XACK; no rules, no ledger.
- leadsync, intake: the use case alone in one process, in batches of `events.batch`; nothing is sent.
- leadsync, intake, two partitions: the same in two processes, as many as the plain worker has.
- leadsync, to the end: the one process, and then one push of each remote until every copy is equal.
- leadsync up: the real command with one Celery process; events arrive while it runs, until nothing is due.
- plain worker: two processes, on the first events of the history; an event is done when its PATCHes are answered.
  Without calls: the same worker, told of no remotes. It only reads, compares, writes and commits.

CPU is that of the workers, not of Redis, PostgreSQL or the simulators. SQLite commits with synchronous FULL for us and
NORMAL for the plain worker; PostgreSQL runs with fsync off, which favours whoever commits once an event.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson
import redis
from sqlalchemy import Boolean, Column, MetaData, String, Table
from sqlalchemy.dialects import postgresql, sqlite

from bench.common import (
    FREE,
    SOURCE,
    WORDS,
    Cost,
    History,
    Meter,
    configure,
    databases,
    fill_store,
    id_on,
    in_own_process,
    is_idle,
    leadsync,
    plain_worker,
    publish,
    run_plain_worker,
    seed,
    side_by_side,
    zipf_history,
)
from bench.table import Figure, options, show
from tests.support.waiting import wait_until
from worker.embedded import embedded_redis
from worker.processes import running
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import RunningSimulator, running_all
from worker.store.database import open_database
from worker.sync.intake import drain
from worker.sync.push import push
from worker.wiring import process_runtime

RAW = Table(
    "raw",
    MetaData(),
    Column("subject", String(64), primary_key=True),
    Column("name", String(200)),
    Column("owner", String(64)),
    Column("enrichment", Boolean()),
    Column("time", String(40)),
)
BATCH = 500
#: As many as the plain worker has.
PROCESSES = 2
#: [[stream, [[entry id, fields]]]]
RawAnswer = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]


# What is measured, each in a process of its own


def raw_ceiling(redis_url: str, database_url: str) -> Cost:
    """The least that taking an event in can be."""
    engine = open_database(database_url)
    RAW.create(engine)
    insert = (postgresql if engine.dialect.name == "postgresql" else sqlite).insert(RAW)
    columns = ("name", "owner", "enrichment", "time")
    upsert = insert.on_conflict_do_update(index_elements=["subject"], set_={c: insert.excluded[c] for c in columns})
    client = redis.Redis.from_url(redis_url, protocol=2)  # the other protocol nests answers in another way
    stream, group = load_settings().events.stream, "raw"
    client.xgroup_create(stream, group, id="0")
    with Meter() as meter:
        while answer := cast("RawAnswer", client.xreadgroup(group, "bench", {stream: ">"}, count=BATCH)):
            [[_, entries]] = answer
            with engine.begin() as connection:
                connection.execute(upsert, [_raw_row(orjson.loads(fields[b"event"])) for _, fields in entries])
            client.xack(stream, group, *(entry_id for entry_id, _ in entries))
    return meter.cost


def _raw_row(told: dict[str, Any]) -> dict[str, Any]:
    fields = told["data"]["fields"]
    return {
        "subject": told["subject"],
        "name": fields["name"],
        "owner": fields["owner"],
        "enrichment": fields["enrichment"],
        "time": told["time"],
    }


def our_intake(partition: int = 0, meet: Callable[[], object] = lambda: None) -> Cost:
    """The use case, wired as in production."""
    runtime = process_runtime()
    events = runtime.settings.events
    meet()
    with Meter() as meter:
        runtime.run(
            drain(
                runtime.stream("bench", partition),
                runtime.store,
                runtime.registry.rules,
                batch=events.batch,
                takeover_s=events.takeover_s,
            )
        )
    runtime.close()
    return meter.cost


def our_push() -> Cost:
    """Every remote in turn, until nothing is due."""
    runtime = process_runtime()
    with Meter() as meter:
        for remote in WORDS:
            left = True
            while left:
                done = runtime.run(
                    push(runtime.door(remote), runtime.store, runtime.registry.rules, runtime.clock, for_s=5.0)
                )
                left = bool(done.due.live or done.due.retry)
    runtime.close()
    return meter.cost


# The runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One way of taking events in."""

    events: int
    cost: Cost
    #: Calls at the simulators; None when none can have been made.
    calls: int | None = None

    @property
    def per_s(self) -> float:
        return self.events / self.cost.wall_s

    @property
    def cpu_us(self) -> float:
        return self.cost.cpu_s / self.events * 1e6


class Stage:
    """One database's runs, each on a fresh database, an empty Redis and simulators as at the start."""

    def __init__(
        self,
        history: History,
        sample: int,
        remotes: Mapping[str, RunningSimulator],
        redis_url: str,
        new_database: Callable[[], str],
    ) -> None:
        self._history, self._sample, self._remotes = history, sample, remotes
        self._redis_url, self._new_database = redis_url, new_database
        self._redis = redis.Redis.from_url(redis_url)

    def raw(self) -> Run:
        url = self._fresh()
        publish(self._redis, self._history.events)
        return self._run(in_own_process(raw_ceiling, self._redis_url, url))

    def ours(self) -> tuple[Run, Run]:
        """Intake alone, and intake followed by push."""
        self._fresh(filled=True)
        publish(self._redis, self._history.events)
        intake = in_own_process(our_intake)
        sent = in_own_process(our_push)
        both = Cost(
            wall_s=intake.wall_s + sent.wall_s,
            cpu_s=intake.cpu_s + sent.cpu_s,
            peak_mib=max(intake.peak_mib, sent.peak_mib),
        )
        return self._run(intake), self._run(both, self._patches())

    def ours_spread(self) -> Run:
        """Intake in as many processes as the plain worker has, each with a partition of its own."""
        self._fresh(filled=True, partitions=PROCESSES)
        publish(self._redis, self._history.events)
        return self._run(side_by_side(our_intake, PROCESSES))

    def up(self) -> Run:
        """The real command, with one Celery process."""
        url = self._fresh(filled=True)
        engine = open_database(url).execution_options(reads_only=True)
        with running([leadsync("up", "--concurrency", "1")]) as [kept]:
            publish(self._redis, self._history.events[:1])
            idle = partial(is_idle, engine, self._redis)
            wait_until(idle, deadline_s=60, what="leadsync is up")
            with Meter(kept.pid) as meter:
                publish(self._redis, self._history.events[1:])
                wait_until(idle, deadline_s=600, what="every copy is equal")
        engine.dispose()
        return self._run(meter.cost, self._patches())

    def plain(self, *, calls: bool) -> Run:
        """The plain worker on the first events."""
        url = self._fresh()
        worker = plain_worker(database_url=url, redis_url=self._redis_url, urls=self._urls() if calls else {})
        events = self._history.events[: self._sample]
        cost, measured = run_plain_worker(worker, self._redis, events, self._history.start)
        return Run(events=measured, cost=cost, calls=self._patches() if calls else None)

    def _run(self, cost: Cost, calls: int | None = None) -> Run:
        return Run(events=len(self._history.events), cost=cost, calls=calls)

    def _fresh(self, *, filled: bool = False, partitions: int = 1) -> str:
        self._redis.flushdb()
        seed(self._remotes, self._history.start)
        url = self._new_database()
        configure(Path.cwd(), database_url=url, urls=self._urls(), redis_url=self._redis_url)
        os.environ["LEADSYNC_EVENTS__PARTITIONS"] = str(partitions)
        if filled:
            start = self._history.start
            fill_store(url, Registry(load_settings()).rules, wanted=start, shown=start)
        return url

    def _urls(self) -> dict[str, str]:
        return {SOURCE: "http://127.0.0.1:9"} | {name: remote.base_url for name, remote in self._remotes.items()}

    def _patches(self) -> int:
        return sum(int(remote.summary()["patches"]) for remote in self._remotes.values())


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    lists, events, sample = (500, 5_000, 300) if small else (10_000, 100_000, 3_000)
    history = zipf_history(lists, events)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remotes = stack.enter_context(running_all(tuple(WORDS), switches=dict.fromkeys(WORDS, FREE)))
        server = stack.enter_context(embedded_redis(folder))
        made = stack.enter_context(databases())
        configure(folder, database_url="sqlite:///none", urls={})
        for name, new_database in made.items():
            yield from _on(name, Stage(history, sample, remotes, server.url, new_database), history)


def _on(database: str, stage: Stage, history: History) -> Iterator[Figure]:
    plain, silent, raw = stage.plain(calls=True), stage.plain(calls=False), stage.raw()
    intake, to_the_end = stage.ours()
    spread, up = stage.ours_spread(), stage.up()

    def figure(what: str, value: float, unit: str, baseline: float | None = None, of: str = "") -> Figure:
        return Figure(what=f"{database}: {what}", value=value, unit=unit, baseline=baseline, of=of)

    yield figure("leadsync, intake", intake.per_s, "events/s", plain.per_s, "× plain worker")
    yield figure("leadsync, intake", intake.per_s, "events/s", silent.per_s, "× plain worker without calls")
    yield figure("leadsync, intake", intake.per_s, "events/s", raw.per_s, "of the raw ceiling")
    yield figure("leadsync, intake, two partitions", spread.per_s, "events/s", plain.per_s, "× plain worker")
    yield figure("leadsync, intake, two partitions", spread.per_s, "events/s", raw.per_s, "of the raw ceiling")
    yield figure("leadsync, to the end", to_the_end.per_s, "events/s", plain.per_s, "× plain worker")
    yield figure("leadsync up, to the end", up.per_s, "events/s", plain.per_s, "× plain worker")
    for what, run in {
        "raw ceiling": raw,
        "leadsync, intake": intake,
        "leadsync, intake, two partitions": spread,
        "leadsync, to the end": to_the_end,
        "leadsync up, to the end": up,
        "plain worker, no calls": silent,
    }.items():
        yield figure(f"{what}, CPU", run.cpu_us, "µs/event", plain.cpu_us, "of the plain worker's")
    for what, run in {"intake": intake, "intake or push": to_the_end, "up, all processes": up}.items():
        yield figure(f"leadsync {what}, peak", run.cost.peak_mib, "MiB", plain.cost.peak_mib, "of the plain worker's")
    fewest = history.fewest_patches()
    for what, calls in {
        "leadsync": to_the_end.calls,
        "leadsync up, pushing while events arrive": up.calls,
        "plain worker": plain_calls(history),
    }.items():
        yield figure(f"PATCHes, {what}", calls or 0, "calls", fewest, "of the fewest possible")


def plain_calls(history: History) -> int:
    """PATCHes that the plain worker sends for the whole history: one for each event and remote with a difference."""
    now, calls = {id_on(SOURCE, number): fields for number, fields in enumerate(history.start)}, 0
    for told in map(orjson.loads, history.events):
        before, after = now[told["subject"]], told["data"]["fields"]
        calls += sum(any(before[f] != after[f] for f in words) for words in WORDS.values())
        now[told["subject"]] = after
    return calls


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
