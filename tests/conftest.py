"""What every test may rely on: a clean environment, loopback only, real servers. Read by pytest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
import redis
from xdist.scheduler import LoadScopeScheduling

from tests.support.loopback import allow_loopback_only
from tests.support.postgres import Postgres, running_postgres
from worker.embedded import EmbeddedRedis, embedded_redis
from worker.store.database import open_database, upgrade

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

#: Beginnings of files whose tests share what takes long to start, and break it one after another.
SHARED = ("tests/browser/", *(f"tests/process/test_{name}" for name in ("kills", "failpoints", "disk_full")))

IN_CI = os.environ.get("CI") == "true"

# LEADSYNC_REDIS_BIN chooses the server that the tests run against; nothing else of the user's may leak in.
for name in [name for name in os.environ if name.startswith("LEADSYNC_") and name != "LEADSYNC_REDIS_BIN"]:
    del os.environ[name]

allow_loopback_only()

hypothesis.settings.register_profile("dev", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=300, print_blob=True)
hypothesis.settings.load_profile("ci" if IN_CI else "dev")


class _Together(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """Tests of a file that share a whole stack go to one process; all others to whichever is free."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0] if nodeid.startswith(SHARED) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """In place of `--dist loadgroup`, whose groups pytest 9.2 does not show to xdist 3.8."""
    return _Together(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what another version of a server may answer differently: `-m servers` is enough to try one."""
    for item in items:
        if isinstance(item, pytest.Function) and _asks_servers(item):
            item.add_marker(pytest.mark.servers)


def _asks_servers(item: pytest.Function) -> bool:
    """It asks PostgreSQL; or Redis, and is not the same test over beside another database."""
    chosen = list(item.callspec.params.values()) if hasattr(item, "callspec") else []
    if "sqlite" in chosen or "memory" in chosen:
        return False
    return "postgres" in chosen or not {"redis_server", "postgres_server"}.isdisjoint(item.fixturenames)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI everything that the tests need is there: a test that skips itself has failed."""
    report = yield
    return _not_skipped(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for files that skip themselves as a whole."""
    report = yield
    return _not_skipped(report)


def _not_skipped(report: Report) -> Report:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A real server on a unix socket, one per test process."""
    with embedded_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def empty_redis(redis_server: EmbeddedRedis) -> EmbeddedRedis:
    """That server, emptied for this test."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server


@pytest.fixture
def redis_url(empty_redis: EmbeddedRedis) -> str:
    """The emptied server's address for redis-py."""
    return empty_redis.url


@pytest.fixture
def broker_url(empty_redis: EmbeddedRedis) -> str:
    """The same server's address for Celery."""
    return empty_redis.broker_url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A real PostgreSQL, one per test process."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def _postgres_tables(postgres_server: Postgres) -> Iterator[str]:
    """One database for the tests of a process, with the newest schema."""
    with postgres_server.database("leadsync") as url:
        _make_tables(url)
        yield url


@pytest.fixture
def postgres_url(postgres_server: Postgres, _postgres_tables: str) -> str:
    """PostgreSQL with the newest schema and no rows."""
    postgres_server.empty("leadsync")
    return _postgres_tables


@pytest.fixture
def new_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """A PostgreSQL database without tables."""
    with postgres_server.database("new") as url:
        yield url


@pytest.fixture(scope="session")
def _sqlite_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the newest schema, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "leadsync.db"
    _make_tables(f"sqlite:///{file}")
    return file


@pytest.fixture
def sqlite_url(tmp_path: Path, _sqlite_tables: Path) -> str:
    """SQLite with the newest schema and no rows."""
    return f"sqlite:///{shutil.copy(_sqlite_tables, tmp_path)}"


@pytest.fixture
def new_sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'new.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The newest schema without rows; the test runs once on SQLite and once on PostgreSQL."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(params=["sqlite", "postgres"])
def new_database_url(request: pytest.FixtureRequest) -> str:
    """Without tables, on both."""
    url: str = request.getfixturevalue(f"new_{request.param}_url")
    return url


def _make_tables(url: str) -> None:
    engine = open_database(url)
    upgrade(engine)
    engine.dispose()  # the last one that leaves a SQLite file takes its log into it
