"""The stream's contract: one class of tests on memory and on a real server. And what only a server can do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from worker.embedded import EmbeddedRedis
from worker.errors import RedisAway
from worker.ports import Entry, EntryId, Stream
from worker.stream.memory import Log, MemoryStream
from worker.stream.redis_stream import RedisStream

T = TypeVar("T")

STREAM, GROUP = "leadsync:events", "leadsync"


@dataclass
class Scene:
    """A log with any number of consumers, and the means to disturb it."""

    runner: asyncio.Runner
    consumer: Callable[[str], Stream]
    add: Callable[[bytes], EntryId]
    remove: Callable[[EntryId], None]
    age: Callable[[float], None]
    here: Callable[[], int]

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.runner.run(awaited())


def client(url: str, *, protocol: int = 3) -> Redis:
    """As the product makes it: never decodes, never sends a command twice."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), protocol=protocol)


def _in_memory(runner: asyncio.Runner) -> Scene:
    now = [1000.0]
    log = Log(lambda: now[0])

    def age(seconds: float) -> None:
        now[0] += seconds

    def remove(entry_id: EntryId) -> None:
        del log.entries[entry_id]

    return Scene(runner, lambda name: MemoryStream(log, name), log.add, remove, age, lambda: len(log.entries))


@dataclass
class _OnRedis:
    """The same over a server; entries are aged by telling the server that they were taken earlier."""

    runner: asyncio.Runner
    redis: Redis
    groups: list[str] = field(default_factory=lambda: [GROUP])

    def call(self, command: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await command

        return self.runner.run(awaited())

    def add(self, event: bytes) -> EntryId:
        return EntryId(self.call(self.redis.xadd(STREAM, {"event": event})).decode())

    def remove(self, entry_id: EntryId) -> None:
        self.call(self.redis.xdel(STREAM, entry_id))

    def age(self, seconds: float) -> None:
        for one in self.call(self.redis.xpending_range(STREAM, GROUP, "-", "+", 10_000)):
            idle, times = one["time_since_delivered"] + int(seconds * 1000), one["times_delivered"]
            mine = (STREAM, GROUP, one["consumer"], 0, [one["message_id"]])
            self.call(self.redis.xclaim(*mine, idle=idle, retrycount=times, justid=True))

    def scene(self) -> Scene:
        def consumer(name: str) -> Stream:
            return RedisStream(self.redis, stream=STREAM, group=GROUP, consumer=name, life=token_hex(8))

        def here() -> int:
            return int(self.call(self.redis.xlen(STREAM)))

        return Scene(self.runner, consumer, self.add, self.remove, self.age, here)


@contextlib.contextmanager
def _on_redis(url: str, protocol: int) -> Iterator[_OnRedis]:
    with asyncio.Runner() as runner:
        on_redis = _OnRedis(runner, client(url, protocol=protocol))
        try:
            yield on_redis
        finally:
            on_redis.call(on_redis.redis.aclose())


@pytest.fixture(params=["memory", "resp2", "resp3"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """In memory, and on a server in both versions of its protocol."""
    if request.param == "memory":
        with asyncio.Runner() as runner:
            yield _in_memory(runner)
    else:
        with _on_redis(request.getfixturevalue("redis_url"), int(request.param[-1])) as on_redis:
            yield on_redis.scene()


def texts(entries: list[Entry]) -> list[bytes | None]:
    """What the entries hold."""
    return [entry.event for entry in entries]


class TestStream:
    """What every stream does."""

    def test_entries_come_once_and_in_order(self, scene: Scene) -> None:
        """Each entry goes to one consumer; also those that were added before anybody ever read."""
        ids = [scene.add(b"%d" % number) for number in range(5)]
        one, two = scene.consumer("one"), scene.consumer("two")
        scene.run(one.unfinished(1))  # as intake begins; the group is made here
        first, second = scene.run(one.read(3)), scene.run(two.read(9))
        assert [Entry(ids[n], b"%d" % n) for n in range(3)] == first
        assert [b"3", b"4"] == texts(second)
        assert [] == scene.run(one.read(9))

    def test_nothing_there(self, scene: Scene) -> None:
        """Every call can be the first one, on a server that knows nothing."""
        stream = scene.consumer("one")
        assert [] == scene.run(stream.take_over(5, 0))
        assert [] == scene.run(stream.unfinished(5)) == scene.run(stream.read(5))
        assert 0 == scene.run(stream.trim())
        scene.run(stream.ack([]))
        scene.run(stream.came_back(Entry(EntryId("1-0"), b"")))

    def test_dead_consumers_are_forgotten(self, scene: Scene) -> None:
        """Those that hold nothing and have asked for nothing for long; entries in hand keep theirs."""
        assert 0 == scene.run(scene.consumer("none").forget_consumers(0))  # nothing is there at all
        for number in range(2):
            scene.add(b"%d" % number)
        holds, done, fresh = (scene.consumer(name) for name in ("holds", "done", "fresh"))
        scene.run(holds.unfinished(1))
        held, finished = scene.run(holds.read(1)), scene.run(done.read(1))
        scene.run(done.ack([entry.id for entry in finished]))
        scene.run(fresh.read(1))
        assert 0 == scene.run(fresh.forget_consumers(3_600))
        # Before 7.2 Redis keeps no consumer that was never given anything.
        assert scene.run(fresh.forget_consumers(0)) in (1, 2)
        assert 0 == scene.run(fresh.forget_consumers(0))
        scene.age(3_600)
        assert texts(held) == texts(scene.run(done.take_over(5, 3_600)))
        scene.run(done.ack([entry.id for entry in held]))
        assert 2 == scene.run(fresh.forget_consumers(0))
        scene.add(b"2")
        assert [b"2"] == texts(scene.run(done.read(1)))  # forgotten, but alive after all

    @pytest.mark.parametrize("call", ["read", "unfinished", "take_over", "trim", "ack"])
    def test_any_call_may_come_first(self, scene: Scene, call: str) -> None:
        """Whatever makes the group, the entries that were there before are read."""
        entry_id = scene.add(b"0")
        stream = scene.consumer("one")
        first: dict[str, Callable[[], Awaitable[Any]]] = {
            "read": lambda: stream.read(5),
            "unfinished": lambda: stream.unfinished(5),
            "take_over": lambda: stream.take_over(5, 0),
            "trim": stream.trim,
            "ack": lambda: stream.ack([entry_id]),
        }
        got = scene.run(first[call]())
        if call != "read" or not got:
            got = scene.run(stream.read(5)) or scene.run(stream.read(5))
        assert [b"0"] == texts(got)

    def test_acknowledged_is_finished(self, scene: Scene) -> None:
        """What was not acknowledged comes again to the same consumer, after a crash of it."""
        for number in range(3):
            scene.add(b"%d" % number)
        stream = scene.consumer("one")
        scene.run(stream.unfinished(1))
        entries = scene.run(stream.read(9))
        scene.run(stream.ack([entries[1].id]))
        assert [b"0", b"2"] == texts(scene.run(scene.consumer("one").unfinished(9)))
        assert [] == scene.run(scene.consumer("two").unfinished(9))

    def test_who_tries_an_entry_alone_and_never_comes_back_is_counted(self, scene: Scene) -> None:
        """One that is started anew under the same name is another one; each entry has its own count."""
        entries = [Entry(scene.add(b"%d" % number), b"%d" % number) for number in range(2)]
        assert [0, 1, 2] == [scene.run(scene.consumer("one").alone(entries[0])) for _ in range(3)]
        assert 0 == scene.run(scene.consumer("one").alone(entries[1]))

    def test_who_came_back_does_not_count(self, scene: Scene) -> None:
        """However often the try failed for another reason; those who died before still do."""
        entry = Entry(scene.add(b"0"), b"0")
        scene.run(scene.consumer("dead").alone(entry))
        for _ in range(3):
            stream = scene.consumer("one")
            assert 1 == scene.run(stream.alone(entry))
            scene.run(stream.came_back(entry))
        scene.run(stream.came_back(entry))  # once more says nothing more
        assert 1 == scene.run(scene.consumer("two").alone(entry))

    def test_who_could_not_say_that_it_came_back_says_so_by_trying_again(self, scene: Scene) -> None:
        """Redis was away when the database was: nobody died of this entry."""
        entry, stream = Entry(scene.add(b"0"), b"0"), scene.consumer("one")
        assert [0, 0, 0] == [scene.run(stream.alone(entry)) for _ in range(3)]

    def test_a_dead_consumers_entries_are_taken_over(self, scene: Scene) -> None:
        """After the idle time and not before; the taker then has them."""
        for number in range(2):
            scene.add(b"%d" % number)
        dead, alive = scene.consumer("dead"), scene.consumer("alive")
        scene.run(dead.unfinished(1))
        scene.run(dead.read(9))
        assert [] == scene.run(alive.take_over(9, 45))
        scene.age(46)
        assert [b"0"] == texts(scene.run(alive.take_over(1, 45)))
        assert [b"1"] == texts(scene.run(alive.take_over(9, 45)))
        assert [] == scene.run(alive.take_over(9, 45))
        assert ([b"0", b"1"], []) == (texts(scene.run(alive.unfinished(9))), scene.run(dead.unfinished(9)))

    def test_idle_entries_are_found_behind_busy_ones(self, scene: Scene) -> None:
        """However many a living consumer holds in front of them."""
        for number in range(60):
            scene.add(b"%d" % number)
        busy, dead, alive = (scene.consumer(name) for name in ("busy", "dead", "alive"))
        scene.run(busy.unfinished(1))
        scene.run(busy.read(50))
        scene.run(dead.read(10))
        scene.age(46)
        scene.run(busy.unfinished(50))
        assert [b"50"] == texts(scene.run(alive.take_over(1, 45)))

    def test_an_entry_that_was_trimmed_away_while_unfinished(self, scene: Scene) -> None:
        """It shows that it is gone, so that it can be rejected instead of being pending for ever."""
        ids = [scene.add(b"0"), scene.add(b"1")]
        stream = scene.consumer("one")
        scene.run(stream.unfinished(1))
        scene.run(stream.read(9))
        scene.remove(ids[0])
        entries = scene.run(stream.unfinished(9))
        assert [None, b"1"] == texts(entries)
        scene.run(stream.ack([entry.id for entry in entries]))
        assert [] == scene.run(stream.unfinished(9))

    def test_trim_removes_only_what_is_finished(self, scene: Scene) -> None:
        """Nothing unread, nothing unfinished; what is left comes in order."""
        for number in range(1000):
            scene.add(b"%d" % number)
        stream = scene.consumer("one")
        scene.run(stream.unfinished(1))
        entries = scene.run(stream.read(600))
        assert (0, 1000) == (scene.run(stream.trim()), scene.here())
        scene.run(stream.ack([entry.id for entry in entries if entry.event != b"300"]))
        gone = scene.run(stream.trim())
        assert (1000 - gone, True) == (scene.here(), 200 <= gone <= 300)  # whole nodes of a hundred
        assert [b"300"] == texts(scene.run(stream.unfinished(9)))
        scene.run(stream.ack([entries[300].id]))
        assert 500 <= gone + scene.run(stream.trim()) <= 600
        assert [b"%d" % number for number in range(600, 1000)] == texts(scene.run(stream.read(1000)))


class TestRedis:
    """What only a server can do."""

    @pytest.fixture(params=[2, 3])
    def on_redis(self, redis_url: str, request: pytest.FixtureRequest) -> Iterator[_OnRedis]:
        """In both versions of the protocol."""
        with _on_redis(redis_url, request.param) as on_redis:
            yield on_redis

    def test_an_entry_of_another_kind(self, on_redis: _OnRedis) -> None:
        """Without the field, or with more: shown as it is, not a crash."""
        stream = on_redis.scene().consumer("one")
        on_redis.call(stream.unfinished(1))
        on_redis.call(on_redis.redis.xadd(STREAM, {"payload": b"x"}))
        on_redis.call(on_redis.redis.xadd(STREAM, {"event": b"\xff\0", "more": b"y"}))
        assert [None, b"\xff\0"] == texts(on_redis.call(stream.read(9)))

    def test_trim_waits_for_every_group(self, on_redis: _OnRedis) -> None:
        """A group of somebody else, that has read less or nothing, keeps its entries."""
        stream = on_redis.scene().consumer("one")
        for number in range(500):
            on_redis.add(b"%d" % number)
        on_redis.call(stream.unfinished(1))
        on_redis.call(on_redis.redis.xgroup_create(STREAM, "theirs", id="0"))
        entries = on_redis.call(stream.read(500))
        on_redis.call(stream.ack([entry.id for entry in entries]))
        assert 0 == on_redis.call(stream.trim())
        theirs = RedisStream(on_redis.redis, stream=STREAM, group="theirs", consumer="x", life="1")
        read = on_redis.call(theirs.read(250))
        assert 0 == on_redis.call(stream.trim())
        on_redis.call(theirs.ack([entry.id for entry in read]))
        assert 200 <= on_redis.call(stream.trim()) <= 250
        assert [b"250"] == texts(on_redis.call(theirs.read(1)))

    def test_waiting(self, on_redis: _OnRedis) -> None:
        """How many entries nobody has taken yet, or took and has not acknowledged."""
        stream = RedisStream(on_redis.redis, stream=STREAM, group=GROUP, consumer="one", life="1")
        assert 0 == on_redis.call(stream.waiting())
        for number in range(3):
            on_redis.add(b"%d" % number)
        assert 3 == on_redis.call(stream.waiting())
        on_redis.call(stream.unfinished(1))
        entries = on_redis.call(stream.read(2))
        assert 3 == on_redis.call(stream.waiting())
        on_redis.call(stream.ack([entries[0].id]))
        assert 2 == on_redis.call(stream.waiting())

    def test_a_server_that_lost_everything(self, on_redis: _OnRedis, empty_redis: EmbeddedRedis) -> None:
        """Reading goes on with what comes after."""
        del empty_redis
        stream = on_redis.scene().consumer("one")
        on_redis.add(b"0")
        on_redis.call(stream.unfinished(1))
        on_redis.call(stream.read(1))
        on_redis.call(on_redis.redis.flushall())
        for call in (stream.take_over(5, 0), stream.unfinished(5), stream.read(5)):
            assert [] == on_redis.call(call)
        assert 0 == on_redis.call(stream.trim())
        on_redis.add(b"1")
        assert [b"1"] == texts(on_redis.call(stream.read(5)))

    def test_another_kind_of_key(self, on_redis: _OnRedis) -> None:
        """Refused with the server's word for it, not with data."""
        on_redis.call(on_redis.redis.set(STREAM, "no stream"))
        with pytest.raises(RedisAway, match=r"^Redis refused: WRONGTYPE"):
            on_redis.call(on_redis.scene().consumer("one").read(5))


def test_a_server_that_is_away(tmp_path: Path) -> None:
    """One sentence, whatever is asked of it; and no address in it."""
    with _on_redis(f"unix://{tmp_path}/no.sock", 3) as on_redis:
        stream = on_redis.scene().consumer("one")
        one = [Entry(EntryId("1-0"), b"")]
        for call in (
            stream.read(1),
            stream.unfinished(1),
            stream.take_over(1, 1),
            stream.ack([one[0].id]),
            stream.alone(one[0]),
            stream.came_back(one[0]),
            stream.trim(),
        ):
            with pytest.raises(RedisAway) as error:
                on_redis.call(call)
            assert "Redis cannot be reached (ConnectionError); is it running?" == str(error.value)
