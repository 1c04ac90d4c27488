"""Push: 20,000 different due copies of one remote are brought to wanted, against the plain worker. Run by hand.

    ./run bench push [--small] [--json]

Held fixed: the machine, one Redis, SQLite, one Instantly simulator that answers every call 20 ms after it came, and
calls that all change one name. The rate budget is asked for every call as always, but is never short.

- leadsync: the use case in one process, 64 calls in flight, every call claimed, settled and written to the ledger.
- bare client: the same HTTP client sends the same PATCHes with as many in flight, and does nothing else.
- plain worker: two processes, on a sample.

One simulator in one process may be what limits a fast client's calls per second; calls per second of the worker's CPU
time do not depend on that.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import redis

from bench.common import (
    FREE,
    PATHS,
    SOURCE,
    Cost,
    Fields,
    Meter,
    configure,
    event,
    fill_store,
    first_fields,
    id_on,
    in_own_process,
    plain_worker,
    run_plain_worker,
    seed,
)
from bench.table import Figure, options, show
from worker.embedded import embedded_redis
from worker.remotes.base import Request
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import running
from worker.sync.push import push
from worker.wiring import process_runtime

REMOTE = "instantly"
LATENCY_S = 0.02
IN_FLIGHT = 64
#: As the Celery task does it.
SLICE_S = 5.0


def our_push() -> Cost:
    """Push until nothing is due, in slices."""
    runtime, left = process_runtime(), True
    with Meter() as meter:
        while left:
            door, rules = runtime.door(REMOTE), runtime.registry.rules
            due = runtime.run(push(door, runtime.store, rules, runtime.clock, for_s=SLICE_S)).due
            left = bool(due.live or due.retry)
    runtime.close()
    return meter.cost


def bare_client(wanted: list[Fields]) -> Cost:
    """The ceiling: as many coroutines as calls may be in flight, one PATCH after another."""
    runtime = process_runtime()
    wire, numbers = runtime.registry.wire(REMOTE), iter(range(len(wanted)))

    async def send() -> None:
        for n in numbers:
            path = f"{PATHS[REMOTE]}/{id_on(REMOTE, n)}"
            await wire.exchange(Request(method="PATCH", path=path, body={"name": wanted[n]["name"]}))

    async def send_all() -> None:
        async with asyncio.TaskGroup() as senders:
            for _ in range(IN_FLIGHT):
                senders.create_task(send())

    with Meter() as meter:
        runtime.run(send_all())
    runtime.close()
    return meter.cost


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    copies, sample = (1_000, 200) if small else (20_000, 2_000)
    shown = [first_fields(number) for number in range(copies)]
    wanted = [{**fields, "name": f"{fields['name']}, renamed"} for fields in shown]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remote = stack.enter_context(running(REMOTE, latency_s=LATENCY_S, **FREE))
        server = stack.enter_context(embedded_redis(folder))
        client = stack.enter_context(redis.Redis.from_url(server.url))
        urls = {SOURCE: "http://127.0.0.1:9", REMOTE: remote.base_url}
        url = f"sqlite:///{folder / 'leadsync.db'}"
        configure(folder, database_url=url, urls=urls, redis_url=server.url, max_in_flight=IN_FLIGHT)

        seed({REMOTE: remote}, shown)
        bare = in_own_process(bare_client, wanted)
        seed({REMOTE: remote}, shown)
        fill_store(url, Registry(load_settings()).rules, wanted=wanted, shown=shown)
        ours = in_own_process(our_push)
        sent = remote.summary()["patches"]
        seed({REMOTE: remote}, shown)
        told = [event(n, fields, at=n, remotes=[REMOTE]) for n, fields in enumerate(wanted[:sample])]
        worker = plain_worker(database_url=f"sqlite:///{folder / 'plain.db'}", redis_url=server.url, urls=urls)
        plain, measured = run_plain_worker(worker, client, told, shown[:sample])

    per_s, per_cpu_s = copies / ours.wall_s, copies / ours.cpu_s
    yield Figure(what="PATCHes sent", value=sent, unit="calls", baseline=copies, of="of the fewest possible")
    yield _figure("leadsync", per_cpu_s, "CPU s", measured / plain.cpu_s, "× plain worker")
    yield _figure("leadsync", per_cpu_s, "CPU s", copies / bare.cpu_s, "of the bare client")
    yield _figure("leadsync", per_s, "s", measured / plain.wall_s, "× plain worker")
    yield _figure("leadsync", per_s, "s", copies / bare.wall_s, "of the bare client")
    peak = "leadsync, peak memory"
    yield Figure(what=peak, value=ours.peak_mib, unit="MiB", baseline=plain.peak_mib, of="of the plain worker's")


def _figure(what: str, value: float, per: str, baseline: float, of: str) -> Figure:
    return Figure(what=what, value=value, unit=f"PATCH/{per}", baseline=baseline, of=of)


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
