"""Processes: one history through 1, 2, 4 and 8 worker processes that share PostgreSQL and Redis. Run by hand.

    ./run bench processes [--small] [--json]

Held fixed: the machine, PostgreSQL (fsync off), one Redis with its append-only file on, simulators without limits and
latency, and one history: 30,000 events about 5,000 lists (Zipf, seeded) that are linked and equal on three remotes when
it begins. Each process is a `leadsync worker --concurrency 1` with a doorbell of its own, as on a machine of its own;
`events.partitions` is the number of processes, and one beat ticks. The baseline is one process in the same run.

With more processes than cores the figures say what sharing costs, not what more machines bring. PATCHes beyond the
fewest possible are sent because pushes do not wait for the end of the history; calls for one list at the same time are
counted by the simulators, and must be 0.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis

from bench.common import (
    FREE,
    SOURCE,
    WORDS,
    History,
    Meter,
    configure,
    databases,
    fill_store,
    is_idle,
    leadsync,
    publish,
    seed,
    zipf_history,
)
from bench.table import Figure, options, show
from tests.support.waiting import wait_until
from worker.embedded import embedded_redis
from worker.processes import Child, running
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import RunningSimulator, running_all
from worker.store.database import open_database


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One number of processes."""

    processes: int
    events_per_s: float
    cpu_us: float
    patches: int
    overlaps: int


def run(
    processes: int,
    history: History,
    remotes: Mapping[str, RunningSimulator],
    redis_url: str,
    new_database: Callable[[], str],
) -> Ran:
    """The whole history, until every copy is equal."""
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    seed(remotes, history.start)
    url = new_database()
    urls = {SOURCE: "http://127.0.0.1:9"} | {name: remote.base_url for name, remote in remotes.items()}
    configure(Path.cwd(), database_url=url, urls=urls, redis_url=redis_url)
    os.environ["LEADSYNC_EVENTS__PARTITIONS"] = str(processes)
    fill_store(url, Registry(load_settings()).rules, wanted=history.start, shown=history.start)
    with running([*_workers(processes), leadsync("beat")]), ExitStack() as stack:
        engine = open_database(url).execution_options(reads_only=True)
        stack.callback(engine.dispose)

        idle = partial(is_idle, engine, client)
        publish(client, history.events[:1])
        wait_until(idle, deadline_s=120, what="the workers are up")
        with Meter() as meter:
            publish(client, history.events[1:])
            wait_until(idle, deadline_s=600, what="every copy is equal")
    told = [remote.summary() for remote in remotes.values()]
    events = len(history.events)
    return Ran(
        processes=processes,
        events_per_s=events / meter.cost.wall_s,
        cpu_us=meter.cost.cpu_s / events * 1e6,
        patches=sum(int(one["patches"]) for one in told),
        overlaps=sum(int(one["overlaps"]) for one in told),
    )


def _workers(processes: int) -> list[Child]:
    return [leadsync("worker", "--concurrency", "1") for _ in range(processes)]


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    lists, events, counts = (300, 3_000, (1, 2)) if small else (5_000, 30_000, (1, 2, 4, 8))
    history = zipf_history(lists, events)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remotes = stack.enter_context(running_all(tuple(WORDS), switches=dict.fromkeys(WORDS, FREE)))
        server = stack.enter_context(embedded_redis(folder))
        new_database = stack.enter_context(databases())["PostgreSQL"]
        configure(folder, database_url="sqlite:///none", urls={})
        ran = [run(count, history, remotes, server.url, new_database) for count in counts]
    for one in ran:
        yield from _told(one, ran[0], history.fewest_patches())


def _told(one: Ran, alone: Ran, fewest: int) -> Iterator[Figure]:
    name, of = f"{one.processes} process{'es' if one.processes > 1 else ''}", "× one process"
    rates, cpu = (one.events_per_s, alone.events_per_s), (one.cpu_us, alone.cpu_us)
    yield Figure(what=f"{name}: events to the end", value=rates[0], unit="events/s", baseline=rates[1], of=of)
    yield Figure(what=f"{name}: CPU of everything here", value=cpu[0], unit="µs/event", baseline=cpu[1], of=of)
    minimum = "of the fewest possible"
    yield Figure(what=f"{name}: PATCHes", value=one.patches, unit="calls", baseline=fewest, of=minimum)
    yield Figure(what=f"{name}: calls for one list at once", value=one.overlaps, unit="calls")


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
