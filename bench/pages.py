"""Pages: how long each page and document takes with 100,000 lists and a ledger of 1,000,000 rows. Run by hand.

    ./run bench pages [--small] [--json]

Held fixed: the machine, one web process with embedded Redis, three simulators, three copies of each list (15 of each
hundred lists are parked, in conflict, excluded or due), 36,000 calls in the last hour, and one client on loopback that
asks for one page at a time, 30 times each. `first` is the first answer of each: nothing is remembered by then.

The baselines are of the same run: an answer without any page or database (/healthz), and one row by its primary key.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import select

from bench.common import FREE, configure, databases
from bench.table import Figure, options, show
from tests.support.big_tables import FULL, REMOTES, Size, copy_name, fill
from tests.support.statements import statements
from tests.support.web import Browser, serving
from worker.embedded import embedded_redis
from worker.settings import load_settings
from worker.simulators.running import running
from worker.store.database import open_database
from worker.store.tables import LISTS
from worker.wiring import Runtime, collect_seldom

_SMALL: Final = Size(lists=1_000, ledger=10_000, calls=300, others=100)
_TIMES: Final = 30


def paths(size: Size) -> list[str]:
    """Every page and the main documents, and what makes them look furthest."""
    middle, one = size.lists // 2, copy_name(size.lists // 2)
    sorts = [f"/lists?sort={key}" for key in ("name", "standing", "age")]
    return [
        "/",
        "/lists",
        f"/lists?after={middle}",
        *sorts,
        "/lists?q=list+999",
        "/lists?q=nowhere",
        "/lists?standing=conflict",
        "/lists?standing=due&remote=instantly&sort=name",
        f"/list?copy={one}",
        "/waiting",
        "/waiting?cause=nothing+has+this",
        "/conflicts",
        "/scans",
        "/plan",
        "/rejects",
        "/audit",
        "/doctor",
        "/metrics",
        "/api/v1/status",
        "/api/v1/lists?limit=1000",
        f"/api/v1/lists/{one.replace(':', '/')}",
        "/api/v1/parked",
        "/api/v1/conflicts",
        "/api/v1/plan",
        "/api/v1/rejects",
        "/api/v1/scans",
        "/api/v1/audit",
        "/api/v1/alerts",
    ]


@dataclass(frozen=True, slots=True)
class Timed:
    """Some answers, in milliseconds."""

    first: float
    p50: float
    p95: float


def timed(ask: Callable[[], object], times: int = _TIMES) -> Timed:
    """One after another."""
    taken = list[float]()
    for _ in range(times):
        begun = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - begun) * 1000)
    ordered = sorted(taken)
    return Timed(taken[0], ordered[times // 2], ordered[int(times * 0.95)])


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    size = _SMALL if small else FULL
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {name: stack.enter_context(running(name, **FREE)).base_url for name in REMOTES}
        server = stack.enter_context(embedded_redis(folder))
        for name, new in stack.enter_context(databases()).items():
            url = new()
            configure(folder, database_url=url, urls=urls, redis_url=server.url)
            fill(url, size)
            yield from _of(name, url, Runtime(load_settings(), server.url), size)


def _of(name: str, url: str, runtime: Runtime, size: Size) -> Iterator[Figure]:
    row = timed(_row(url, size.lists // 2))
    yield Figure(what=f"{name}: one row by its key, p95", value=row.p95, unit="ms")
    with serving(runtime) as port:
        browser = Browser(port)
        collect_seldom()  # as the web process does
        _ask(browser, "/scans")  # it has a session now, and nobody is measured while templates are read
        empty = timed(lambda: _ask(browser, "/healthz"))
        yield Figure(what=f"{name}: /healthz p95", value=empty.p95, unit="ms", baseline=row.p95, of="× one row")
        for path in paths(size):
            took = timed(partial(_ask, browser, path))
            with statements() as asked:
                _ask(browser, path)
            what = f"{name}: {path}"
            yield Figure(what=f"{what} p95", value=took.p95, unit="ms", baseline=empty.p95, of="× /healthz")
            yield Figure(what=f"{what} p50", value=took.p50, unit="ms", baseline=empty.p50, of="× /healthz")
            yield Figure(what=f"{what} first", value=took.first, unit="ms")
            yield Figure(what=f"{what} asks", value=len(asked), unit="statements")


def _ask(browser: Browser, path: str) -> None:
    reply = browser.get(path)
    if reply.status != 200:
        raise SystemExit(f"{path} answered {reply.status}: {reply.text[:300]}")


def _row(url: str, number: int) -> Callable[[], object]:
    engine, query = open_database(url).execution_options(reads_only=True), select(LISTS).where(LISTS.c.id == number)

    def ask() -> object:
        with engine.begin() as connection:
            return connection.execute(query).one()

    return ask


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
