"""GET /live over the real server: tells that something changed, holds nothing meanwhile, and ends with the server."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stores import attempt
from tests.support.waiting import wait_until
from tests.support.web import Browser, serving
from worker.settings import Settings
from worker.store.database import open_database, upgrade
from worker.wiring import Runtime


@pytest.fixture
def runtime(sqlite_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """No remotes and no password; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    upgrade(open_database(sqlite_url))
    return Runtime(Settings.model_validate({"database": {"url": sqlite_url}}), redis_url)


class Listener:
    """Reads what is told, in a thread."""

    def __init__(self, port: int) -> None:
        self.events = list[tuple[str, float]]()
        self.ended = False
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", "/live")
        self._answer = self._connection.getresponse()
        assert "text/event-stream; charset=utf-8" == self._answer.getheader("content-type")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        wait_until(lambda: self.told("hello"), what="the stream has begun")

    def told(self, event: str) -> list[float]:
        """When it was told."""
        return [at for what, at in self.events if what == event]

    def leave(self) -> None:
        """Wait for the end, then hang up."""
        self._thread.join()
        self._connection.close()

    def _read(self) -> None:
        with contextlib.suppress(http.client.HTTPException, OSError):
            for line in self._answer:
                if line.startswith(b"event: "):
                    self.events.append((line[7:].strip().decode(), time.monotonic()))
        self.ended = True


@pytest.fixture
def listeners(runtime: Runtime) -> Iterator[list[Listener]]:
    """Three who listen to a server, which ends although they stay."""
    with serving(runtime) as port:
        three = [Listener(port) for _ in range(3)]
        yield three
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    for one in three:
        one.leave()
        assert one.ended


def test_all_who_listen_are_told_at_most_once_a_second(runtime: Runtime, listeners: list[Listener]) -> None:
    """However much is written."""
    before = time.monotonic()
    while time.monotonic() - before < 3:
        runtime.store.run_now(lambda tx: tx.attempted([attempt(1)]))
        time.sleep(0.01)  # about a hundred writes a second, for three seconds; nothing waits for luck
    wait_until(lambda: all(one.told("changed") for one in listeners), what="all are told")

    for one in listeners:
        times = one.told("changed")
        assert 1 <= len(times) <= 4
        assert all(later - earlier > 0.9 for earlier, later in itertools.pairwise(times))


def test_who_listens_holds_no_thread(listeners: list[Listener]) -> None:
    """Twenty more of them need no more threads of the server, and others are answered as fast."""
    port = listeners[0]._connection.port
    before = threading.active_count()
    more = [Listener(port) for _ in range(20)]

    assert threading.active_count() - before <= len(more) + 1  # each listener of ours reads in one
    assert 200 == Browser(port).get("/audit").status
    listeners += more
