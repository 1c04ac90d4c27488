"""From a few events to their PATCHes in one process: no message has to be waited for. Of many, other processes hear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.push import push_in_turn
from tests.support.waiting import wait_until
from worker.celery_app import TaskName
from worker.desk import add_events
from worker.dispatch import ring
from worker.loop import Loop
from worker.redis_access import PREFIX, broker_url
from worker.settings import Settings
from worker.simulators.running import SIM_TOKEN, RunningSimulator, running
from worker.wiring import Runtime


@pytest.fixture
def lance() -> Iterator[RunningSimulator]:
    """A remote that is called."""
    with running("lance") as remote:
        yield remote


@pytest.fixture
def runtime(
    sqlite_url: str, redis_url: str, lance: RunningSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    """As in a child of Celery, whose messages go to the same Redis."""
    from worker.celery_app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app.conf, "broker_url", broker_url(redis_url))
    remotes = {"crm": "http://127.0.0.1:9", "lance": lance.base_url}
    settings = Settings.model_validate(
        {
            "database": {"url": sqlite_url},
            "redis": {"url": redis_url},
            "remotes": {name: {"kind": name, "base_url": url, "token": SIM_TOKEN} for name, url in remotes.items()},
        }
    )
    runtime = Runtime(settings, redis_url, loop := Loop())
    yield runtime
    loop.drain(10.0)
    runtime.close()
    runtime.bells.close()


def event(number: int, remote_id: str) -> bytes:
    """The CRM renames a list of Lance."""
    data = {"fields": {"name": f"Name {number}"}, "links": {"lance": remote_id}}
    said = {"specversion": "1.0", "id": str(number), "source": "crm", "type": "leadlist.changed"}
    return json.dumps({**said, "subject": str(number), "time": "2026-01-31T12:00:00Z", "data": data}).encode()


def take_in(runtime: Runtime) -> None:
    """What the task does."""
    from tasks import intake as door

    runtime.run(door.take_in(runtime, "one", 0, lambda: None))


def is_rung(runtime: Runtime) -> bool:
    """Whether a push was sent for."""
    return bool(runtime.bells.exists(f"{PREFIX}:bell:leadsync.push:lance"))


def test_a_few_events_are_pushed_here(runtime: Runtime, lance: RunningSimulator) -> None:
    """At once, and nobody is rung for."""
    [one] = lance.seed([{"name": "Old"}])
    add_events(runtime, [event(1, one)])

    take_in(runtime)

    wait_until(lambda: ["Name 1"] == [row["name"] for row in lance.state()], what="it is told")
    assert not is_rung(runtime)


def test_a_remote_that_left_the_settings_is_left_alone(runtime: Runtime) -> None:
    """Its copies may stay due, and each event about them would be an error."""
    del runtime.settings.remotes["lance"]

    runtime.run(push_in_turn(runtime, "lance", rung=False))

    assert not runtime.bells.keys(f"{PREFIX}:bell:*")


def test_the_message_of_another_stays_announced(runtime: Runtime, lance: RunningSimulator) -> None:
    """A push that nobody was rung for does not make room for a second message beside the one under way."""
    assert ring(runtime.bells, TaskName.PUSH, "lance")
    [one] = lance.seed([{"name": "Old"}])
    add_events(runtime, [event(1, one)])
    runtime.run(push_in_turn(runtime, "lance", rung=False))
    assert is_rung(runtime)

    runtime.run(push_in_turn(runtime, "lance"))
    assert not is_rung(runtime)


def test_many_are_somebody_elses(runtime: Runtime, lance: RunningSimulator) -> None:
    """This process has the next events to take in."""
    ids = lance.seed([{"name": "Old"} for _ in range(20)])
    add_events(runtime, [event(number, one) for number, one in enumerate(ids)])

    take_in(runtime)

    assert is_rung(runtime)
    assert {"Old"} == {row["name"] for row in lance.state()}
