"""What tests on servers share: every store, a database with the newest schema, and the command told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.commands import Command, Leadsync, remote_env
from tests.support.stores import RunsNow, opened
from worker.store.database import open_database, upgrade
from worker.store.memory import MemoryStore
from worker.store.sql import SqlStore


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def every_store(request: pytest.FixtureRequest) -> Iterator[RunsNow]:
    """The in-memory twin, SQLite and PostgreSQL: whatever one of them does the others do too."""
    if request.param == "memory":
        yield MemoryStore(lambda: datetime.now(UTC))
    else:
        with opened(request.getfixturevalue(f"{request.param}_url")) as store:
            yield store


@pytest.fixture
def schema(database_url: str) -> str:
    """A database with the newest schema: its address."""
    engine = open_database(database_url)
    upgrade(engine)
    engine.dispose()
    return database_url


@pytest.fixture
def store(schema: str) -> Iterator[SqlStore]:
    """What the command's database holds."""
    with closing(SqlStore(open_database(schema))) as store:
        yield store


@pytest.fixture
def command(
    schema: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Makes the command, in a folder of its own, with remotes that are never called and with more variables."""

    def make(*remotes: str, **more: str) -> Leadsync:
        env = {"LEADSYNC_DATABASE__URL": schema, "LEADSYNC_REDIS__URL": redis_url, "LEADSYNC_DATA_DIR": str(tmp_path)}
        for name in remotes:
            env |= remote_env(name, name)
        monkeypatch.chdir(tmp_path)
        for name, value in (env | more).items():
            monkeypatch.setenv(name, value)
        return Leadsync(monkeypatch, capfd)

    return make
