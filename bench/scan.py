"""Scan: a pass over 100,000 lists in which nothing is new, beside programs that compare everything. Run by hand.

    ./run bench scan [--small] [--json [FILE]]

Held fixed: the machine, SQLite, one simulator of Instantly that shows 100 lists a page over HTTP, and equal lists on
both sides. CPU is that of the program that compares, not of the simulator.

- leadsync: the use case in one process, in slices as the Celery task does it, to the certificate.
- bare client: the same HTTP client reads the same pages, one after another, and does nothing with them.
- plain compare: what a good engineer writes in an afternoon: page by page with httpx, a row with `session.get` a list.
- vdirsyncer: a well-known program that keeps two sides equal, over as many files of 100 bytes; a pass without news.

Whether the budget bounds it is measured on fewer lists, whose pages a limit of 10 calls a second lets through: how long
the scan took beside the shortest time that the limit allows.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
from sqlmodel import Session

from bench.common import (
    FREE,
    OWNERS,
    PATHS,
    SOURCE,
    Cost,
    Meter,
    configure,
    fill_store,
    first_fields,
    id_on,
    in_own_process,
    memory_mib,
    plain_worker,
    seed,
)
from bench.push import SLICE_S
from bench.table import Figure, options, show
from models.scan import UNDER_WAY, Scan, ScanState, Trigger
from worker.embedded import embedded_redis
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import SIM_TOKEN, RunningSimulator, running
from worker.sync.push import push
from worker.sync.scan import scan
from worker.sync.schedule import begin
from worker.wiring import Runtime, process_runtime

REMOTE = "instantly"
PAGE = 100
_LOOK_S = 0.05
#: The limit of the budget's line: calls in any second.
SLOW = 10
_FILES = """
[general]
status_path = "{folder}/status/"

[pair bench]
a = "one"
b = "two"
collections = null

[storage one]
type = "filesystem"
path = "{folder}/one/"
fileext = ".ics"

[storage two]
type = "filesystem"
path = "{folder}/two/"
fileext = ".ics"
"""


def ours() -> tuple[Cost, float]:
    """To the certificate; and by how many MiB the process grew between the first tenth of the pages and the end."""
    runtime, sizes = process_runtime(), list[float]()
    _scan(runtime, [])  # learns the versions that lists have there
    with Meter() as meter:
        done = _scan(runtime, sizes)
    assert (done.drift, done.new, done.gone) == (0, 0, 0), done
    runtime.close()
    return meter.cost, sizes[-1] - sizes[len(sizes) // 10]


def _scan(runtime: Runtime, sizes: list[float]) -> Scan:
    runtime.store.run_now(lambda tx: begin(tx, REMOTE, Trigger.PERSON))
    while (done := _go_on(runtime)).state is not ScanState.COMPLETE:
        sizes.append(memory_mib(os.getpid(), "status", "VmRSS"))
    sizes.append(memory_mib(os.getpid(), "status", "VmRSS"))
    return done


def _go_on(runtime: Runtime) -> Scan:
    door, rules = runtime.door(REMOTE), runtime.registry.rules
    scanned = runtime.run(scan(door, runtime.store, rules, runtime.clock, for_s=SLICE_S / 10))
    if scanned is not None:
        return scanned.scan
    # Its next step comes later. Lists that no page showed, as where many were made in one moment, are read by a push.
    runtime.run(push(door, runtime.store, rules, runtime.clock, for_s=SLICE_S))
    time.sleep(_LOOK_S)  # or the bench would measure how often it asks
    latest = runtime.store.run_now(lambda tx: tx.scans.latest(REMOTE))
    assert latest is not None, "there is none"
    assert latest.state in {*UNDER_WAY, ScanState.COMPLETE}, latest
    return latest


def bare_client() -> Cost:
    """The floor: read every page."""
    runtime = process_runtime()
    wire, connector = runtime.registry.wire(REMOTE), runtime.registry.connector(REMOTE)

    async def read() -> None:
        cursor: str | None = None
        while True:
            page = await connector.page(wire.exchange, cursor)
            cursor = page.next
            if cursor is None:
                return

    with Meter() as meter:
        runtime.run(read())
    runtime.close()
    return meter.cost


def plain_compare(url: str, lists: int) -> Cost:
    """Every list beside its row."""
    from bench.plain_worker import PlainList, engine

    PlainList.metadata.create_all(engine())
    with Session(engine()) as session:
        rows = (PlainList(id=id_on(REMOTE, n), **first_fields(n)) for n in range(lists))
        session.add_all(rows)
        session.commit()
    names = {theirs: mine for mine, theirs in OWNERS.items()}
    with Meter() as meter:
        for page in _pages(url):
            with Session(engine()) as session:
                for row in page:
                    kept = session.get(PlainList, row["id"])
                    assert kept is not None
                    shown = row["name"], names[row["owned_by"]], row["has_enrichment_task"]
                    assert shown == (kept.name, kept.owner, kept.enrichment)
    return meter.cost


def _pages(url: str) -> Iterator[list[dict[str, Any]]]:
    """All of them, in the order of the remote."""
    asked: dict[str, Any] = {"limit": PAGE}
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {SIM_TOKEN}"}) as client:
        while True:
            page = client.get(PATHS[REMOTE], params=asked).raise_for_status().json()
            yield page["items"]
            if not page.get("next_starting_after"):
                return
            asked["starting_after"] = page["next_starting_after"]


def vdirsyncer(folder: Path, items: int) -> Cost:
    """The pass after the one that made both sides equal."""
    for side in ("one", "two", "status"):
        (folder / side).mkdir()
    for number in range(items):
        (folder / "one" / f"{number}.ics").write_text(f"BEGIN:VCALENDAR\nUID:{number}\nSUMMARY:List {number:060}\n")
    config = folder / "config"
    config.write_text(_FILES.format(folder=folder))
    argv = [sys.executable, "-W", "ignore", "-m", "vdirsyncer", "--config", str(config), "--verbosity", "CRITICAL"]
    run = partial(subprocess.run, check=True, capture_output=True)
    run([*argv, "discover"])
    run([*argv, "sync"])
    with Meter() as meter:
        run([*argv, "sync"])
    return meter.cost


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    lists = 5_000 if small else 100_000
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remote = stack.enter_context(running(REMOTE, **FREE))
        server = stack.enter_context(embedded_redis(folder))
        make = partial(_prepare, folder, remote, server.url)
        make(lists)
        bare, (cost, grown) = in_own_process(bare_client), in_own_process(ours)
        plain_worker(
            database_url=f"sqlite:///{folder / 'plain.db'}", redis_url=server.url, urls={REMOTE: remote.base_url}
        )
        plain = in_own_process(plain_compare, remote.base_url, lists)
        yield _cpu(cost, lists, bare, "of the bare client's")
        yield _cpu(cost, lists, plain, "of a plain compare's")
        if find_spec("vdirsyncer"):
            (folder / "files").mkdir()
            peer = in_own_process(vdirsyncer, folder / "files", lists)
            yield _cpu(cost, lists, peer, "of vdirsyncer's")
        pace, of = lists / plain.wall_s, "× a plain compare"
        yield Figure(what="leadsync", value=lists / cost.wall_s, unit="lists/s", baseline=pace, of=of)
        yield Figure(what="grown while scanning", value=grown, unit="MiB")
        yield _bounded(make, 2_000 if small else 20_000)


def _prepare(folder: Path, remote: RunningSimulator, redis_url: str, lists: int, **budget: int) -> None:
    """So many equal lists on both sides, and settings for this process and those that it starts."""
    url = f"sqlite:///{folder / f'{lists}.db'}"
    urls = {SOURCE: "http://127.0.0.1:9", REMOTE: remote.base_url}
    configure(folder, database_url=url, urls=urls, redis_url=redis_url, **budget)
    shown = [first_fields(number) for number in range(lists)]
    seed({REMOTE: remote}, shown)
    fill_store(url, Registry(load_settings()).rules, wanted=shown, shown=shown)


def _bounded(make: Callable[..., None], lists: int) -> Figure:
    make(lists, requests_per_second=SLOW)
    cost, _ = in_own_process(ours)
    # Full at the start: so many calls go out at once.
    shortest = (lists / PAGE - SLOW) / SLOW
    return Figure(what="bounded by the budget", value=cost.wall_s, unit="s", baseline=shortest, of="of the shortest")


def _cpu(cost: Cost, lists: int, other: Cost, of: str) -> Figure:
    cpu_us, theirs = (one.cpu_s / lists * 1e6 for one in (cost, other))
    return Figure(what="leadsync, CPU", value=cpu_us, unit="µs/list", baseline=theirs, of=of)


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
