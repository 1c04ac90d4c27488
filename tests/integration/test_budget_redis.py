"""The rate budget on a real Redis with its real clock: shared by processes, and closed when Redis is in trouble."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import redis as sync_redis
from redis.asyncio import Redis

from tests.support.waiting import wait_until
from worker.errors import RedisAway
from worker.limits.base import Budget, Ending, Lane, Report, Wait, Window
from worker.limits.budget import RedisBudget, budget_client
from worker.limits.throttle import Throttle

WINDOWS = (Window(limit=10, seconds=0.2), Window(limit=1000, seconds=60.0))
Story = Callable[[RedisBudget], Coroutine[Any, Any, None]]


def tell(url: str, story: Story) -> None:
    """Run *story* with a budget of its own connection."""

    async def run() -> None:
        async with a_budget(url) as budget:
            await story(budget)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def a_budget(url: str, remote: str = "crm", prefix: str = "leadsync") -> AsyncIterator[RedisBudget]:
    """As another process would have it."""
    async with budget_client(url) as redis:
        yield RedisBudget(redis, remote, WINDOWS, 5.0, prefix)


def test_all_processes_share_one_budget(redis_url: str) -> None:
    """Ten calls are ten calls, whoever makes them; another remote and another prefix have their own."""

    async def story(ours: RedisBudget) -> None:
        async with a_budget(redis_url) as theirs, a_budget(redis_url, "lance") as other:
            assert 6 == len((await ours.reserve(Lane.LIVE, 6)).tickets)
            assert 4 == len((await theirs.reserve(Lane.LIVE, 6)).tickets)
            assert 6 == len((await other.reserve(Lane.LIVE, 6)).tickets)
        async with a_budget(redis_url, prefix="staging") as elsewhere:
            assert 6 == len((await elsewhere.reserve(Lane.LIVE, 6)).tickets)

    tell(redis_url, story)


def test_places_come_free_by_redis_own_clock(redis_url: str) -> None:
    """After the wait that was advised, not before: nobody's own clock is asked."""

    async def story(budget: RedisBudget) -> None:
        grant = await budget.reserve(Lane.LIVE, 10)
        refused = await budget.reserve(Lane.LIVE, 1, [Report(ticket=t, ending=Ending.ANSWERED) for t in grant.tickets])
        assert ((), Wait.BUDGET) == (refused.tickets, refused.why)
        assert 0.19 < refused.wait_s < 0.21
        start = time.monotonic()
        while not (await budget.reserve(Lane.LIVE, 1)).tickets:
            assert time.monotonic() < start + 5
            await asyncio.sleep(0.001)
        assert 0.15 < time.monotonic() - start

    tell(redis_url, story)


def test_one_workers_429_stops_all(redis_url: str) -> None:
    """The next question of any process is answered with the pause."""

    async def story(ours: RedisBudget) -> None:
        (ticket,) = (await ours.reserve(Lane.LIVE, 1)).tickets
        await ours.reserve(Lane.LIVE, 0, [Report(ticket=ticket, ending=Ending.LIMITED, retry_after_s=30)])
        async with a_budget(redis_url) as theirs:
            refused = await theirs.reserve(Lane.LIVE, 1)
            assert ((), Wait.BACKOFF) == (refused.tickets, refused.why)
            assert 29 < refused.wait_s <= 30
            assert 0.7 == (await theirs.state()).share

    tell(redis_url, story)


def test_many_callers_at_full_load_never_fill_a_window_too_much(redis_url: str) -> None:
    """Four processes' worth of throttles, on the real clock: at most ten calls in any 0.2 s."""

    async def caller(throttle: Throttle, sent: list[float], until: float) -> None:
        while time.monotonic() < until:
            (ticket,) = (await throttle.take(Lane.LIVE)).tickets
            sent.append(time.monotonic())
            await asyncio.sleep(0.005)
            throttle.give_back(Report(ticket=ticket, ending=Ending.ANSWERED))

    async def story(budget: RedisBudget) -> None:
        sent: list[float] = []
        until = time.monotonic() + 1.5
        throttles = [Throttle(budget) for _ in range(4)]
        await asyncio.gather(*(caller(t, sent, until) for t in throttles for _ in range(5)))
        for throttle in throttles:
            await throttle.flush()
        assert all(later - earlier >= 0.2 for earlier, later in zip(sent, sent[10:], strict=False))
        assert len(sent) >= 60

    tell(redis_url, story)


def test_a_forgotten_script_is_loaded_again(redis_url: str) -> None:
    """Redis forgets scripts when it restarts or fails over."""

    async def story(budget: RedisBudget) -> None:
        assert (await budget.reserve(Lane.LIVE, 1)).tickets
        with sync_redis.Redis.from_url(redis_url) as client:
            client.script_flush()
        assert (await budget.reserve(Lane.LIVE, 1)).tickets

    tell(redis_url, story)


def test_decoding_clients_are_fine_too(redis_url: str) -> None:
    """The budget may share a client that other code reads text with."""

    async def story() -> None:
        async with Redis.from_url(redis_url, decode_responses=True) as client:
            budget = RedisBudget(client, "crm", WINDOWS, 5.0)
            assert 10 == len((await budget.reserve(Lane.LIVE, 11)).tickets)
            assert Wait.BUDGET is (await budget.reserve(Lane.LIVE, 1)).why

    asyncio.run(story())


def test_an_idle_budget_goes_away_by_itself(redis_url: str) -> None:
    """A remote that was removed from the settings leaves nothing behind; a named pause is kept to its end."""

    async def story(budget: RedisBudget) -> None:
        (ticket,) = (await budget.reserve(Lane.LIVE, 1)).tickets
        with sync_redis.Redis.from_url(redis_url, decode_responses=True) as client:
            keys = sorted(client.scan_iter("*"))
            assert ["leadsync:budget:{crm}:learned", "leadsync:budget:{crm}:places"] == keys
            assert all(65 < client.ttl(key) < 300 for key in keys)
            limited = Report(ticket=ticket, ending=Ending.LIMITED, retry_after_s=3600)
            await budget.reserve(Lane.LIVE, 0, [limited])
            assert all(3600 < client.ttl(key) for key in keys)

    tell(redis_url, story)


# Redis in trouble: nobody may call


async def refuses(budget: Budget) -> str:
    """The sentence it refuses with."""
    with pytest.raises(RedisAway) as refusal:
        await budget.reserve(Lane.LIVE, 1)
    with pytest.raises(RedisAway):
        await budget.state()
    sentence = str(refusal.value)
    assert sentence.startswith("Redis did not answer for the rate budget of remote 'crm'")
    assert "check that Redis runs" in sentence
    assert "/" not in sentence, "no path, no address"
    return sentence


def test_closed_when_nobody_listens(tmp_path: Path) -> None:
    """No server at all, and no password in the sentence."""

    async def story(budget: RedisBudget) -> None:
        assert "(ConnectionError)" in await refuses(budget)

    tell(f"unix://:secret@{tmp_path}/nobody.sock?db=0", story)


@pytest.mark.parametrize(
    ("setting", "bad", "good", "code"),
    [
        ("maxmemory", "1", "0", "OutOfMemoryError"),
        ("min-replicas-to-write", "3", "0", "NOREPLICAS"),
    ],
)
def test_closed_when_redis_takes_no_writes(redis_url: str, setting: str, bad: str, good: str, code: str) -> None:
    """Out of memory, or alone without the replicas it must have."""

    async def story(budget: RedisBudget) -> None:
        with sync_redis.Redis.from_url(redis_url) as client:
            client.config_set(setting, bad)
            try:
                sentence = await refuses(budget)
            finally:
                client.config_set(setting, good)
        assert code in sentence
        assert (await budget.reserve(Lane.LIVE, 1)).tickets, "and open again afterwards"

    tell(redis_url, story)


def test_closed_when_redis_is_a_replica(redis_url: str) -> None:
    """After a failover, until our address points to the new primary."""

    async def story(budget: RedisBudget) -> None:
        await budget.reserve(Lane.LIVE, 1)
        with sync_redis.Redis.from_url(redis_url) as client:
            client.replicaof("127.0.0.1", "1")
            try:
                assert "(ReadOnlyError)" in await refuses(budget)
            finally:
                client.replicaof("NO", "ONE")

    tell(redis_url, story)


def test_closed_when_redis_is_busy(redis_url: str) -> None:
    """Somebody's script runs for ever."""

    async def story(budget: RedisBudget) -> None:
        await budget.reserve(Lane.LIVE, 1)
        with sync_redis.Redis.from_url(redis_url) as client:
            client.config_set("busy-reply-threshold", 1)
            endless = threading.Thread(target=_run_for_ever, args=(redis_url,))
            endless.start()
            try:
                await asyncio.to_thread(wait_until, lambda: _is_busy(redis_url), what="the script to hang")
                assert "BUSY" in await refuses(budget)
            finally:
                client.script_kill()
                endless.join()
                client.config_set("busy-reply-threshold", 5000)

    tell(redis_url, story)


def _run_for_ever(url: str) -> None:
    with sync_redis.Redis.from_url(url, socket_timeout=30) as client, contextlib.suppress(sync_redis.RedisError):
        client.eval("while true do end", 0)


def _is_busy(url: str) -> bool:
    with sync_redis.Redis.from_url(url) as client:
        try:
            client.get("x")
        except sync_redis.ResponseError as error:
            return "BUSY" in str(error)
        return False


@pytest.fixture
def silent_url(tmp_path: Path) -> Iterator[str]:
    """A server that takes everything and never answers."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "silent"))
        listener.listen()
        thread = threading.Thread(target=_swallow, args=(listener,))
        thread.start()
        yield f"unix://{tmp_path}/silent?db=0"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _swallow(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                while connection.recv(65536):
                    pass


def test_closed_when_redis_hangs(silent_url: str) -> None:
    """A silent server is given up on after two seconds."""

    async def story(budget: RedisBudget) -> None:
        start = time.monotonic()
        with pytest.raises(RedisAway):
            await budget.reserve(Lane.LIVE, 1)
        assert 1.5 < time.monotonic() - start < 4

    tell(silent_url, story)


def test_a_question_is_never_sent_twice(redis_url: str, tmp_path: Path) -> None:
    """When the reply is lost on its way, one place is lost, not two: the client does not resend by itself."""

    async def lose_replies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what comes in; hang up as soon as a place was taken."""
        up_reader, up_writer = await asyncio.open_unix_connection(unquote(urlsplit(redis_url).path))
        while asked := await reader.read(65536):
            up_writer.write(asked)
            reply = await up_reader.read(65536)
            if b"EVALSHA" in asked and not reply.startswith(b"-"):
                break
            writer.write(reply)
        for stream in (writer, up_writer):
            stream.close()
            await stream.wait_closed()

    async def story() -> None:
        async with (
            await asyncio.start_unix_server(lose_replies, tmp_path / "lossy"),
            a_budget(f"unix://{tmp_path}/lossy?db=0") as ours,
            a_budget(redis_url) as witness,
        ):
            with pytest.raises(RedisAway):
                await ours.reserve(Lane.LIVE, 1)
            assert (1, 10) == (await witness.state()).used[0.2]

    asyncio.run(story())
