"""The stream in several partitions, on a real Redis: what senders, workers, the doorbell and `status` do with them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.desk import Desk, desk_at
from tests.support.webhooks import running_web
from worker.desk import add_events
from worker.dispatch import Turn
from worker.documents.stream import StreamDocument, ask_stream, oldest_event_s
from worker.partitions import partition_key, partition_of_list
from worker.redis_access import broker_url
from worker.wiring import Runtime

STREAM = "leadsync:events"
LISTS = [f"list-{n}" for n in range(12)]


def event(subject: str, number: int = 1) -> bytes:
    """The CRM says that a list has a new name."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"{subject}-{number}",
            "source": "crm",
            "type": "leadlist.changed",
            "subject": subject,
            "time": "2026-01-31T12:00:00Z",
            "sequence": str(number),
            "data": {"fields": {"name": f"Name {number}"}},
        }
    )


def spread(runtime: Runtime, partitions: int) -> None:
    """From now on there are so many."""
    events = runtime.settings.events.model_copy(update={"partitions": partitions})
    runtime.settings = runtime.settings.model_copy(update={"events": events})


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Three partitions; Celery's messages go to the same Redis."""
    from worker.celery_app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app.conf, "broker_url", broker_url(redis_url))
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        spread(desk.runtime, 3)
        for door in ("intake", "upkeep"):
            monkeypatch.setattr(f"tasks.{door}.process_runtime", lambda: desk.runtime)
        yield desk


def subjects(runtime: Runtime, number: int) -> list[str]:
    """Of which lists the events of a partition speak, oldest first."""
    entries: Any = runtime.bells.xrange(partition_key(STREAM, number))
    return [orjson.loads(fields[b"event"])["subject"] for _, fields in entries]


def rung(runtime: Runtime) -> set[int]:
    """Partitions whose intake was sent for."""
    keys: Any = runtime.bells.keys("leadsync:bell:leadsync.intake:*")
    return {int(key.decode().rpartition(":")[2]) for key in keys if key[-1:].isdigit()}


def take_in(runtime: Runtime, partition: int) -> bool:
    """What the task does."""
    from tasks import intake as door

    return runtime.run(door.take_in(runtime, "one", partition, lambda: None))


def test_events_of_a_list_keep_their_order_in_one_partition(desk: Desk) -> None:
    """And lists are spread over all of them."""
    add_events(desk.runtime, [event(subject, number) for number in (1, 2) for subject in LISTS])
    for number in range(3):
        mine = [subject for subject in LISTS if partition_of_list("crm", subject, 3) == number]
        assert mine + mine == subjects(desk.runtime, number)
        assert mine


def test_the_tick_rings_for_those_that_hold_something(desk: Desk) -> None:
    """One message for each, and none for the others."""
    from tasks.upkeep import tick

    add_events(desk.runtime, [event("list-1")])
    tick()
    assert {partition_of_list("crm", "list-1", 3)} == rung(desk.runtime)


def test_all_partitions_together_are_the_stream(desk: Desk) -> None:
    """`status` and metrics add them up, whoever has taken in what."""
    runtime = desk.runtime
    add_events(runtime, [event(subject) for subject in LISTS])
    assert StreamDocument(waiting=12, pending=0) == runtime.run(ask_stream(runtime))
    age = runtime.run(oldest_event_s(runtime))
    assert age is not None
    assert age > 0

    for number in range(3):
        take_in(runtime, number)
    assert StreamDocument(waiting=0, pending=0) == runtime.run(ask_stream(runtime))
    assert 0.0 == runtime.run(oldest_event_s(runtime))
    assert len(LISTS) == desk.status().lists


def test_what_is_left_in_a_partition_that_is_no_longer_configured_is_taken_in(desk: Desk) -> None:
    """With three before and one now, nothing is forgotten in the other two; nobody sends anything there any more."""
    from tasks.upkeep import tick

    runtime = desk.runtime
    add_events(runtime, [event(subject) for subject in LISTS])
    spread(runtime, 1)
    assert StreamDocument(waiting=12, pending=0) == runtime.run(ask_stream(runtime))
    tick()
    assert {0, 1, 2} == rung(runtime)
    for number in rung(runtime):
        take_in(runtime, number)
    assert len(LISTS) == desk.status().lists

    add_events(runtime, [event("list-99")])
    assert ["list-99"] == subjects(runtime, 0)[-1:]


def test_a_partition_is_taken_in_by_one_worker_at_a_time(desk: Desk) -> None:
    """The second goes away at once, and the first is told that there may be more."""
    runtime = desk.runtime
    add_events(runtime, [event("list-1")])
    mine = partition_of_list("crm", "list-1", 3)

    async def held() -> tuple[bool, bool]:
        from tasks import intake as door
        from worker.celery_app import TaskName

        turn = Turn(runtime.redis, TaskName.INTAKE, mine)
        assert await turn.take()
        sent_away = await door.take_in(runtime, "two", mine, lambda: None)
        return sent_away, await turn.end()

    assert (False, True) == runtime.run(held())
    assert 0 == desk.status().lists
    assert not take_in(runtime, mine)
    assert 1 == desk.status().lists


def test_another_partition_need_not_wait(desk: Desk) -> None:
    """Their turns have nothing to do with each other."""
    runtime = desk.runtime
    add_events(runtime, [event(subject) for subject in LISTS])

    async def both() -> None:
        from tasks import intake as door

        await asyncio.gather(*(door.take_in(runtime, f"c{n}", n, lambda: None) for n in range(3)))

    runtime.run(both())
    assert len(LISTS) == desk.status().lists


def test_webhooks_come_to_the_partition_of_their_list(redis_url: str) -> None:
    """The same that `leadsync events publish` chooses."""
    with running_web(redis_url, partitions=3) as web:
        for subject in LISTS:
            assert 202 == web.send(event(subject), id=subject).status
        for number in range(3):
            entries: Any = web.redis.xrange(partition_key(STREAM, number))
            told = [orjson.loads(fields[b"event"])["subject"] for _, fields in entries]
            assert [one for one in LISTS if partition_of_list("crm", one, 3) == number] == told


def test_the_doorbell_listens_to_all_of_them(desk: Desk) -> None:
    """It rings for the partition that something came into, and hears each entry once."""
    from worker import doorbell

    runtime = desk.runtime
    keys = [partition_key(STREAM, number) for number in range(3)]
    heard = doorbell.ring_and_mark(runtime.bells, keys, range(3))
    assert {0, 1, 2} == rung(runtime)
    runtime.bells.delete(*runtime.bells.keys("leadsync:bell:*"))

    [added] = add_events(runtime, [event("list-1")])
    mine = partition_of_list("crm", "list-1", 3)
    heard = doorbell.listen(runtime.bells, keys, heard)
    assert {mine} == rung(runtime)
    assert added == heard[keys[mine]]
