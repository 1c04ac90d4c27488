"""Small servers as real processes: what they hold in memory, and how they end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import descendants
from tests.support.stack import LEADSYNC
from tests.support.waiting import wait_until
from worker.processes import Child, running
from worker.store.database import open_database, upgrade

#: What only those need that call remotes or the database.
HEAVY = {"sqlalchemy", "sqlmodel", "alembic", "aiohttp", "httpx", "fastapi", "uvicorn", "psycopg"}

CLOSURE = "import importlib, sys; importlib.import_module(sys.argv[1]); print(*sys.modules)"


@pytest.mark.parametrize("module", ["worker.doorbell", "worker.beat", "worker.celery_app", "worker.cli.main"])
def test_what_runs_for_months_beside_the_workers_stays_small(module: str) -> None:
    """Doorbell, beat and the supervisors hold no database, no HTTP client and no web server."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEADSYNC_")}
    done = subprocess.run(
        [sys.executable, "-c", CLOSURE, module], env=clean, capture_output=True, text=True, check=True, timeout=60
    )

    assert module in done.stdout.split()
    assert set() == HEAVY & set(done.stdout.split())


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_supervisor_does_not_hold_what_its_checks_needed(redis_url: str, sqlite_url: str, tmp_path: Path) -> None:
    """When `worker` has looked at the database, the same process starts anew without it."""
    upgrade(open_database(sqlite_url))
    env = {"LEADSYNC_DATA_DIR": str(tmp_path), "LEADSYNC_REDIS__URL": redis_url, "LEADSYNC_DATABASE__URL": sqlite_url}
    with running([Child(name="worker", argv=[*LEADSYNC, "worker", "--concurrency", "1"], env=env)]) as [kept]:
        wait_until(lambda: descendants(kept.pid or 0), deadline_s=30, what="it has children")
        mapped = Path(f"/proc/{kept.pid}/maps").read_text()

    assert "/python" in mapped
    assert "/sqlalchemy/" not in mapped
    assert "/aiohttp/" not in mapped
    assert 0 == kept.status()


@contextlib.contextmanager
def started(*command: str, redis_url: str, database_url: str) -> Iterator[subprocess.Popen[str]]:
    """One server on a free port."""
    env = {"LEADSYNC_REDIS__URL": redis_url, "LEADSYNC_DATABASE__URL": database_url, "LEADSYNC_WEB__PORT": "0"}
    argv = [*LEADSYNC, *command]
    with subprocess.Popen(argv, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.kill()


def says(server: subprocess.Popen[str]) -> str:
    """Its next line."""
    assert server.stderr
    return server.stderr.readline()


def answers(url: str) -> bool:
    """True when a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize(
    ("command", "path"),
    [(("web",), "/healthz"), (("simulator", "crm"), "/_sim/state")],
    ids=["web", "simulator"],
)
def test_sigterm_is_an_ordinary_end(command: tuple[str, ...], path: str, redis_url: str, sqlite_url: str) -> None:
    """Exit status 0 after the drain, and nothing is said about it."""
    with started(*command, redis_url=redis_url, database_url=sqlite_url) as server:
        url = says(server).rpartition(" ")[2].strip()
        wait_until(lambda: answers(f"{url}{path}"), what="it answers")
        server.send_signal(signal.SIGTERM)

        assert (0, "") == (server.wait(20), says(server))


@pytest.mark.parametrize("command", [("web",), ("simulator", "crm")], ids=["web", "simulator"])
def test_sigterm_during_the_start_is_an_end_too(command: tuple[str, ...], redis_url: str, sqlite_url: str) -> None:
    """Who is told to end before the first request does not wait to be killed."""
    with started(*command, redis_url=redis_url, database_url=sqlite_url) as server:
        says(server)  # the port is bound; uvicorn has hardly begun
        server.send_signal(signal.SIGTERM)

        assert 0 == server.wait(20)
