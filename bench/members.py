"""Members: what one of them costs on lists of 1,000, 100,000 and a million, and what a whole membership costs.

    ./run bench members [--small] [--json]

Held fixed: the machine; one list of people, equal on the CRM, Instantly and Lance, which name each of them in their own
way, and whose identities and names are known; simulators without limits and latency; the stream is in memory, and
the rate budget lets everything through, so that what is measured is the database, the connectors and HTTP. PostgreSQL,
where it is installed, gets lists of up to 100,000. Each figure is of a fresh process; its memory is what it grew by.

- one added: the CRM tells of one more person; one event a transaction. Rows are those written, time is the median.
  Raw: one row inserted and committed. JSON: a plain worker that keeps the members of a list as one JSON value.
- one pushed: that person to Instantly, then to Lance. Lance's answers hold ids only, but where whole persons are
  named, as Lance's documents show them. Plain: the same worker reads the array, adds, PATCHes the whole array.
- no news: a scan of each remote, when nothing was changed there. Instantly's members are counted; and those of
  a list of a tenth are read, as once a day: its simulator looks at all leads of a list for each page.
- first link: a list of the CRM is linked with one of Lance; of each, one in two hundred is not on the other. Intake,
  push of Lance (read, then PATCH), push of the CRM. Raw: as many rows of members written by one statement.

Instantly's simulator holds leads only where they are read.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from bench.common import FREE, databases, in_own_process
from bench.plain_members import (
    Spent,
    blob_one_by_one,
    connected,
    insert_one_by_one,
    patch_plainly,
    spent_by,
    write_members,
)
from bench.table import Figure, options, show
from tests.support.big_lists import (
    NAME,
    NAMED,
    Part,
    add_event,
    lance_id,
    link_event,
    long_ago,
    put_list,
)
from tests.support.three_sides import WITH_MEMBERS, ThreeSides
from worker.settings import Settings
from worker.simulators.running import RunningSimulator, running_all
from worker.store.database import open_database, upgrade
from worker.store.sql import SqlStore

PATIENT = {"timeout_s": 120.0}
REMOTES: Mapping[str, Mapping[str, Any]] = {
    "instantly": WITH_MEMBERS | PATIENT,
    "lance": WITH_MEMBERS | PATIENT,
    "crm": PATIENT,
}
#: As if a day had passed since Instantly's members were read.
NEXT_DAY: Mapping[str, Mapping[str, Any]] = {
    **REMOTES,
    "instantly": {**REMOTES["instantly"], "members_scan_every_s": 0.001},
}
ALL = frozenset(NAMED)
#: So many are told; the time is that of the one in the middle.
EVENTS = 50

# What is measured, each in a process of its own


@dataclass(frozen=True, slots=True)
class Where:
    """A database and the remotes, for another process."""

    url: str
    simulators: Mapping[str, RunningSimulator]
    #: The list's id on each remote.
    ids: Mapping[str, str]
    remotes: Mapping[str, Mapping[str, Any]]

    def spent(self, work: Callable[[ThreeSides], float | None]) -> Spent:
        """By work on the three sides; the time is what it says, else all of it."""
        engine = open_database(self.url)
        with closing(SqlStore(engine)) as store:
            store.run_now(lambda tx: tx.now)
            sides = ThreeSides(self.simulators, store, self.remotes)
            asyncio.run(connected(sides.settings))
            return spent_by(lambda: work(sides), engine)

    @property
    def settings(self) -> Settings:
        """Of the remotes."""
        return ThreeSides(self.simulators, SqlStore(open_database(self.url)), self.remotes).settings

    def calls(self, remote: str) -> int:
        """Since they were last forgotten."""
        return sum(self.simulators[remote].summary()["calls"].values())


def take_in_one_by_one(where: Where, numbers: range) -> Spent:
    """One event, one transaction; the time of the one in the middle."""

    def work(sides: ThreeSides) -> float:
        times = []
        for number in numbers:
            event = add_event(number, where.ids["crm"])
            begun = time.perf_counter()
            _take_in(sides, event)
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    return where.spent(work)


def _take_in(sides: ThreeSides, event: bytes) -> None:
    sides.log.add(event)
    if sides.intake().rejected:
        raise SystemExit("an event was rejected")


def push_to(where: Where, remote: str) -> Spent:
    """Until nothing is due there."""

    def work(sides: ThreeSides) -> None:
        sides.push(remote)

    return where.spent(work)


def scan_once(where: Where, remote: str) -> Spent:
    """All lists of one remote."""

    def work(sides: ThreeSides) -> None:
        if sides.scan(remote).drift:
            raise SystemExit(f"{remote} was said to have changed")

    return where.spent(work)


def link(where: Where, links: Mapping[str, str]) -> Spent:
    """Two lists become one, and equal."""

    def work(sides: ThreeSides) -> None:
        _take_in(sides, link_event(where.ids["crm"], links))
        sides.push("lance")
        sides.push("crm")

    return where.spent(work)


# The runs


class Stage:
    """One database after another, and the simulators that all of them share."""

    def __init__(self, name: str, new_database: Callable[[], str], simulators: Mapping[str, RunningSimulator]) -> None:
        self.name, self._new_database, self._simulators = name, new_database, simulators

    def empty(self) -> str:
        """The URL of a database with all tables."""
        url = self._new_database()
        engine = open_database(url)
        upgrade(engine)
        engine.dispose()
        return url

    def put(
        self,
        parts: Sequence[Part],
        known: range,
        *,
        on: Sequence[str] = tuple(NAMED),
        shown: Sequence[str] = tuple(NAMED),
        remotes: Mapping[str, Mapping[str, Any]] = REMOTES,
    ) -> Where:
        """One list on these remotes, whose simulators hold its members where they are `shown`."""
        ids = {}
        for remote in on:
            self._simulators[remote].sim_post("reset", {})
            numbers = [n for part in parts if remote in part.on for n in part.numbers] if remote in shown else ()
            row = {"name": NAME, "kind": "person", "enrichment": False, "members": [*map(NAMED[remote], numbers)]}
            [ids[remote]] = self._simulators[remote].seed([row])
        where = Where(self.empty(), self._simulators, ids, remotes)
        with closing(SqlStore(open_database(where.url))) as store:
            rules = ThreeSides(self._simulators, store, remotes).rules
            put_list(store, rules, ids, parts, known=known, seen_at=long_ago())
        return where

    def figure(self, what: str, value: float, unit: str, baseline: float | None = None, of: str = "") -> Figure:
        """One line."""
        return Figure(what=f"{self.name}: {what}", value=value, unit=unit, baseline=baseline, of=of)


def _equal(size: int) -> list[Part]:
    return [Part(numbers=range(size), on=ALL)]


def one_added(stage: Stage, sizes: Sequence[int]) -> Iterator[Figure]:
    """Intake."""
    first: Spent | None = None
    for size in sizes:
        new = range(size, size + EVENTS)
        where = stage.put(_equal(size), range(size), shown=())
        ours = in_own_process(take_in_one_by_one, where, new)
        raw = in_own_process(insert_one_by_one, stage.empty(), new)
        blob = in_own_process(blob_one_by_one, stage.empty(), size, new[:10])
        first = first or ours
        of = f"of {sizes[0]:,}'s"
        name = f"one added to {size:,}"
        yield stage.figure(f"{name}, rows written", ours.asked.written / EVENTS, "rows")
        yield stage.figure(
            f"{name}, statements", ours.asked.statements / EVENTS, "", first.asked.statements / EVENTS, of
        )
        yield stage.figure(f"{name}, time", ours.wall_s * 1e3, "ms", first.wall_s * 1e3, of)
        yield stage.figure(f"{name}, time", ours.wall_s * 1e3, "ms", raw.wall_s * 1e3, "× raw")
        yield stage.figure(f"{name}, time", ours.wall_s * 1e3, "ms", blob.wall_s * 1e3, "of JSON's")
        yield stage.figure(f"{name}, peak growth", ours.peak_mib, "MiB", first.peak_mib, of)
        yield stage.figure(f"{name}, peak growth", ours.peak_mib, "MiB", blob.peak_mib, "of JSON's")


def one_waits(stage: Stage, size: int) -> Iterator[Figure]:
    """Intake again, while nobody of the list is on Lance yet."""
    part = Part(numbers=range(size), on=frozenset({"crm"}))
    where = stage.put([part], range(size), on=("crm", "lance"), shown=())
    ours = in_own_process(take_in_one_by_one, where, range(size, size + 10))
    name = f"one added while {size:,} are due"
    yield stage.figure(f"{name}, time", ours.wall_s * 1e3, "ms")
    yield stage.figure(f"{name}, peak growth", ours.peak_mib, "MiB")


def one_pushed(stage: Stage, sizes: Sequence[int], *, whole: bool = False) -> Iterator[Figure]:
    """Push to Instantly and Lance."""
    for size in sizes:
        where = stage.put(_equal(size), range(size), shown=("lance",))
        where.simulators["lance"].switch(hydrates=whole)
        in_own_process(take_in_one_by_one, where, range(size, size + 1))
        name = f"one of {size:,}{', answered in full,' if whole else ''} to"
        if not whole:
            where.simulators["instantly"].forget_calls()
            lead = in_own_process(push_to, where, "instantly")
            leads = len(where.simulators["instantly"].lead_list(where.ids["instantly"])["members"])
            yield stage.figure(f"{name} Instantly, calls", where.calls("instantly"), "calls", 1, f"for {leads} lead")
            yield stage.figure(f"{name} Instantly, time", lead.wall_s * 1e3, "ms")
            yield stage.figure(f"{name} Instantly, peak growth", lead.peak_mib, "MiB")
        where.simulators["lance"].forget_calls()
        ours = in_own_process(push_to, where, "lance")
        calls = where.calls("lance")
        there = len(where.simulators["lance"].lead_list(where.ids["lance"])["members"])
        plain = in_own_process(patch_plainly, where.settings, where.ids["lance"], size + 1)
        body = len(orjson.dumps([lance_id(n) for n in range(size + 1)])) / 2**20
        yield stage.figure(f"{name} Lance, calls", calls, "calls", 2, f"there: {there:,}")
        yield stage.figure(f"{name} Lance, time", ours.wall_s * 1e3, "ms", plain.wall_s * 1e3, "× plain")
        yield stage.figure(f"{name} Lance, peak growth", ours.peak_mib, "MiB", body, "× the array's bytes")
        yield stage.figure(f"{name} Lance, peak growth", ours.peak_mib, "MiB", plain.peak_mib, "× plain")
        where.simulators["lance"].switch(hydrates=True)


def no_news(stage: Stage, size: int) -> Iterator[Figure]:
    """Scans. The first one of a remote learns the versions that the list has there."""
    for remote in ("crm", "lance", "instantly"):
        where = stage.put(_equal(size), range(size), shown=(remote,))
        in_own_process(scan_once, where, remote)
        yield from _scanned(stage, where, remote, f"scan of {size:,} on {remote}", size)
    few = size // 10
    where = replace(stage.put(_equal(few), range(few), shown=("instantly",)), remotes=NEXT_DAY)
    yield from _scanned(stage, where, "instantly", f"read of {few:,} on instantly", few)


def _scanned(stage: Stage, where: Where, remote: str, name: str, size: int) -> Iterator[Figure]:
    where.simulators[remote].forget_calls()
    ours = in_own_process(scan_once, where, remote)
    body = len(orjson.dumps([*map(NAMED[remote], range(size))])) / 2**20
    yield stage.figure(f"{name}, calls", where.calls(remote), "calls")
    yield stage.figure(f"{name}, rows written", ours.asked.written, "rows")
    yield stage.figure(f"{name}, time", ours.wall_s * 1e3, "ms")
    yield stage.figure(f"{name}, peak growth", ours.peak_mib, "MiB", body, "× the ids' bytes")


def first_link(stage: Stage, size: int) -> Iterator[Figure]:
    """On the CRM the first half of a hundredth, on Lance the second; all else on both."""
    apart = size // 200
    known = range(size + apart)
    where = stage.put([Part(numbers=range(size), on=frozenset({"crm"}))], known, on=("crm",))
    lance = where.simulators["lance"]
    lance.sim_post("reset", {})
    lance.switch(hydrates=False)
    there = [lance_id(n) for n in range(apart, size + apart)]
    [remote_id] = lance.seed([{"name": NAME, "kind": "person", "members": there}])
    where.simulators["crm"].forget_calls()
    ours = in_own_process(link, where, {"lance": remote_id})
    ends = [
        len(set(one.lead_list(on)["members"]))
        for one, on in ((lance, remote_id), (where.simulators["crm"], where.ids["crm"]))
    ]
    raw = in_own_process(write_members, stage.empty(), size)
    name = f"first link of two lists of {size:,}"
    yield stage.figure(
        f"{name}, calls", where.calls("lance") + where.calls("crm"), "calls", 5, "a read each, GET and PATCH, PATCH"
    )
    yield stage.figure(f"{name}, rows written", ours.asked.written, "rows", size + apart, "of the union")
    yield stage.figure(f"{name}, statements", ours.asked.statements, "")
    yield stage.figure(f"{name}, time", ours.wall_s * 1e3, "ms", raw.wall_s * 1e3, "× raw")
    yield stage.figure(f"{name}, peak growth", ours.peak_mib, "MiB", raw.peak_mib, "× raw")
    yield stage.figure(f"{name}, members at the end", min(ends), "", size + apart, "of the union")
    lance.switch(hydrates=True)


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    sizes, many = ((100, 1_000), 1_000) if small else ((1_000, 100_000, 1_000_000), 100_000)
    with ExitStack() as stack:
        simulators = stack.enter_context(running_all(switches=dict.fromkeys(NAMED, FREE)))
        for name, new_database in stack.enter_context(databases()).items():
            stage = Stage(name, new_database, simulators)
            fit = sizes if name == "SQLite" else [size for size in sizes if size <= many]
            yield from one_added(stage, fit)
            yield from one_waits(stage, many)
            yield from one_pushed(stage, fit)
            yield from one_pushed(stage, fit[:1], whole=True)
            yield from no_news(stage, many)
            yield from first_link(stage, many)


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
