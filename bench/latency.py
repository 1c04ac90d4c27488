"""Latency: from an event to its PATCH on an idle system, beside the start of an empty Celery task. Run by hand.

    ./run bench latency [--small] [--json]

Held fixed: the machine, `leadsync up` with its two Celery processes, embedded Redis and SQLite, and simulators without
limits and latency. One list is linked everywhere. 200 events, each a new name, one at a time, each after the one before
has been told to Instantly and Lance and the system has rested for 50 to 100 ms.

- leadsync: from just before XADD until the PATCH reaches Instantly or Lance, by their own log; two figures an event.
  On the way: doorbell, Celery, a durable commit, Celery again, the rate budget, another durable commit.
- baseline: from just before `delay` until the first line of an empty task, in a prefork worker with two processes on
  the same Redis, while leadsync idles. Celery's share is in our figure twice.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import redis
from celery import Celery

from bench.common import (
    FREE,
    SOURCE,
    WORDS,
    celery,
    configure,
    event,
    fill_store,
    first_fields,
    leadsync,
    publish,
    seed,
)
from bench.table import Figure, options, show
from tests.support.waiting import wait_until
from worker.embedded import EmbeddedRedis
from worker.processes import running
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import RunningSimulator, running_all

STARTS = "bench:starts"
_WARM_UP = 10
_CHANCE = random.Random(1)

empty = Celery("empty", broker=os.environ.get("EMPTY_BROKER"))
empty.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@empty.task(name="empty")
def note_start(sent_at: float) -> None:
    """Tell how long ago it was sent."""
    late_s = time.time() - sent_at
    redis.Redis.from_url(os.environ["EMPTY_REDIS"]).rpush(STARTS, late_s)


def our_delays(client: redis.Redis, remotes: Mapping[str, RunningSimulator], times: int) -> list[float]:
    """Seconds from XADD to PATCH."""
    delays: list[float] = []
    for number in range(_WARM_UP + times):
        _rest()
        told = event(0, {**first_fields(0), "name": f"Name {number}"}, at=number)
        sent_at = time.time()
        publish(client, [told])
        for remote in remotes.values():
            arrived = wait_until(partial(_patches, remote, number), deadline_s=60, what="the PATCH arrives")
            delays.append(arrived[number] - sent_at)
    return delays[_WARM_UP * len(remotes) :]


def _patches(remote: RunningSimulator, number: int) -> list[float]:
    """When PATCHes arrived, once there are more than *number*. Scans read beside them, whenever they like."""
    arrived = [call["arrived"] for call in remote.calls() if call["method"] == "PATCH"]
    return arrived if len(arrived) > number else []


def empty_delays(client: redis.Redis, server: EmbeddedRedis, times: int) -> list[float]:
    """Seconds from `delay` to the task's first line."""
    os.environ |= {"EMPTY_BROKER": server.broker_url, "EMPTY_REDIS": server.url}
    empty.conf["broker_url"] = server.broker_url
    delays: list[float] = []
    with running([celery("bench.latency:empty", name="empty worker")]):
        for _ in range(_WARM_UP + times):
            _rest()
            note_start.delay(time.time())
            told = client.blpop([STARTS], timeout=60)
            if told is None:
                raise TimeoutError("the empty task does not start")
            delays.append(float(told[1]))
    return delays[_WARM_UP:]


def _rest() -> None:
    time.sleep(_CHANCE.uniform(0.05, 0.1))


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    times = 20 if small else 200
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        switches = {**FREE, "log_size": 10_000}
        remotes = stack.enter_context(running_all(tuple(WORDS), switches=dict.fromkeys(WORDS, switches)))
        url = f"sqlite:///{folder / 'leadsync.db'}"
        urls = {SOURCE: "http://127.0.0.1:9"} | {name: remote.base_url for name, remote in remotes.items()}
        configure(folder, database_url=url, urls=urls)
        start = [first_fields(0)]
        seed(remotes, start)
        fill_store(url, Registry(load_settings()).rules, wanted=start, shown=start)
        server = EmbeddedRedis(folder / "redis.sock", None)
        stack.enter_context(running([leadsync("up")]))
        client = stack.enter_context(redis.Redis.from_url(server.url))
        wait_until(server.socket.exists, deadline_s=60, what="leadsync is up")
        ours = our_delays(client, remotes, times)
        plain = empty_delays(client, server, times)
    for name, percent in {"p50": 50, "p99": 99}.items():
        yield Figure(
            what=f"event to PATCH, {name}",
            value=_percentile(ours, percent) * 1000,
            unit="ms",
            baseline=_percentile(plain, percent) * 1000,
            of="× start of an empty Celery task",
        )


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
