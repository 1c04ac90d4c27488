"""Webhooks: 500 signed events a second into one web process, beside a server that only says 200. Run by hand.

    ./run bench webhooks [--small] [--json]

Held fixed: the machine, one `leadsync web` process, embedded Redis, and a sender of its own process with 64 connections
kept open. Requests start on a fixed timetable, 500 a second for 10 s, whether or not earlier ones are answered; each is
measured from its place in the timetable, so waiting counts. Bodies are CloudEvents of about 330 bytes, each with an id,
a signature and a list of its own. Nothing reads the stream meanwhile.

- leadsync: signature, reading, and one step in Redis that checks for a repeat and adds the event. Every answer is 202.
- baseline: uvicorn, run the same way, with an app that reads the body and answers 200.

Both take turns, each twice. Times are of each one's better turn, errors of both; an error is any other answer, or none.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import redis

from bench.common import SOURCE, configure, event, first_fields, in_own_process, leadsync
from bench.table import Figure, options, show
from tests.support.waiting import wait_until
from worker.embedded import embedded_redis
from worker.processes import Child, running
from worker.settings import load_settings

RATE = 500
SECONDS = 10
_WARM_UP = 200
_CONNECTIONS = 64
_KEY = b"0123456789abcdef01234567"
_SECRET = "whsec_" + base64.b64encode(_KEY).decode()

#: An app that does as little as an answer takes.
_BARE = """
import sys, uvicorn
async def app(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})
config = uvicorn.Config(app, port=int(sys.argv[1]), lifespan="off", log_level="error", access_log=False)
uvicorn.Server(config).run()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the sender saw, in milliseconds."""

    p50: float
    p99: float
    failed: int


def send_all(url: str, expected: int, first: int, count: int) -> Turn:
    """Send `count` events on the timetable, numbered from `first`. In a process of its own."""
    return asyncio.run(_send_all(url, expected, first, count))


async def _send_all(url: str, expected: int, first: int, count: int) -> Turn:
    delays: list[float] = []
    failed = 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS)) as session:

        async def send(number: int, due_at: float) -> None:
            nonlocal failed
            body = event(number, first_fields(number), at=number)
            try:
                async with session.post(url, data=body, headers=_signed(body, f"msg-{number}")) as answer:
                    await answer.read()
                    failed += answer.status != expected
            except aiohttp.ClientError:
                failed += 1
            delays.append(time.perf_counter() - due_at)

        for number in range(first, first + _WARM_UP):
            await send(number, 0)
        delays.clear()
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as sending:
            for place in range(count):
                due_at = begun + place / RATE
                await asyncio.sleep(due_at - time.perf_counter())
                sending.create_task(send(first + _WARM_UP + place, due_at))
    delays.sort()
    p50, p99 = (delays[len(delays) * percent // 100] * 1000 for percent in (50, 99))
    return Turn(p50=p50, p99=p99, failed=failed)


def _signed(body: bytes, id: str) -> dict[str, str]:
    stamp = str(int(time.time()))
    digest = hmac.digest(_KEY, f"{id}.{stamp}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature}


def measure(count: int) -> tuple[dict[str, list[Turn]], int]:
    """Both servers, each twice, in turns; and how many events did not reach the stream."""
    of: dict[str, list[Turn]] = {"bare": [], "leadsync": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(embedded_redis(folder))
        url = f"sqlite:///{folder / 'leadsync.db'}"
        configure(folder, database_url=url, urls={SOURCE: "http://127.0.0.1:9"}, redis_url=server.url)
        ours, bare = _free_ports(2)
        os.environ |= {f"LEADSYNC_REMOTES__{SOURCE.upper()}__WEBHOOK_SECRET": _SECRET, "LEADSYNC_WEB__PORT": str(ours)}
        stack.enter_context(running([leadsync("web"), _bare(bare)]))
        wait_until(lambda: _listens(ours) and _listens(bare), deadline_s=60, what="both servers listen")
        for first in (0, count + _WARM_UP):
            of["bare"].append(in_own_process(send_all, f"http://127.0.0.1:{bare}/", 200, first, count))
            target = f"http://127.0.0.1:{ours}/webhooks/{SOURCE}"
            of["leadsync"].append(in_own_process(send_all, target, 202, first, count))
        with redis.Redis.from_url(server.url) as client:
            return of, 2 * (count + _WARM_UP) - int(client.xlen(load_settings().events.stream))


def _bare(port: int) -> Child:
    return Child(name="bare server", argv=(sys.executable, "-c", _BARE, str(port)))


def _free_ports(count: int) -> Sequence[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    of, lost = measure(RATE if small else RATE * SECONDS)
    ours, bare = (min(of[name], key=lambda turn: turn.p99) for name in ("leadsync", "bare"))
    times = "× a bare server's"
    yield Figure(what=f"answer at {RATE}/s, p50", value=ours.p50, unit="ms", baseline=bare.p50, of=times)
    yield Figure(what=f"answer at {RATE}/s, p99", value=ours.p99, unit="ms", baseline=bare.p99, of=times)
    for name, turns in of.items():
        yield Figure(what=f"errors, {name}", value=sum(turn.failed for turn in turns), unit="requests")
    yield Figure(what="not in the stream", value=lost, unit="events")


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
