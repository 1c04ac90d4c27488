"""Limiter: how much of a strict rate limit four worker processes can use, and how often they hit it. Run by hand.

    ./run bench limiter [--seconds 10] [--counting waves|random] [--json [FILE]]

Held fixed in every row: the machine, the Redis server, four worker processes at full load, and one server
process that allows 100 calls in any 1 s and 6000 in any 60 s, looks at every sliding window, and refuses what
is too much. Only the limiter and the round trip change.

The server may count a call anywhere between its arrival and its answer. In waves (the default) it counts on
arrival for a second, then just before the answer for a second, as a server does whose queue fills and drains;
at random, anywhere for each call. "Possible" is limit / (window + round trip), what can be reached without
betting on where calls are counted. A limiter that passes it bets, and its 429s say how the bet went.
Rates are taken from the first full window to the last call served.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import multiprocessing
import random
import sys
import tempfile
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import redis
from redis.asyncio import Redis

from bench import table
from worker.embedded import embedded_redis
from worker.limits.base import Ending, Lane, Report, Window
from worker.limits.budget import RedisBudget, budget_client
from worker.limits.throttle import Throttle

WORKERS = 4
WINDOWS = (Window(limit=100, seconds=1.0), Window(limit=6000, seconds=60.0))
ROUND_TRIPS_S = (0.02, 0.2)
MOST_IN_FLIGHT = 100
HOLD_S = 10.0


# The server


class Call(NamedTuple):
    """What the server saw of one call."""

    arrived: float
    counted: float
    served: bool


@dataclass(slots=True)
class StrictServer:
    """Speaks lines: a number comes in, after the round trip the number and a status go out."""

    round_trip_s: float
    counting: str
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    #: In the order they were counted.
    calls: list[Call] = field(default_factory=list)
    served: dict[Window, deque[float]] = field(default_factory=lambda: {w: deque() for w in WINDOWS})

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while line := await next_line(reader):
            now = loop.time()
            counted_at = now + self.counted_in() * self.round_trip_s
            loop.call_at(counted_at, self.count, line.strip(), writer, now)

    def counted_in(self) -> float:
        """Which part of its round trip a call spends before it is counted."""
        return self.chance.random() if self.counting == "random" else float(int(time.monotonic()) % 2)

    def count(self, call: bytes, writer: asyncio.StreamWriter, arrived: float) -> None:
        """Decide, and answer when the round trip is over."""
        now = time.monotonic()
        served = self.allows(now)
        self.calls.append(Call(arrived, now, served))
        status, answer_at = b"200" if served else b"429", arrived + self.round_trip_s
        asyncio.get_running_loop().call_at(answer_at, self.answer, writer, call + b" " + status + b"\n")

    def answer(self, writer: asyncio.StreamWriter, line: bytes) -> None:
        if not writer.is_closing():
            writer.write(line)

    def allows(self, now: float) -> bool:
        for window, served in self.served.items():
            while served and served[0] <= now - window.seconds:
                served.popleft()
        fits = all(len(served) < window.limit for window, served in self.served.items())
        if fits:
            for served in self.served.values():
                served.append(now)
        return fits


def run_server(round_trip_s: float, counting: str, path: str, pipe: Connection) -> None:
    """A process: serves until told to stop, then tells what it saw."""

    async def serve() -> None:
        server = StrictServer(round_trip_s, counting)
        listener = await asyncio.start_unix_server(server.connection, path)
        told_to_stop = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), told_to_stop.set)
        pipe.send("ready")
        await told_to_stop.wait()
        listener.close()
        pipe.send(server.calls)

    asyncio.run(serve())


# The limiters


class Limiter(Protocol):
    """What a worker needs: permissions in batches, and somewhere to tell how calls ended."""

    async def take(self) -> tuple[str, ...]: ...

    def ended(self, ticket: str, status: int) -> None: ...


class Ours:
    """`worker.limits`, as push uses it."""

    def __init__(self, redis: Redis, round_trip_s: float) -> None:
        self._throttle = Throttle(RedisBudget(redis, "bench", WINDOWS, HOLD_S))

    async def take(self) -> tuple[str, ...]:
        return (await self._throttle.take(Lane.LIVE, MOST_IN_FLIGHT)).tickets

    def ended(self, ticket: str, status: int) -> None:
        ending = Ending.ANSWERED if status == 200 else Ending.LIMITED
        self._throttle.give_back(Report(ticket=ticket, ending=ending))


class Gcra:
    """The usual token bucket in Lua, on Redis' clock; `rules` are (calls, seconds, burst)."""

    SCRIPT = """
local t = redis.call('TIME')
local now, wait, tats = t[1] * 1000000 + t[2], 0, {}
for i = 1, #KEYS do
  local emission, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  tats[i] = math.max(now, tonumber(redis.call('GET', KEYS[i]) or '0')) + emission
  wait = math.max(wait, tats[i] - burst * emission - now)
end
if wait > 0 then return math.ceil(wait) end
for i = 1, #KEYS do redis.call('SET', KEYS[i], string.format('%.0f', tats[i]), 'EX', 120) end
return 0
"""

    def __init__(self, redis: Redis, rules: list[tuple[float, float, float]]) -> None:
        self._script = redis.register_script(self.SCRIPT)
        self._keys = [f"gcra:{{bench}}:{seconds}" for _, seconds, _ in rules]
        self._args = [x for calls, seconds, burst in rules for x in (seconds * 1e6 / calls, burst)]

    async def take(self) -> tuple[str, ...]:
        while True:
            wait_us = cast(int, await self._script(keys=self._keys, args=self._args))
            if wait_us == 0:
                return ("",)
            await asyncio.sleep(wait_us / 1e6)

    def ended(self, ticket: str, status: int) -> None:
        """It does not learn."""


def gcra_full(redis: Redis, _: float) -> Limiter:
    """burst = limit, the usual choice: lets twice the limit into one window."""
    return Gcra(redis, [(w.limit, w.seconds, w.limit) for w in WINDOWS])


def gcra_safe(redis: Redis, _: float) -> Limiter:
    """burst + calls in one window <= limit; as if calls were counted when they are sent."""
    return Gcra(redis, [(w.limit * 0.9, w.seconds, w.limit * 0.1) for w in WINDOWS])


def gcra_safe_for_round_trip(redis: Redis, round_trip_s: float) -> Limiter:
    """burst + calls in one window and round trip <= limit: wherever calls are counted."""
    return Gcra(
        redis,
        [(w.limit * 0.9 * w.seconds / (w.seconds + round_trip_s), w.seconds, w.limit * 0.1) for w in WINDOWS],
    )


class MovingWindow:
    """The package `limits`, by its strictest strategy: a log of calls in Redis, which is asked again and again."""

    def __init__(self, redis: Redis, _: float) -> None:
        from limits import RateLimitItemPerSecond
        from limits.aio.storage import RedisStorage
        from limits.aio.strategies import MovingWindowRateLimiter

        pool: Any = redis.connection_pool  # which its types leave out
        storage = RedisStorage("async+redis://", implementation="redispy", connection_pool=pool)
        self._limiter = MovingWindowRateLimiter(storage)
        self._items = [RateLimitItemPerSecond(w.limit, int(w.seconds)) for w in WINDOWS]

    async def take(self) -> tuple[str, ...]:
        for item in self._items:
            while not await self._limiter.hit(item, "bench"):  # noqa: ASYNC110 - all that it offers
                await asyncio.sleep(0.01)
        return ("",)

    def ended(self, ticket: str, status: int) -> None:
        """It does not learn."""


LIMITERS: dict[str, Callable[[Redis, float], Limiter]] = {
    "leadsync": Ours,
    "GCRA, full burst": gcra_full,
    "GCRA, safe burst": gcra_safe,
    "GCRA, safe for the round trip": gcra_safe_for_round_trip,
}
if importlib.util.find_spec("limits"):  # with `./run bench peers`
    LIMITERS["limits, moving window"] = MovingWindow


# The workers


async def work(limiter: Limiter, path: str, seconds: float) -> None:
    """Call as fast as the limiter lets us."""
    reader, writer = await asyncio.open_unix_connection(path)
    in_flight: dict[str, str] = {}
    room = asyncio.Semaphore(MOST_IN_FLIGHT * 2)

    async def listen() -> None:
        while line := await next_line(reader):
            call, status = line.split()
            limiter.ended(in_flight.pop(call.decode()), int(status))
            room.release()

    async def send() -> None:
        number = 0
        while True:
            for ticket in await limiter.take():
                await room.acquire()
                number += 1
                in_flight[str(number)] = ticket
                writer.write(b"%d\n" % number)

    await for_a_while(seconds, listen(), send())
    writer.close()


async def next_line(reader: asyncio.StreamReader) -> bytes:
    """Empty when the other side has gone, however it went."""
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


async def for_a_while(seconds: float, *jobs: Awaitable[None]) -> None:
    """All of them until time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*jobs)


def run_worker(limiter: str, round_trip_s: float, seconds: float, url: str, path: str, start: Barrier) -> None:
    """A process."""

    async def run() -> None:
        async with budget_client(url) as client:
            await client.ping()
            start.wait()
            await work(LIMITERS[limiter](client, round_trip_s), path, seconds)

    asyncio.run(run())


# The table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limiter at one round trip."""

    limiter: str
    round_trip_ms: float
    calls_per_s: float
    share_of_possible: float
    refused: int
    #: Of them, after the first two seconds.
    refused_later: int
    #: Served or not, in the fullest sliding window, by its length.
    most_in_window: dict[str, int]


def measure(limiter: str, round_trip_s: float, seconds: float, counting: str, url: str) -> Row:
    """One run."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "server")
        here, there = context.Pipe()
        server = context.Process(target=run_server, args=(round_trip_s, counting, path, there))
        server.start()
        here.recv()
        start = context.Barrier(WORKERS)
        args = (limiter, round_trip_s, seconds, url, path, start)
        workers = [context.Process(target=run_worker, args=args) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        here.send("stop")
        calls: list[Call] = here.recv()
        server.join()
    return judge(limiter, round_trip_s, calls)


def judge(limiter: str, round_trip_s: float, calls: list[Call]) -> Row:
    """Turn what the server saw into figures."""
    window = WINDOWS[0]
    served = sorted(call.arrived for call in calls if call.served)
    rate = (len(served) - window.limit) / (served[-1] - served[window.limit - 1])
    refused = [call.counted for call in calls if not call.served]
    return Row(
        limiter=limiter,
        round_trip_ms=round_trip_s * 1000,
        calls_per_s=round(rate, 1),
        share_of_possible=round(rate / possible(round_trip_s), 3),
        refused=len(refused),
        refused_later=sum(moment > calls[0].counted + 2.0 for moment in refused),
        most_in_window={f"{w.seconds:g}": most_seen([c.counted for c in calls], w.seconds) for w in WINDOWS},
    )


def possible(round_trip_s: float) -> float:
    """Calls per second when a call holds its place from sending until its answer plus one window."""
    return min(window.limit / (window.seconds + round_trip_s) for window in WINDOWS)


def most_seen(moments: list[float], seconds: float) -> int:
    """The fullest sliding window."""
    most, start = 0, 0
    for end, moment in enumerate(moments):
        while moments[start] <= moment - seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


def rows(seconds: float, counting: str) -> Iterator[Row]:
    """Each limiter at each round trip, on a Redis that knows of no earlier calls."""
    with tempfile.TemporaryDirectory() as folder, embedded_redis(Path(folder)) as server:
        for round_trip_s in ROUND_TRIPS_S:
            for limiter in LIMITERS:
                with redis.Redis.from_url(server.url) as client:
                    client.flushdb()
                yield measure(limiter, round_trip_s, seconds, counting, server.url)


def main() -> None:
    """Read the arguments, print as results come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each of the eight runs")
    parser.add_argument("--counting", choices=["waves", "random"], default="waves", help="see above")
    table.add_json(parser)
    options = parser.parse_args()
    if options.json == "-":
        print(json.dumps(_document(rows(options.seconds, options.counting))))
        return
    kept = list[Row]()
    print(" · ".join(f"{name} {version}" for name, version in table.versions().items()))
    print(f"{'limiter':30} {'trip':>7} {'calls/s':>8} {'possible':>9} {'429s':>6} {'later':>6} {'in 1 s':>7}")
    for row in rows(options.seconds, options.counting):
        kept.append(row)
        print(
            f"{row.limiter:30} {row.round_trip_ms:4.0f} ms {row.calls_per_s:8.1f}"
            f" {row.share_of_possible:9.1%} {row.refused:6} {row.refused_later:6}"
            f" {row.most_in_window['1']:7}",
            flush=True,
        )
    table.write(options.json, _document(kept))


def _document(measured: Iterable[Row]) -> dict[str, object]:
    return {"versions": table.versions(), "items": [asdict(row) for row in measured], "next": None}


if __name__ == "__main__":
    main()
