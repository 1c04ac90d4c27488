"""How Redis is reached: whatever the path of a socket looks like, redis-py and Celery find the same server."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from kombu import Connection

from worker.embedded import EmbeddedRedis, embedded_redis
from worker.errors import UsageError
from worker.redis_access import broker_url, client, needed, socket_url

ODD = ["a b", "100%", "50%20", "semi;colon", "hash#mark", "what?", "ünï", "plus+and&", "at@home:1"]


def celery_s_client(broker: Connection) -> Any:
    """What Celery's transport made of the address."""
    return broker.default_channel.client  # type: ignore[attr-defined]  # celery-types knows no Redis channel


@pytest.mark.parametrize("folder", ODD)
def test_any_path_leads_both_to_the_same_server(redis_server: EmbeddedRedis, folder: str) -> None:
    """A message that Celery's client puts into database 0 is there for redis-py, through a socket in an odd folder."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # the kernel's limit is about 100 bytes
        socket = Path(short, folder, "redis.sock")
        socket.parent.mkdir()
        socket.symlink_to(redis_server.socket)
        url = socket_url(str(socket))
        with Connection(broker_url(url)) as broker, broker.SimpleQueue("odd") as queue:
            queue.put("a message")
            with client(url) as redis:
                assert 1 == redis.llen("odd")
            taken = queue.get(timeout=5)
            taken.ack()
            assert "a message" == taken.payload


@pytest.mark.parametrize("path", ["/tmp/{}/a b/redis.sock", "/tmp/{}/a%20b/redis.sock"])
def test_a_path_may_be_encoded_or_not(redis_server: EmbeddedRedis, path: str) -> None:
    """As people write it into settings; and the database number goes with it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        folder = Path(short, "a b")
        folder.mkdir()
        (folder / "redis.sock").symlink_to(redis_server.socket)
        url = f"unix://{path.format(Path(short).name)}?db=3"
        with Connection(broker_url(url)) as broker, broker.SimpleQueue("third") as queue, client(url) as redis:
            queue.put("a message")
            assert 1 == redis.llen("third")
            redis.delete("third")


def test_user_and_password_of_a_socket_reach_celery(redis_server: EmbeddedRedis) -> None:
    """A server behind a socket may ask for them too."""
    with client(redis_server.url) as redis:
        redis.acl_setuser("ann", enabled=True, passwords=["+p@ss/word"], keys=["*"], commands=["+@all"])
        try:
            url = redis_server.url.replace("unix://", f"unix://ann:{quote('p@ss/word', safe='')}@")
            with Connection(broker_url(url)) as broker:
                assert "ann" == celery_s_client(broker).acl_whoami()
        finally:
            redis.acl_deluser("ann")


@pytest.mark.parametrize("url", ["redis://127.0.0.1:6379/1", "rediss://:secret@redis.internal:6380/0"])
def test_addresses_in_a_network_stay_as_they_are(url: str) -> None:
    """Celery spells them alike."""
    assert url == broker_url(url)


def test_without_an_address_the_sentence_says_what_to_do() -> None:
    """A process that starts no server needs one."""
    with pytest.raises(UsageError, match=r"no redis.url: set it"):
        needed(None)


def test_the_embedded_server_may_live_in_an_odd_folder(tmp_path: Path) -> None:
    """Its own addresses are encoded alike."""
    with embedded_redis(tmp_path / "100% a b;c") as server, client(server.url) as redis:
        assert redis.ping()
        with Connection(server.broker_url) as broker:
            assert celery_s_client(broker).ping()


def test_up_says_at_once_that_redis_cannot_be_reached(tmp_path: Path) -> None:
    """One sentence and exit status 1, instead of processes that try for ever."""
    environment = {**os.environ, "LEADSYNC_DATA_DIR": str(tmp_path), "LEADSYNC_REDIS__URL": "redis://127.0.0.1:1/0"}
    argv = [sys.executable, "-m", "worker.cli", "up"]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith(
        "leadsync: redis.url: Redis at 127.0.0.1:1 cannot be used (ConnectionError); start it"
    )
    assert done.stderr.count("\n") == 1
