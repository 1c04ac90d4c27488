"""Disks and memory that are full: people are told what to do, and everything goes on by itself when there is room.

What `tests.support.outfit` judges after each: all sides show the last edits, nothing was doubled, no writes overlapped.
No scan makes up for anything here, so an event that was acknowledged without its effect would be missed for good.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
import pytest
from psycopg import sql

from tests.support.disks import SmallDisk, small_disk
from tests.support.outfit import Outfit, running_outfit
from tests.support.ports import free_port, ready
from tests.support.postgres import Postgres, running_postgres
from tests.support.stack import LEADSYNC
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Outfit, SmallDisk, SmallDisk]]:
    """SQLite and Redis, each on a small disk; all processes run."""
    folder = tmp_path_factory.mktemp("full")
    with small_disk(24) as of_database, small_disk(16) as of_redis:
        (folder / "redis").symlink_to(of_redis.folder)
        url = f"sqlite:///{of_database.folder / 'leadsync.db'}"
        with running_outfit(folder, url, LEADSYNC_WEB__PORT=str(free_port())) as outfit:
            _begin(outfit)
            yield outfit, of_database, of_redis


def test_sqlite_has_no_room(embedded: tuple[Outfit, SmallDisk, SmallDisk]) -> None:
    """Events stay in the stream, and nothing is sent whose outcome could not be written down."""
    outfit, disk, _ = embedded
    with outfit.disaster("SQLite has no room"):
        disk.fill()
        _wait_until_events_wait(outfit)
        said = _said(outfit)
        disk.make_room()

    assert "has no room left on its disk; make room there, and leadsync goes on by itself" in said.ready["database"]
    assert {"database room"} == said.bad
    assert [("database", "make room there, and leadsync goes on by itself")] == said.trouble
    assert 200 == _ready(outfit)[0]


def test_redis_has_no_room(embedded: tuple[Outfit, SmallDisk, SmallDisk]) -> None:
    """It refuses everything, even to be pinged, and senders hear that."""
    outfit, _, disk = embedded
    with outfit.disaster("Redis has no room"):
        disk.fill()
        said = _said(outfit)
        disk.make_room()

    step = "make room there, or see its log; leadsync then goes on by itself"
    assert f"Redis cannot write to its disk; {step}" == said.ready["redis"]
    # Celery may end, and until it is started again no worker works.
    assert {"redis writes"} <= said.bad <= {"redis writes", "worker", "beat"}
    assert [("redis", step)] == said.trouble
    assert 200 == _ready(outfit)[0]


def test_redis_has_no_memory(embedded: tuple[Outfit, SmallDisk, SmallDisk]) -> None:
    """It forgets nothing (noeviction): new events are refused, and those that it has wait."""
    outfit, *_ = embedded
    with outfit.disaster("Redis has no memory"):
        outfit.stack.redis.config_set("maxmemory", 1)
        said = _said(outfit)
        outfit.stack.redis.config_set("maxmemory", 0)

    step = "raise its maxmemory; leadsync then goes on by itself"
    assert f"Redis has used up its memory; {step}" == said.ready["redis"]
    # Celery may end, and until it is started again no worker works.
    assert {"redis writes"} <= said.bad <= {"redis writes", "worker", "beat"}
    assert [("redis", step)] == said.trouble
    assert 200 == _ready(outfit)[0]


@dataclass(frozen=True, slots=True)
class Site:
    """PostgreSQL whose tables and whose log are each on a small disk."""

    outfit: Outfit
    postgres: Postgres
    tables: SmallDisk
    log: SmallDisk


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All processes run."""
    folder = tmp_path_factory.mktemp("full")
    sizes = {"synchronous_commit": "on", "min_wal_size": "32MB", "max_wal_size": "48MB"}
    with (
        small_disk(32) as tables,
        small_disk(80) as log,
        running_postgres(wal=log.folder / "wal", **sizes) as postgres,
        postgres.database("full") as url,
    ):
        (tables.folder / "tables").mkdir(mode=0o700)
        owner = postgres.data.stat()
        os.chown(tables.folder / "tables", owner.st_uid, owner.st_gid)
        postgres.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(str(tables.folder / "tables")))
        postgres.execute(sql.SQL("ALTER DATABASE {} SET TABLESPACE small").format(sql.Identifier("full")))
        try:
            with running_outfit(folder, url, LEADSYNC_WEB__PORT=str(free_port())) as outfit:
                _begin(outfit)
                yield Site(outfit, postgres, tables, log)
        finally:
            tables.make_room()
            log.make_room()
            _answers_again(postgres)


def test_postgres_has_no_room(site: Site) -> None:
    """Its tables cannot grow; it answers all the same."""
    with site.outfit.disaster("PostgreSQL has no room"):
        site.tables.fill()
        _wait_until_events_wait(site.outfit)
        said = _said(site.outfit)
        site.tables.make_room()

    assert "has no room left on its disk; make room there, and leadsync goes on by itself" in said.ready["database"]
    assert {"database room"} == said.bad
    assert [("database", "make room there, and leadsync goes on by itself")] == said.trouble
    assert 200 == _ready(site.outfit)[0]


def test_the_log_of_postgres_has_no_room(site: Site) -> None:
    """Then it ends, again and again, until somebody makes room and starts it."""
    with site.outfit.disaster("the log of PostgreSQL has no room"):
        site.log.fill()
        wait_until(lambda: _has_fallen(site.postgres), deadline_s=30, what="PostgreSQL has fallen")
        wait_until(lambda: _ready(site.outfit)[0] == 503, what="/readyz says so")
        site.log.make_room()
        _answers_again(site.postgres)

    assert 200 == _ready(site.outfit)[0]


def _has_fallen(postgres: Postgres) -> bool:
    """Each segment of its log that is ended early brings the next one nearer for which there is no room."""
    with contextlib.suppress(psycopg.OperationalError):
        postgres.execute(sql.SQL("SELECT pg_switch_wal()"))
        return False
    return True


def _answers_again(postgres: Postgres) -> None:
    """By itself, or because its supervisor starts it."""

    def answers() -> bool:
        if postgres.server.has_ended:
            postgres.server.start()
        return postgres.answers()

    wait_until(answers, deadline_s=30, what="PostgreSQL answers again")


@dataclass(frozen=True, slots=True)
class Said:
    """What people are told."""

    ready: dict[str, Any]
    #: Checks of `leadsync doctor`.
    bad: set[str]
    #: In `leadsync status`: what it is, and what to do.
    trouble: list[tuple[str, str]]


def _begin(outfit: Outfit) -> None:
    outfit.stack.start("web")
    outfit.every_s = 0.05
    outfit.begin()
    wait_until(lambda: _ready(outfit)[0] == 200, deadline_s=30, what="the web process answers")


def _ready(outfit: Outfit) -> tuple[int, dict[str, Any]]:
    return ready(int(outfit.stack.env["LEADSYNC_WEB__PORT"]))


def _wait_until_events_wait(outfit: Outfit) -> None:
    wait_until(lambda: outfit.stack.unfinished() > 40, deadline_s=60, what="events wait", told=outfit.told)


def _said(outfit: Outfit) -> Said:
    """Asked while nothing can be written. Each of the commands says by its status that a person must look."""
    wait_until(lambda: _ready(outfit)[0] == 503, what="/readyz says so")
    _, told = _ready(outfit)
    doctor, found = _json(outfit, "doctor"), _json(outfit, "status")
    bad = {check["name"] for check in doctor["checks"] if check["result"] == "bad"}
    return Said(told, bad, [(one["what"], one["next_step"]) for one in found["trouble"]])


def _json(outfit: Outfit, command: str) -> Any:
    argv = [*LEADSYNC, command, "--json"]
    done = subprocess.run(argv, env=outfit.stack.env, capture_output=True, check=False, timeout=60)
    assert 3 == done.returncode, done.stderr.decode()
    return orjson.loads(done.stdout)
