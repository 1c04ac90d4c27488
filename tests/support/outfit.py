"""A leadsync whose every part can be killed while people edit, and a judge who looks afterwards.

Used by the tests that kill real processes. What a test breaks is in the block of `disaster`: people edit in the CRM
before, while and after it, and at its end every side must show the last edit of each list.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import Select, func, select
from sqlmodel import col

from models.lead_list import Standing
from models.ledger import ChangeKind
from models.tables.ledger import ChangeRow, RejectRow
from models.tables.lists import CopyRow
from tests.support.process import catches, descendants, kill_tree
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until
from worker.embedded import EmbeddedRedis, embedded_redis
from worker.notes import marks
from worker.store.database import open_database

#: How often each disaster happens; `KILL_TEST_ROUNDS=20` looks harder.
ROUNDS = int(os.environ.get("KILL_TEST_ROUNDS", "1"))
#: People edit for so long before a disaster, and as long after it; those in between come on top.
_AROUND_S = 0.8
LISTS = 30
#: An edit is told of until somebody takes the news; nothing here is away for longer.
_PATIENCE_S = 30.0

SETTINGS = {
    "PYTHONFAULTHANDLER": "1",  # see `_traced`
    "LEADSYNC_SYNC__LATE_WRITE_S": "2",
    "LEADSYNC_SYNC__TICK_S": "1",
    "LEADSYNC_SYNC__BRAKE": "1",
    "LEADSYNC_EVENTS__TAKEOVER_S": "3",
}

#: People edit in the CRM alone: who finds an edit anywhere else has taken our own write for one.
_NEVER = (ChangeKind.CONFLICT, ChangeKind.HELD, ChangeKind.GONE, ChangeKind.CREATED)

#: Gives one event away; raises `OSError` or `RedisError` when nobody takes it.
Way = Callable[[bytes], object]


@dataclass
class Outfit:
    """A stack with its own Redis, and what people have called each list."""

    stack: Stack
    redis: EmbeddedRedis
    chance: Random
    names: list[str] = field(default_factory=list)
    worker: subprocess.Popen[bytes] = field(init=False)
    beat: subprocess.Popen[bytes] = field(init=False)
    edits: int = 0
    #: Newest row of the ledger when all lists were linked. A scan may have found both halves of one before its link.
    linked: int = 0
    #: Between two edits.
    every_s: float = 0.02

    def begin(self) -> None:
        """Linked lists, one worker and beat."""
        self.stack.seed(LISTS)
        self.names = self.stack.names()["crm"]
        self.start()
        self.stack.link_all()
        wait_until(self._in_sync, deadline_s=60, what="all lists are linked", told=self.told)
        [(self.linked,)] = self._rows(select(func.max(col(ChangeRow.id))))

    def start(self) -> None:
        """A worker and beat, in place of those that there were."""
        self.worker = self.stack.start("worker", "--concurrency", "2")
        self.beat = self.stack.start("beat")

    def child(self, module: str) -> int:
        """The process of that module below the worker; 0 when there is none."""
        for pid in descendants(self.worker.pid):
            with contextlib.suppress(OSError):
                if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                    return pid
        return 0

    def restart_redis(self) -> None:
        """Kill -9, and again on the same append-only file."""
        self.kill_redis()
        self.start_redis()

    def kill_redis(self) -> None:
        kill_tree(self.redis.pid or 0)

    def start_redis(self) -> None:
        """Its supervisor starts it again; returns when it answers."""
        server = self.redis.server
        assert server

        def answers() -> bool:
            server.tend()
            with Redis.from_url(self.redis.url) as client, contextlib.suppress(RedisError):
                return bool(client.ping())
            return False

        wait_until(answers, deadline_s=30, what="Redis answers again")

    @contextlib.contextmanager
    def disaster(
        self, what: str, *, way: Way | None = None, scan: bool = False, put_aside: bool = False
    ) -> Iterator[None]:
        """People edit all the while. With *scan*, events may get lost, and a scan of the CRM finds what they told.
        With *put_aside*, some may be kept as rejects.
        """
        with (
            self.judged(what, scan=scan, put_aside=put_aside) as ended,
            self._editing(way or self.stack.add) as goes_on,
        ):
            goes_on(round(_AROUND_S / self.every_s))
            yield
            ended()
            goes_on(round(_AROUND_S / self.every_s))

    @contextlib.contextmanager
    def judged(self, what: str, *, scan: bool = False, put_aside: bool = False) -> Iterator[Callable[[], None]]:
        """The same while nobody edits by himself. Who calls what it gives says that the disaster is over."""
        for remote in self.stack.simulators.values():
            remote.forget_calls()
        before, rejects, moments = self.edits, self._rejects(), list[float]()
        yield lambda: moments.append(time.monotonic())
        over = moments[0] if moments else time.monotonic()
        drift = self._scan() if scan else None
        wait_until(self._settled, deadline_s=60, what=f"{what}: every copy is as wanted", told=self.told)
        tell = f"{what}: {self.edits - before} edits, recovered {time.monotonic() - over:.1f} s after it"
        print(tell if drift is None else f"{tell}, {drift} found by a scan")  # noqa: T201 - shown with -s
        self._judge()
        assert put_aside or self._rejects() == rejects

    def told(self) -> object:
        """For a failure: what is wrong, what Redis holds of ours, and, on standard error, what each process does."""
        wrong = {kind: sum(map(str.__ne__, shown, self.names)) for kind, shown in self.stack.names().items()}
        found = {"wrong": wrong, "stack": self.stack.told(), "redis": _held(self.stack.redis)}
        return {**found, "processes": [_traced(process.pid) for process in self.stack.processes]}

    def wait_taken_in(self) -> None:
        """Until every event that is in the stream by now is acknowledged; people go on meanwhile."""
        newest: Any = self.stack.redis.xrevrange("leadsync:events", count=1)
        wait_until(lambda: self._acknowledged(newest[0][0]), deadline_s=60, what="events are taken in", told=self.told)

    def open_writes(self) -> int:
        """Writes that were begun and whose outcome nobody wrote down, or knows."""
        rows = self._rows(select(col(CopyRow.intent), col(CopyRow.abandoned)))
        return sum(intent is not None or abandoned is not None for intent, abandoned in rows)

    @contextlib.contextmanager
    def _editing(self, way: Way) -> Iterator[Callable[[int], None]]:
        """People rename lists in the block; the function waits for so many edits more."""
        enough, failed = threading.Event(), list[BaseException]()

        def edit() -> None:
            try:
                while not enough.wait(self.every_s):
                    self._edit(way)
            except BaseException as error:  # noqa: BLE001 - told by whoever waits for us
                failed.append(error)

        def goes_on(edits: int) -> None:
            wanted = self.edits + edits
            wait_until(lambda: failed or self.edits >= wanted, deadline_s=60, what="people can edit", told=self.told)
            assert not failed, failed

        thread = threading.Thread(target=edit, name="people")
        thread.start()
        try:
            yield goes_on
        finally:
            enough.set()
            thread.join()
        assert not failed, failed

    def _edit(self, way: Way) -> None:
        until_taken(partial(way, self.rename(self.chance.randrange(LISTS))))

    def rename(self, n: int) -> bytes:
        """A person renames list `n` in the CRM; the event that tells of it."""
        name = f"Name {self.edits}"
        self.stack.simulators["crm"].edit(self.stack.ids["crm"][n], name=name)
        self.names[n] = name
        self.edits += 1
        return self.stack.event(n, {"fields": {"name": name}})

    def shows(self, n: int) -> bool:
        """Every remote shows what people called list `n` last."""
        return all(shown[n] == self.names[n] for shown in self.stack.names().values())

    def _scan(self) -> int:
        """How many lists a scan of the CRM found that no event had told of."""
        wait_until(self._all_taken, deadline_s=60, what="all events are taken in", told=self.told)
        _, certificate = self.stack.scan("crm")
        assert certificate["state"] == "complete", certificate
        return int(certificate["drift"])

    def _all_taken(self) -> bool:
        time.sleep(0.05)  # looks shall not cost more than what is looked at
        with contextlib.suppress(ResponseError):  # emptied: the stream and its group are not there yet
            groups = self.stack.redis.exists("leadsync:events") and self.stack.redis.xinfo_groups("leadsync:events")
            return bool(groups) and self.stack.unfinished() == 0
        return False

    def _acknowledged(self, entry_id: bytes) -> bool:
        [group] = self.stack.redis.xinfo_groups("leadsync:events")
        oldest: Any = self.stack.redis.xpending("leadsync:events", group["name"])["min"]
        return _moment(group["last-delivered-id"]) >= _moment(entry_id) and (
            oldest is None or _moment(oldest) > _moment(entry_id)
        )

    def _settled(self) -> bool:
        return self._all_taken() and self._all_shown() and self._in_sync()

    def _all_shown(self) -> bool:
        return all(shown == self.names for shown in self.stack.names().values())

    def _in_sync(self) -> bool:
        time.sleep(0.05)
        standings = self._rows(select(col(CopyRow.standing)))  # `leadsync status` says the same, a second later
        return standings == [(Standing.IN_SYNC,)] * LISTS * len(self.stack.simulators)

    def _judge(self) -> None:
        """Nothing overlapped, nothing was written twice, nothing came back."""
        found = {kind: self._seen(remote.summary()) for kind, remote in self.stack.simulators.items()}
        assert found == {kind: {"overlaps": 0, "idle": 0} for kind in found}, found
        assert {kind: len(remote.state()) for kind, remote in self.stack.simulators.items()} == dict.fromkeys(
            self.stack.simulators, LISTS
        )
        assert not [call for call in self.stack.simulators["crm"].calls() if call["method"] != "GET"]
        changes = self._rows(
            select(col(ChangeRow.kind), col(ChangeRow.list_id), col(ChangeRow.field), col(ChangeRow.new)).where(
                col(ChangeRow.id) > self.linked
            )
        )
        assert not [change for change in changes if change[0] in _NEVER]
        wanted = Counter(change[1:] for change in changes if change[0] == ChangeKind.WANTED)
        again = [change for change, times in wanted.items() if times > 1]
        assert not again, f"wanted, left, and wanted again: {again}"
        at_work = [mark.name for mark in marks.read(self.stack.redis, marks.Role.WORKER)]
        assert all("@" in name for name in at_work), at_work

    def _rejects(self) -> list[tuple[Any, ...]]:
        return self._rows(select(col(RejectRow.reason), col(RejectRow.event)).order_by(col(RejectRow.id)))

    def _rows(self, asked: Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        engine = open_database(self.stack.database_url)
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(asked)]
        finally:
            engine.dispose()

    @staticmethod
    def _seen(summary: Mapping[str, int]) -> dict[str, int]:
        return {"overlaps": summary["overlaps"], "idle": summary["patches_that_changed_nothing"]}


def _moment(entry_id: bytes) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split(b"-")))


def _held(redis: Redis) -> dict[str, object]:
    """Messages of Celery by number, turns and rings by the milliseconds that are left of them; and who is connected."""
    counts: dict[bytes, Callable[[bytes], Any]] = {b"list": redis.llen, b"hash": redis.hlen, b"zset": redis.zcard}
    held: dict[str, object] = {"clients": len(redis.client_list())}
    for key in redis.scan_iter(match="leadsync:*", count=1000):
        kind: Any = redis.type(key)
        held[key.decode()] = counts.get(kind, redis.pttl)(key)
    return held


def _traced(pid: int) -> dict[int, str]:
    """The processes below it. Workers say on standard error where each thread stands, end, and are started again."""
    tree = {each: _command(each) for each in (pid, *descendants(pid))}
    for each, command in tree.items():
        if "celery" in command and "beat" not in command:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGABRT)  # PYTHONFAULTHANDLER makes it a traceback
    return tree


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return "ended"


def until_taken(give: Callable[[], object]) -> None:
    """As senders do: again and again until somebody has it."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            give()
        except (RedisError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for it and all its children."""
    kill_tree(process.pid)
    process.wait()


def drain(process: subprocess.Popen[bytes]) -> float:
    """SIGTERM; the seconds it took to end well. One that has hardly begun would be killed by it."""
    wait_until(lambda: catches(process.pid, signal.SIGTERM), deadline_s=30, what="it can be asked to end")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0
    return time.monotonic() - began


@contextlib.contextmanager
def running_outfit(folder: Path, database_url: str, **settings: str) -> Iterator[Outfit]:
    """Servers and simulators; call `begin`."""
    with (
        embedded_redis(folder / "redis") as redis,
        running_stack(folder / "data", redis.url, database_url, settings={**SETTINGS, **settings}) as stack,
    ):
        yield Outfit(stack, redis, Random(20261123))


def trouble_lasts(seconds: float) -> None:
    """How long something hangs or is there twice: a part of the disaster, nothing is waited for."""
    time.sleep(seconds)
