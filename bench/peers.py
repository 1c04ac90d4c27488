"""Peers: other people's programs beside ours: huey with the plain algorithm, and the limiter of `limits`. Run by hand.

    ./run bench peers [--small] [--json [FILE]]

They are installed for this bench alone (group `bench` in pyproject.toml). Held fixed:

- Intake: the machine, one Redis, SQLite, simulators without limits and latency, one history of events whose lists are
  edited by Zipf's law. huey has two worker processes, as the plain worker on Celery has; both get the first events,
  leadsync gets all, in one process for intake and then push.
- Limiter: as in `./run bench limiter` with a round trip of 20 ms: four processes at full load against 100 calls in any
  second and 6,000 in any minute, for ten seconds.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import orjson
import redis
from sqlmodel import Session

from bench import limiter
from bench.common import (
    FREE,
    SOURCE,
    WORDS,
    Fields,
    Meter,
    configure,
    id_on,
    in_own_process,
    plain_worker,
    zipf_history,
)
from bench.intake import Run, Stage
from bench.table import Figure, options, show
from tests.support.waiting import wait_until
from worker.embedded import embedded_redis
from worker.processes import Child, running
from worker.simulators.running import running_all

_QUEUE = "huey.redis.plain"
_ROUND_TRIP_S = limiter.ROUND_TRIPS_S[0]


class PeerStage(Stage):
    """With one more way of taking events in."""

    def huey(self) -> Run:
        """The plain algorithm with huey's consumer, on the first events."""
        url, events = self._fresh(), self._history.events[: self._sample]
        plain_worker(database_url=url, redis_url=self._redis_url, urls=self._urls())  # for what it puts there for both
        os.environ["PLAIN_HUEY"] = self._redis_url
        in_own_process(prepare_huey, events, self._history.start)
        words = ("-m", "huey.bin.huey_consumer", "bench.plain_huey.huey", "--workers", "2", "--worker-type", "process")
        argv = (sys.executable, "-W", "ignore", *words, "--quiet")
        warm = len(events) // 10
        with running([Child(name="huey", argv=argv, env={"PYTHONPATH": os.pathsep.join(sys.path)})]) as [kept]:
            wait_until(lambda: self._left() <= len(events) - warm, deadline_s=60, what="huey starts")
            with Meter(kept.pid) as meter:
                measured = self._left()
                wait_until(lambda: self._left() == 0, deadline_s=60 + len(events) / 5, what="huey is done")
        return Run(events=measured, cost=meter.cost, calls=self._patches())

    def _left(self) -> int:
        return int(self._redis.llen(_QUEUE))


def prepare_huey(events: Sequence[bytes], start: Sequence[Fields]) -> None:
    """In a process of its own: fill the table and send a task per event."""
    from bench.plain_huey import lead_list_changed
    from bench.plain_worker import PlainList, engine

    PlainList.metadata.create_all(engine())
    with Session(engine()) as session:
        session.add_all(PlainList(id=id_on(SOURCE, number), **fields) for number, fields in enumerate(start))
        session.commit()
    for one in events:
        lead_list_changed(orjson.loads(one))


def intake(stack: ExitStack, folder: Path, redis_url: str, *, small: bool) -> Iterator[Figure]:
    """Events a second, to the end: all remotes are told."""
    lists, events, sample = (500, 3_000, 300) if small else (5_000, 50_000, 2_000)
    remotes = stack.enter_context(running_all(tuple(WORDS), switches=dict.fromkeys(WORDS, FREE)))
    numbers = itertools.count()
    history = zipf_history(lists, events)
    stage = PeerStage(history, sample, remotes, redis_url, lambda: f"sqlite:///{folder / f'{next(numbers)}.db'}")
    plain, huey, (_, ours) = stage.plain(calls=True), stage.huey(), stage.ours()
    for name, run in {"leadsync, to the end": ours, "plain worker on huey": huey}.items():
        of = "× plain worker on Celery"
        yield Figure(what=name, value=run.per_s, unit="events/s", baseline=plain.per_s, of=of)
        yield Figure(what=f"{name}, CPU", value=run.cpu_us, unit="µs/event", baseline=plain.cpu_us, of=of)


def limits(redis_url: str, *, small: bool) -> Iterator[Figure]:
    """Calls a second that were let through, and those that the remote had to refuse."""
    possible, seconds = limiter.possible(_ROUND_TRIP_S), 4.0 if small else 10.0
    for name in ("leadsync", "limits, moving window"):
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        row = limiter.measure(name, _ROUND_TRIP_S, seconds, "waves", redis_url)
        of = "of limit / (window + round trip)"
        yield Figure(what=f"limiter: {name}", value=row.calls_per_s, unit="calls/s", baseline=possible, of=of)
        yield Figure(what=f"limiter: {name}, refused", value=row.refused, unit="429s")


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(embedded_redis(folder))
        configure(folder, database_url="sqlite:///none", urls={})
        yield from intake(stack, folder, server.url, small=small)
        yield from limits(server.url, small=small)


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
