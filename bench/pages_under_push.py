"""Pages under push: does it slow pushing down when people open pages meanwhile? Run by hand.

    ./run bench pages_under_push [--small] [--json]

Held fixed: the machine, one Redis, one Instantly simulator that answers every call 20 ms after it came, and calls that
all change one name; 80,000 due copies of as many lists. One process pushes all the time, with 64 calls in flight and a
rate budget that is never short: full load. In every other round a client opens five pages a second of a web process,
one after another: the Now page, lists, a search, one list, what waits. The rounds alternate (without, with, with,
without …), so that whatever else the machine does, and a ledger that grows, falls on both alike.

A PATCH's CPU time tells why: with the same time for each, pushing waits for a processor; with more, for the database.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from statistics import median
from typing import Final

from bench.common import (
    FREE,
    SOURCE,
    configure,
    cpu_s,
    databases,
    fill_store,
    first_fields,
    id_on,
    leadsync,
    seed,
    tree,
)
from bench.table import Figure, options, show
from tests.support.big_tables import settle
from tests.support.ports import free_port, is_well
from tests.support.waiting import wait_until
from tests.support.web import Browser
from worker.embedded import embedded_redis
from worker.processes import running as running_child
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.simulators.running import RunningSimulator, running
from worker.store.database import open_database
from worker.sync.push import push
from worker.wiring import process_runtime

REMOTE: Final = "instantly"
PAGES_PER_S: Final = 5
_SLICE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Size:
    """How long, and over how many lists."""

    lists: int
    #: Every second of these pairs is turned round: without, with, with, without.
    pairs: int
    round_s: float


FULL: Final = Size(80_000, 32, 1.0)
SMALL: Final = Size(4_000, 1, 0.5)


@dataclass(slots=True)
class Rounds:
    """All rounds of one kind, put together."""

    patches: int = 0
    wall_s: float = 0.0
    push_s: float = 0.0
    web_s: float = 0.0
    #: How long each page took, in milliseconds.
    pages: list[float] = field(default_factory=list)

    #: PATCHes a second of each round.
    rates: list[float] = field(default_factory=list)

    @property
    def per_s(self) -> float:
        """The round in the middle: what else goes on here may have a few of them."""
        return median(self.rates)

    @property
    def push_ms(self) -> float:
        """CPU of the pushing process for each PATCH."""
        return self.push_s * 1000 / self.patches


def push_all() -> None:
    """As the worker does it, in a process of its own."""
    runtime, left = process_runtime(), True
    while left:
        door, rules = runtime.door(REMOTE), runtime.registry.rules
        due = runtime.run(push(door, runtime.store, rules, runtime.clock, for_s=_SLICE_S)).due
        left = bool(due.live or due.retry)


@contextmanager
def reading(port: int, lists: int, took: list[float]) -> Iterator[None]:
    """Somebody who opens pages meanwhile, on a timetable."""
    browser, ended, failed = Browser(port), threading.Event(), list[str]()
    some = [f"/list?copy={SOURCE}:{id_on(SOURCE, lists // 2)}", "/lists?q=nowhere", "/waiting"]
    paths = ["/", "/lists", *some]

    def read() -> None:
        begun = time.monotonic()
        for number in range(10_000):
            if ended.wait(max(0.0, begun + number / PAGES_PER_S - time.monotonic())):
                return
            asked = time.monotonic()
            reply = browser.get(paths[number % len(paths)])
            if reply.status != 200:
                failed.append(f"{paths[number % len(paths)]} answered {reply.status}: {reply.text[-500:]}")
                return
            took.append((time.monotonic() - asked) * 1000)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()
        if failed:
            raise SystemExit(failed[0])


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    size = SMALL if small else FULL
    shown = [first_fields(number) for number in range(size.lists)]
    wanted = [{**fields, "name": f"{fields['name']}, renamed"} for fields in shown]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        remote = stack.enter_context(running(REMOTE, latency_s=0.02, **FREE))
        server = stack.enter_context(embedded_redis(folder))
        for name, new in stack.enter_context(databases()).items():
            url, urls = new(), {SOURCE: "http://127.0.0.1:9", REMOTE: remote.base_url}
            configure(folder, database_url=url, urls=urls, redis_url=server.url)
            seed({REMOTE: remote}, shown)
            fill_store(url, Registry(load_settings()).rules, wanted=wanted, shown=shown)
            settle(open_database(url))
            yield from _told(name, *measured(remote, size))


def measured(remote: RunningSimulator, size: Size) -> tuple[Rounds, Rounds]:
    """Without pages, and with."""
    port = free_port()
    os.environ["LEADSYNC_WEB__PORT"] = str(port)
    alone, beside = Rounds(), Rounds()
    with running_child([leadsync("web")]) as [web], pushing() as pusher:
        wait_until(lambda: is_well(port), deadline_s=30, what="the web process answers")
        Browser(port).get("/")  # nobody is measured while templates are read
        begun = remote.summary()["patches"]
        wait_until(lambda: remote.summary()["patches"] > begun, deadline_s=30, what="the push begins")
        time.sleep(size.round_s)
        for number in range(size.pairs):
            for kind in (alone, beside) if number % 2 == 0 else (beside, alone):
                with reading(port, size.lists, beside.pages) if kind is beside else nullcontext():
                    _round(kind, remote, size.round_s, pusher.pid or 0, web.pid or 0)
        if not pusher.is_alive():
            raise SystemExit("the push ended before its rounds did: this machine needs more lists")
    return alone, beside


@contextmanager
def pushing() -> Iterator[BaseProcess]:
    """A process that pushes until the end of the block, or until nothing is due."""
    process = get_context("spawn").Process(target=push_all)
    process.start()
    try:
        yield process
    finally:
        process.terminate()
        process.join()


def _round(kind: Rounds, remote: RunningSimulator, seconds: float, pusher: int, web: int) -> None:
    before = (remote.summary()["patches"], time.monotonic(), cpu_s(pusher), sum(map(cpu_s, tree(web))))
    time.sleep(seconds)
    after = (remote.summary()["patches"], time.monotonic(), cpu_s(pusher), sum(map(cpu_s, tree(web))))
    patches, wall_s, push_s, web_s = (b - a for a, b in zip(before, after, strict=True))
    kind.patches += int(patches)
    kind.rates.append(patches / wall_s)
    kind.wall_s += wall_s
    kind.push_s += push_s
    kind.web_s += web_s


def _told(name: str, alone: Rounds, beside: Rounds) -> Iterator[Figure]:
    pages, of, opened = sorted(beside.pages), "of without pages", f"{name}: while pages are opened"
    yield Figure(what=opened, value=beside.per_s, unit="PATCH/s", baseline=alone.per_s, of=of)
    yield Figure(what=f"{name}: CPU a PATCH", value=beside.push_ms, unit="ms", baseline=alone.push_ms, of=of)
    yield Figure(what=f"{name}: pages", value=len(pages) / beside.wall_s, unit="pages/s")
    yield Figure(what=f"{name}: a page, p50", value=pages[len(pages) // 2], unit="ms")
    yield Figure(what=f"{name}: CPU of the web process", value=beside.web_s / beside.wall_s * 100, unit="% of a core")


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
