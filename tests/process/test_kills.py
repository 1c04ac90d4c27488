"""One machine, SQLite and a Redis of its own: each part is killed, emptied or held up while people edit.

What `tests.support.outfit` judges after each: all sides show the last edits, nothing was doubled, no writes overlapped.
`KILL_TEST_ROUNDS=20` does each that often; `-s` shows the times to recover.
"""

from __future__ import annotations

import http.client
import os
import signal
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tests.support.outfit import ROUNDS, Outfit, drain, kill, running_outfit, trouble_lasts
from tests.support.ports import free_port
from tests.support.process import paused
from tests.support.waiting import wait_until
from tests.support.webhooks import SECRET, signed


@pytest.fixture(params=range(ROUNDS), autouse=True)
def _round() -> None:
    """Every test that often."""


@pytest.fixture(scope="module")
def web_port() -> int:
    """A port that the web process gets back after each restart."""
    return free_port()


@pytest.fixture(scope="module")
def outfit(tmp_path_factory: pytest.TempPathFactory, web_port: int) -> Iterator[Outfit]:
    """All lists are linked; worker and beat run."""
    folder = tmp_path_factory.mktemp("kills")
    settings = {"LEADSYNC_WEB__PORT": str(web_port), "LEADSYNC_REMOTES__CRM__WEBHOOK_SECRET": SECRET}
    with running_outfit(folder, f"sqlite:///{folder / 'leadsync.db'}", **settings) as outfit:
        outfit.begin()
        yield outfit


def test_killed_doorbell(outfit: Outfit) -> None:
    """The tick finds what nobody rings for, and another doorbell comes."""
    with outfit.disaster("doorbell killed"):
        first = outfit.child("worker.doorbell")
        os.kill(first, signal.SIGKILL)

    wait_until(
        lambda: outfit.child("worker.doorbell") not in (0, first), what="another doorbell runs", told=outfit.told
    )


def test_killed_worker(outfit: Outfit) -> None:
    """Supervisor, Celery, its children and doorbell at once, then another worker."""
    with outfit.disaster("worker killed"):
        kill(outfit.worker)
        outfit.worker = outfit.stack.start("worker", "--concurrency", "2")


def test_killed_web_takes_each_webhook_once(outfit: Outfit, web_port: int) -> None:
    """Who gets no 2xx repeats the webhook: none is lost, and none is in the stream twice."""
    told = list[str]()

    def send(event: bytes) -> None:
        told.append(_send(web_port, event))

    web = outfit.stack.start("web")
    with outfit.disaster("web killed", way=send):
        kill(web)
        web = outfit.stack.start("web")
    drain(web)

    entries: Any = outfit.stack.redis.xrange("leadsync:events")
    in_stream = [orjson.loads(fields[b"event"])["id"] for _, fields in entries]
    assert set(told) <= set(in_stream)
    assert len(in_stream) == len(set(in_stream))


def _send(port: int, event: bytes) -> str:
    """One signed webhook, under the event's id; raises `OSError` unless it is taken."""
    event_id: str = orjson.loads(event)["id"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/webhooks/crm", event, signed(event, id=event_id))
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()
    if status not in (200, 202):
        raise ConnectionError(f"status {status}")
    return event_id


def test_killed_redis(outfit: Outfit) -> None:
    """It comes back with its append-only file, and nobody stays deaf."""
    with outfit.disaster("Redis killed", scan=True):
        outfit.restart_redis()


def test_emptied_redis(outfit: Outfit) -> None:
    """Events, messages, budgets and turns are gone; a scan finds what events had told."""
    with outfit.disaster("Redis emptied", scan=True):
        outfit.stack.redis.flushall()


def test_paused_redis(outfit: Outfit) -> None:
    """It hangs for longer than the patience of clients, and goes on."""
    pid = outfit.redis.pid
    assert pid
    with outfit.disaster("Redis paused"), paused(pid):
        trouble_lasts(3)


def test_a_second_beat(outfit: Outfit) -> None:
    """Two beats ring for the same, which is harmless."""
    second = outfit.stack.start("beat")
    with outfit.disaster("a second beat"):
        trouble_lasts(2)
    drain(second)


def test_sigterm_under_load_drains(outfit: Outfit) -> None:
    """What is in flight is finished, nothing new is begun, status 0; the next worker does the rest."""
    for remote in outfit.stack.simulators.values():
        remote.switch(latency_s=0.5)
    with outfit.disaster("SIGTERM"):
        wait_until(lambda: _in_flight(outfit) > 4, deadline_s=30, what="many writes are in flight", told=outfit.told)
        took_s = drain(outfit.worker)
        left = _in_flight(outfit), outfit.open_writes()
        for remote in outfit.stack.simulators.values():
            remote.switch(latency_s=0)
        outfit.worker = outfit.stack.start("worker", "--concurrency", "2")
    print(f"drained in {took_s:.1f} s")  # noqa: T201 - shown with -s

    assert left == (0, 0)
    assert took_s < 25


def _in_flight(outfit: Outfit) -> int:
    return sum(remote.summary()["in_flight"] for remote in outfit.stack.simulators.values())
