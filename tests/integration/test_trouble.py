"""What keeps leadsync from working, as `status`, `/readyz` and the doorbell tell of it: servers that take no writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import OutOfMemoryError
from sqlalchemy import text

from tests.support.desk import Desk, desk_at
from tests.support.web import Browser, serving
from worker import doorbell
from worker.embedded import EmbeddedRedis, embedded_redis
from worker.errors import Transient
from worker.redis_access import why
from worker.store import database
from worker.store.database import check_room, open_database
from worker.wiring import Runtime

FULL = ("Redis has used up its memory", "raise its maxmemory; leadsync then goes on by itself")
REPLICA = ("Redis is a replica, which takes no writes", "name the primary in redis.url")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A server of this test's own, whose settings it may change."""
    with embedded_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def desk(new_database_url: str, redis: EmbeddedRedis) -> Iterator[Desk]:
    """Two remotes, which are never called."""
    with desk_at(new_database_url, redis.url, "crm", "lance") as desk:
        yield desk


@pytest.mark.parametrize(
    ("setting", "told"),
    [(("CONFIG", "SET", "maxmemory", "1"), FULL), (("REPLICAOF", "127.0.0.1", "9"), REPLICA)],
    ids=["full", "replica"],
)
def test_a_redis_that_answers_and_takes_no_writes(desk: Desk, setting: tuple[str, ...], told: tuple[str, str]) -> None:
    """What it is and what to do, in each place; a person must look."""
    assert [] == desk.status().trouble
    desk.runtime.bells.execute_command(*setting)  # type: ignore[no-untyped-call] # redis-py has no type for it
    status = desk.status()
    with serving(_web_of(desk)) as port:
        ready = Browser(port).get("/readyz")

    assert [("redis", *told)] == [(one.what, one.says, one.next_step) for one in status.trouble]
    assert status.needs_a_person
    assert "; ".join(told) == ready.json["redis"]
    assert (503, "ok", False) == (ready.status, ready.json["database"], ready.json["ready"])


def test_a_schema_that_is_not_for_us_is_not_ready(desk: Desk) -> None:
    """One that has only grown is: a newer leadsync is being put in place."""
    engine = open_database(desk.runtime.settings.database_url)
    answers = list[tuple[int, str]]()
    with serving(_web_of(desk)) as port:
        for revision in ("0999", "1001"):
            with engine.begin() as connection:
                connection.execute(text("UPDATE alembic_version SET version_num = :one"), {"one": revision})
            ready = Browser(port).get("/readyz")
            answers.append((ready.status, ready.json["database"].partition(",")[0]))
    engine.dispose()

    assert [(200, "ok"), (503, "the database schema is 1001")] == answers


def _web_of(desk: Desk) -> Runtime:
    """A runtime for the loop of the server."""
    return Runtime(desk.runtime.settings, desk.runtime.redis_url)


def test_looking_for_room_leaves_nothing_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is touched, and there need not be any."""
    engine = open_database(database_url)
    check_room(engine)
    monkeypatch.setattr(database, "_LEAST_ROOM", 1 << 60)
    if engine.dialect.name == "sqlite":
        with pytest.raises(Transient, match="no room left on its disk; make room there"):
            check_room(engine)
    engine.dispose()


def test_what_celery_wraps_is_told_too() -> None:
    """It hands on the sentence of Redis under a name of its own."""
    wrapped = OperationalError("Command # 1 (SADD …) of pipeline caused error: command not allowed")
    wrapped.__cause__ = OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")

    assert ": ".join(FULL) == why(wrapped)
    assert "Redis cannot be reached (OperationalError): start it, then try again" == why(OperationalError("gone"))


def test_the_doorbell_outlives_what_celery_raises(redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery calls a Redis that takes no messages by a name of its own; it is waited for like one that is away."""
    heard = list[str]()

    def refuse(*_: Any) -> dict[str, str]:
        heard.append("rings")
        if len(heard) == 1:
            raise OperationalError("MISCONF Errors writing to the AOF file: No space left on device")
        raise SystemExit

    monkeypatch.setenv("LEADSYNC_REDIS__URL", redis.url)
    monkeypatch.setattr(doorbell, "ring_and_mark", refuse)
    monkeypatch.setattr(doorbell, "_PAUSE_S", 0.0)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with structlog.testing.capture_logs() as logs, contextlib.suppress(SystemExit):
        doorbell.main()

    assert ["rings", "rings"] == heard
    assert [("doorbell_waits_for_redis", True)] == [
        (one["event"], one["reason"].startswith("Redis cannot write to its disk: ")) for one in logs
    ]
