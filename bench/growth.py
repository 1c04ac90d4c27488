"""Growth: what an event, a scanned list, a claim, a page and the status cost with 1,000 to 1,000,000 lists.

    ./run bench growth [--small] [--million] [--json [FILE]]

Held fixed: the machine, three copies of each list (15 of each hundred lists are parked, in conflict, excluded or due),
ten rows of ledger a list, SQLite and PostgreSQL (fsync off) as old as after a vacuum, one process without Redis and
without HTTP: the stream is in memory, the remote shows pages from memory. Wall is what a caller waits, CPU what this
process uses; PostgreSQL's own is in the wall alone. Each figure is compared with that of the smallest size of its run.

What the databases make of the hot queries at the largest size (EXPLAIN) is printed at the end, and kept in
bench/results/growth-plans.txt.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import orjson

from bench import table
from bench.common import databases
from bench.table import Figure, show
from models.lead_list import Field
from models.observation import Shown
from models.scan import Trigger
from tests.support.big_tables import DUE, REMOTES, Size, fill
from tests.support.explaining import asked
from worker.engine.rules import Rules
from worker.remotes.base import Page, Send
from worker.remotes.memory import MemoryConnector, NoLimit
from worker.remotes.registry import Registry
from worker.settings import Settings
from worker.store.database import open_database
from worker.store.list_views import START
from worker.store.sql import SqlStore
from worker.store.views import Views
from worker.stream.memory import Log, MemoryStream
from worker.sync.intake import drain
from worker.sync.push import Door
from worker.sync.scan import scan
from worker.sync.schedule import begin

SIZES: Final = (1_000, 10_000, 100_000)
_EVENTS, _PAGES, _PER_PAGE, _TIMES = 2_000, 20, 100, 20
_SCANNED = "instantly"


@dataclass(frozen=True, slots=True)
class Took:
    """Of one piece of work, in microseconds."""

    wall: float
    cpu: float


def took(work: Callable[[], object], pieces: int) -> Took:
    """Of each of them."""
    begun, cpu = time.perf_counter(), time.process_time()
    work()
    return Took((time.perf_counter() - begun) / pieces * 1e6, (time.process_time() - cpu) / pieces * 1e6)


class SomePages(MemoryConnector):
    """A remote that shows what was seen before, page by page; and a clock by which time is up after some pages."""

    shown = 0
    lists = 1

    async def page(self, send: Send, cursor: str | None) -> Page:
        self.shown += 1
        first = int(cursor or 1)
        numbers = (1 + n % self.lists for n in range(first, first + _PER_PAGE))
        return Page(tuple(map(_as_seen, numbers)), str(first + _PER_PAGE))

    def monotonic(self) -> float:
        return float(self.shown >= _PAGES)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits")


def _as_seen(number: int) -> Shown:
    name = f"List {number}" + ", old" * (number % 100 in DUE)
    return Shown(remote_id=f"{_SCANNED}-{number}", fields={Field.NAME: name})


class Grown:
    """A database of some size, and what is asked of it."""

    def __init__(self, url: str, lists: int) -> None:
        fill(url, Size(lists=lists, ledger=10 * lists, calls=500, others=3_000))
        self.lists, self.chance = lists, random.Random(1)
        self.engine = open_database(url)
        self.store, self.views = SqlStore(self.engine), Views(self.engine)
        remotes = {name: {"kind": name, "base_url": "http://127.0.0.1:9", "token": "t"} for name in REMOTES}
        self.rules: Rules = Registry(Settings.model_validate({"remotes": remotes})).rules

    def measured(self) -> dict[str, Took]:
        """Every kind of work, by name."""
        self.events(100)  # statements are compiled, pages are in memory
        questions: dict[str, Callable[[], object]] = {
            "claim of 16": lambda: self.store.run_now(lambda tx: tx.due(_SCANNED, 16)),
            "which remotes are due": lambda: self.store.run_now(lambda tx: tx.due_remotes(REMOTES)),
            "find of 100": lambda: self.store.run_now(lambda tx: tx.find(self.keys())),
            "page of lists": self.page,
            "timeline of a list": lambda: self.views.look(lambda view: view.ledger.history(self.some(), 20)),
            "status": lambda: self.views.look(lambda view: view.tally()),
        }
        found = {name: took(partial(_often, ask), _TIMES) for name, ask in questions.items()}
        found["event"] = took(partial(self.events, _EVENTS), _EVENTS)
        found["scanned list"] = took(self.pages, _PAGES * _PER_PAGE)
        return found

    def plans(self) -> Iterator[str]:
        """How the hot queries are answered."""
        with asked(self.engine) as told:
            self.measured_once()
        for (statement, _), plan in zip(told.statements, told.plans(), strict=True):
            yield f"{statement.strip()}\n{plan}\n"

    def measured_once(self) -> None:
        """Each question, once."""
        self.store.run_now(lambda tx: (tx.due(_SCANNED, 16), tx.count_due(_SCANNED, 16), tx.due_remotes(REMOTES)))
        self.store.run_now(lambda tx: (tx.find([("crm", "crm-1")]), tx.load([1, 2]), tx.scans.latest(_SCANNED)))
        self.page()
        self.views.look(lambda view: (view.ledger.history(1, 20), view.tally()))

    def page(self) -> object:
        """A page of lists, somewhere in the middle."""
        return self.views.look(lambda view: view.lists((), 50, replace(START, number=self.some())))

    def some(self) -> int:
        return self.chance.randrange(1, self.lists)

    def keys(self) -> list[tuple[str, str]]:
        return [("crm", f"crm-{self.some()}") for _ in range(100)]

    def events(self, number: int) -> None:
        """The CRM renames lists."""
        log, now = Log(time.time), datetime.now(UTC)
        for n in range(number):
            event: dict[str, Any] = {"specversion": "1.0", "id": f"{time.time_ns()}-{n}", "source": "crm"}
            event |= {"type": "leadlist.changed", "subject": f"crm-{self.some()}"}
            event |= {"time": (now + timedelta(microseconds=n)).isoformat()}
            log.add(orjson.dumps(event | {"data": {"fields": {"name": f"Renamed {n}"}}}))
        stream = MemoryStream(log, "bench")
        asyncio.run(drain(stream, self.store, self.rules, batch=500, takeover_s=45.0))

    def pages(self) -> None:
        """A scan of lists that are as they were."""
        remote = SomePages(_SCANNED)
        remote.lists = self.lists
        door = Door(
            connector=remote,
            wire=remote.wire,
            tickets=NoLimit(),
            max_in_flight=16,
            timeout_s=20.0,
            late_write_s=120.0,
        )
        self.store.run_now(lambda tx: begin(tx, _SCANNED, Trigger.PERSON))
        asyncio.run(scan(door, self.store, self.rules, remote, for_s=1.0))


def _often(ask: Callable[[], object]) -> None:
    for _ in range(_TIMES):
        ask()


def figures(sizes: tuple[int, ...], plans: list[str]) -> Iterator[Figure]:
    """All lines of the table, size by size."""
    with databases() as made:
        for name, new in made.items():
            base = dict[str, Took]()
            for lists in sizes:
                grown = Grown(new(), lists)
                found = grown.measured()
                if lists == sizes[-1]:
                    plans += [f"{name}, {lists:,} lists", *grown.plans()]
                grown.store.close()
                base = base or found
                for what, one in found.items():
                    yield from _lines(f"{name}, {lists:,}: {what}", one, base[what])


def _lines(what: str, one: Took, base: Took) -> Iterator[Figure]:
    of = "× smallest size"
    yield Figure(what=f"{what}, wall", value=one.wall, unit="µs", baseline=base.wall, of=of)
    yield Figure(what=f"{what}, CPU", value=one.cpu, unit="µs", baseline=base.cpu, of=of)


def main() -> None:
    """Read the arguments, print as results come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="two small sizes, to see that it works")
    parser.add_argument("--million", action="store_true", help="1,000,000 lists too; takes several minutes and 5 GB")
    table.add_json(parser)
    chosen = parser.parse_args()
    sizes, plans = SIZES[:2] if chosen.small else SIZES, list[str]()
    show(figures((*sizes, 1_000_000) if chosen.million else sizes, plans), as_json=chosen.json)
    told = "\n".join(plans)
    table.RESULTS.mkdir(exist_ok=True)
    (table.RESULTS / "growth-plans.txt").write_text(told)
    print(told, file=sys.stderr if chosen.json == "-" else sys.stdout)


if __name__ == "__main__":
    main()
