"""A whole leadsync with simulated remotes, as real processes: for tests that publish, kill and compare."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from redis import Redis

from tests.support.ports import free_port, is_well
from tests.support.waiting import wait_until
from worker.partitions import MOST, partition_key, partition_of
from worker.simulators.running import RunningSimulator, running_all

#: Short, so that what a killed worker left is taken up within a test.
TIMEOUT_S = 2.0
LEADSYNC = (sys.executable, "-m", "worker.cli")


@dataclass
class Stack:
    """Three simulators, a Redis, a database, and as many leadsync processes as a test starts."""

    simulators: Mapping[str, RunningSimulator]
    env: dict[str, str]
    redis: Redis
    data_dir: Path
    #: Ids of the same lists on each remote, in the same order.
    ids: dict[str, list[str]] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    #: What its processes are started by.
    leadsync: tuple[str, ...] = LEADSYNC
    _sequence: int = 0

    @property
    def database_url(self) -> str:
        """Where the processes keep everything."""
        return self.env["LEADSYNC_DATABASE__URL"]

    def seed(self, count: int) -> None:
        """`count` equal lists on every remote, not linked yet."""
        lists = [{"name": f"List {n}", "kind": "person"} for n in range(count)]
        self.ids = {kind: remote.seed(lists) for kind, remote in self.simulators.items()}

    def link_all(self) -> None:
        """One event a list that ties its copies together."""
        for n in range(len(self.ids["crm"])):
            links = {kind: ids[n] for kind, ids in self.ids.items() if kind != "crm"}
            self.publish(n, {"fields": {"name": f"List {n}"}, "links": links})

    def publish(self, n: int, data: dict[str, Any]) -> None:
        """A bare XADD, as any other program would do it: list `n` changed in the CRM."""
        self.add(self.event(n, data))

    def add(self, event: bytes) -> None:
        """A bare XADD of that event, into the partition of its list."""
        partitions = int(self.env.get("LEADSYNC_EVENTS__PARTITIONS", "1"))
        self.redis.xadd(partition_key("leadsync:events", partition_of(event, partitions)), {"event": event})

    def event(self, n: int, data: dict[str, Any]) -> bytes:
        """The next event of the CRM: list `n` changed there."""
        self._sequence += 1
        event = {
            "specversion": "1.0",
            "id": f"event-{self._sequence}",
            "source": "crm",
            "type": "leadlist.changed",
            "subject": self.ids["crm"][n],
            "time": datetime.now(UTC).isoformat(),
            "sequence": str(self._sequence),
            "data": data,
        }
        return orjson.dumps(event)

    def rename(self, n: int, name: str) -> None:
        """A person renames list `n` in the CRM, which says so."""
        self.simulators["crm"].edit(self.ids["crm"][n], name=name)
        self.publish(n, {"fields": {"name": name}})

    def names(self) -> dict[str, list[str]]:
        """The names of all lists on each remote, in the order of `ids`."""
        shown = {}
        for kind, remote in self.simulators.items():
            by_id = {one["id"]: one["name"] for one in remote.state()}
            shown[kind] = [by_id[i] for i in self.ids[kind]]
        return shown

    def all_equal(self) -> bool:
        """Every remote shows the same names."""
        crm, *others = self.names().values()
        return all(other == crm for other in others)

    def unfinished(self) -> int:
        """Entries of the stream that were taken and not acknowledged, or not taken at all."""
        keys = [partition_key("leadsync:events", number) for number in range(MOST)]
        groups = [group for key in keys if self.redis.exists(key) for group in self.redis.xinfo_groups(key)]
        return sum(group["pending"] + (group["lag"] or 0) for group in groups)

    def start(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        """One leadsync process, in its own process group."""
        process = subprocess.Popen([*self.leadsync, *command], env={**self.env, **env}, process_group=0)
        self.processes.append(process)
        return process

    def status(self) -> dict[str, Any]:
        """What `leadsync status --json` says."""
        done = subprocess.run(
            [*LEADSYNC, "status", "--json"], env=self.env, capture_output=True, check=False, timeout=60
        )
        document: dict[str, Any] = orjson.loads(done.stdout)
        return document

    def told(self) -> object:
        """For a failure: where everything stands."""
        names = self.names()
        crm, differing = names["crm"], [kind for kind in names if names[kind] != names["crm"]]
        return {"status": self.status(), "unfinished": self.unfinished(), "lists": len(crm), "differing": differing}

    def scan(self, remote: str) -> tuple[int, dict[str, Any]]:
        """What `leadsync scan REMOTE --wait --json` says, and its exit status."""
        done = subprocess.run(
            [*LEADSYNC, "scan", remote, "--wait", "--json"], env=self.env, capture_output=True, check=False, timeout=90
        )
        assert done.stdout, done.stderr.decode()
        return done.returncode, orjson.loads(done.stdout)

    def wait_scanned(self) -> None:
        """Until each remote was scanned completely."""
        wait_until(self._scanned, deadline_s=60, what="every remote is scanned", told=self.told)

    def _scanned(self) -> bool:
        return all(one["last_complete_scan"] for one in self.status()["remotes"].values())

    def start_all(self) -> int:
        """One worker, beat and web, until all lists are linked and each remote was scanned; the port of the web."""
        port = free_port()
        self.start("worker", "--concurrency", "1")
        self.start("beat")
        self.start("web", LEADSYNC_WEB__PORT=str(port))
        wait_until(lambda: is_well(port), deadline_s=30, what="the web process answers")
        self.link_all()
        self.wait_linked()
        self.wait_scanned()
        return port

    def wait_linked(self) -> None:
        """Until all copies are tied together, and each was read once: by itself, or by the first scan."""
        wait_until(self._linked, deadline_s=60, what="every linked copy is read", told=self.told)

    def _linked(self) -> bool:
        now, lists = self.status(), len(self.ids["crm"])
        all_in_sync = now["copies"]["in_sync"] == now["copies"]["total"] == lists * len(self.simulators)
        return bool(now["lists"] == lists and all_in_sync)


@contextlib.contextmanager
def running_stack(
    data_dir: Path,
    redis_url: str,
    database_url: str,
    *,
    switches: Mapping[str, Mapping[str, Any]] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Simulators and a migrated database; leadsync's processes are started by the test and end with the block."""
    with running_all(switches=switches) as simulators, Redis.from_url(redis_url) as redis:
        env = {
            **os.environ,
            "LEADSYNC_DATA_DIR": str(data_dir),
            "LEADSYNC_REDIS__URL": redis_url,
            "LEADSYNC_DATABASE__URL": database_url,
            "LEADSYNC_WEB__PORT": "0",
            "LEADSYNC_SYNC__LATE_WRITE_S": "4",
            "LEADSYNC_EVENTS__TAKEOVER_S": "5",
            **_remotes(simulators),
            **(settings or {}),
        }
        subprocess.run([*LEADSYNC, "db", "upgrade"], env=env, check=True, capture_output=True)
        stack = Stack(simulators, env, redis, data_dir)
        try:
            yield stack
        finally:
            end(stack.processes)


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask, wait, kill."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _remotes(simulators: Mapping[str, RunningSimulator]) -> dict[str, str]:
    env: dict[str, str] = {}
    for kind, remote in simulators.items():
        mine = {
            "KIND": kind,
            "BASE_URL": remote.base_url,
            "TOKEN": "sim-token",
            "TIMEOUT_S": str(TIMEOUT_S),
            "REQUESTS_PER_SECOND": "1000",
            "REQUESTS_PER_MINUTE": "60000",
        }
        env |= {f"LEADSYNC_REMOTES__{kind.upper()}__{name}": value for name, value in mine.items()}
    return env
