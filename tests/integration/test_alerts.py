"""Alerts over real databases, Redis and HTTP: told once when a state turns bad and once when it recovers."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from models.lead_list import Standing, Waiting
from models.scan import ScanState, Trigger
from tasks import alerts as door
from tests.support.desk import Desk, desk_at, standing_copy
from tests.support.heart import list_of
from tests.support.receiver import Receiver, receiving
from tests.support.stores import rows
from worker.limits.base import Ending, Lane, Report
from worker.ports import RemoteState, Tx
from worker.settings import AlertSettings, Settings

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who takes alerts."""
    with receiving() as one:
        yield one


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "lance") as desk:
        yield desk


def configured(desk: Desk, receiver: Receiver | None, **more: Any) -> None:
    """Alerts go there, at once unless said otherwise."""
    known = {} if receiver is None else {"url": receiver.url, "secret": SECRET}
    alerts = AlertSettings.model_validate({**known, "settle_s": 0, **more})
    desk.runtime.settings = desk.runtime.settings.model_copy(update={"alerts": alerts})


@pytest.fixture
def task(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """What beat sends, in this process."""
    monkeypatch.setattr("tasks.alerts.process_runtime", lambda: desk.runtime)
    return door.alerts


def pause(desk: Desk, remote: str = "lance", *, paused: bool = True) -> None:
    """As lost credentials would."""
    state = RemoteState(paused, "lance answered 401", "renew its token", datetime.now(UTC)) if paused else RemoteState()
    desk.runtime.store.run_now(lambda tx: tx.set_remote_state(remote, state))


def test_once_when_it_turns_bad_and_once_when_it_recovers(
    desk: Desk, task: Callable[[], None], receiver: Receiver
) -> None:
    """However often beat looks; signed as receivers check it, and in the log."""
    configured(desk, receiver)
    task()
    assert [] == receiver.got
    with capture_logs() as logs:
        for paused in (True, False):
            pause(desk, paused=paused)
            for _ in range(3):
                task()

    assert [("alert.bad", "lance", "paused"), ("alert.recovered", "lance", "paused")] == receiver.told()
    bad = receiver.got[0]
    bad.prove(KEY, time.time())
    assert "/hooks?key=k1" == bad.path
    assert ("lance is paused: lance answered 401", "renew its token") == (
        bad.json["data"]["says"],
        bad.json["data"]["next_step"],
    )
    assert [("alert", "error"), ("alert_recovered", "warning")] == [(one["event"], one["log_level"]) for one in logs]
    assert not {name for name, _ in bad.headers} & {b"authorization", b"cookie"}


def test_a_restart_and_a_second_beat_tell_nothing_again(
    desk: Desk, database_url: str, redis_url: str, receiver: Receiver
) -> None:
    """What was told is in the database: four workers look at the same moment, each with nothing in its memory."""
    configured(desk, receiver)
    pause(desk)
    both = threading.Barrier(4)

    def another(_: int) -> None:
        with desk_at(database_url, redis_url, "crm", "lance") as other:
            configured(other, receiver)
            both.wait()
            other.runtime.run(door.look(other.runtime))
            other.runtime.run(door.send(other.runtime))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(another, range(4)))

    assert [("alert.bad", "lance", "paused")] == receiver.told()


def test_what_comes_and_goes_is_no_news(desk: Desk, task: Callable[[], None], receiver: Receiver) -> None:
    """A state must last for `alerts.settle_s`."""
    configured(desk, receiver, settle_s=60)
    for paused in (True, False, True):
        pause(desk, paused=paused)
        task()
    assert [] == receiver.got

    long_ago = (datetime.now(UTC) - timedelta(minutes=2)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with desk.runtime.store._engine.begin() as connection:
        zone = "" if connection.dialect.name == "sqlite" else "+00:00"
        connection.exec_driver_sql(f"UPDATE alerts SET wavers_since = '{long_ago}{zone}'")
    task()

    assert [("alert.bad", "lance", "paused")] == receiver.told()


@pytest.mark.parametrize("answer", [None, 302, 410, 500])
def test_what_nobody_took_is_sent_again_under_the_same_id(
    desk: Desk, task: Callable[[], None], receiver: Receiver, answer: int | None
) -> None:
    """Whether the receiver hung up, redirects, or refuses; not at once, and not elsewhere."""
    configured(desk, receiver)
    receiver.answers = [answer]
    pause(desk)
    for _ in range(2):
        task()
    assert 1 == len(receiver.got)
    [[trouble, tries]] = rows(desk.runtime.store, "SELECT trouble, tries FROM alerts WHERE nth = 1")
    assert (True, 1) == (bool(trouble), tries)
    assert "k1" not in trouble

    at_once(desk)
    task()
    assert {"/hooks?key=k1"} == {one.path for one in receiver.got}
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    second.prove(KEY, time.time())
    assert [("", 2)] == rows(desk.runtime.store, "SELECT trouble, tries FROM alerts WHERE nth = 1")


def at_once(desk: Desk) -> None:
    """The wait after a failed try is over."""
    with desk.runtime.store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alerts SET due_at = at")


def test_alerts_of_one_state_are_told_in_their_order(desk: Desk, task: Callable[[], None], receiver: Receiver) -> None:
    """What recovered while nobody took that it was bad: both are told, others do not wait for it."""
    configured(desk, receiver)
    receiver.answers = [503]
    pause(desk)
    task()
    pause(desk, paused=False)
    pause(desk, "crm")
    task()
    assert [("alert.bad", "lance", "paused"), ("alert.bad", "crm", "paused")] == receiver.told()

    at_once(desk)
    for _ in range(2):
        task()
    assert [("alert.bad", "lance", "paused"), ("alert.recovered", "lance", "paused")] == receiver.told()[2:]


def test_a_receiver_that_hangs_holds_up_nobody_for_long(
    desk: Desk, task: Callable[[], None], receiver: Receiver
) -> None:
    """One deadline for all of it."""
    configured(desk, receiver, timeout_s=0.3)
    receiver.may_answer.clear()
    pause(desk)
    began = time.monotonic()
    task()

    assert time.monotonic() - began < 10
    [[trouble]] = rows(desk.runtime.store, "SELECT trouble FROM alerts WHERE nth = 1")
    assert f"no answer from 127.0.0.1:{receiver.port} within 0.3 s" == trouble


def test_without_an_address_alerts_are_in_the_log_only(
    desk: Desk, task: Callable[[], None], receiver: Receiver
) -> None:
    """And an address that is set later gets none of the old ones."""
    configured(desk, None)
    pause(desk)
    with capture_logs() as logs:
        task()
    configured(desk, receiver)
    task()

    assert (["alert"], []) == ([one["event"] for one in logs], receiver.got)


def test_each_state_has_its_alert(desk: Desk, task: Callable[[], None], receiver: Receiver) -> None:
    """Breaker, staleness, parked copies, scans and numbers; for each remote of its own."""
    configured(desk, receiver, stale_after_s=30, parked_above=1)
    desk.put(
        list_of(standing_copy("crm", "1", Standing.DUE, Waiting.BACKOFF)),
        list_of(standing_copy("crm", "2", Standing.PARKED)),
        *(list_of(standing_copy("lance", f"p{number}", Standing.PARKED)) for number in range(2)),
        list_of(standing_copy("lance", "r", Standing.DUE, Waiting.REVIEW)),
    )

    async def fail() -> None:
        for _ in range(5):
            [ticket] = (await desk.runtime.budget("lance").reserve(Lane.LIVE, 1)).tickets
            await desk.runtime.budget("lance").reserve(Lane.LIVE, 0, [Report(ticket=ticket, ending=Ending.FAILED)])

    desk.runtime.run(fail())
    scanned(desk, "crm", ScanState.HELD)
    scanned(desk, "lance", ScanState.INCOMPLETE)
    desk.runtime.bells.hset(
        "leadsync:numbers",
        mapping={"rules": "", "settled": 1, "after": 0, "lists": 5, "checked_at": int(time.time())},
    )
    desk.runtime.bells.set("leadsync:numbers:mismatches", 2)
    task()

    assert {
        ("alert.bad", "crm", "stale"),
        ("alert.bad", "lance", "parked"),
        ("alert.bad", "lance", "breaker"),
        ("alert.bad", "crm", "scan"),
        ("alert.bad", "lance", "scan"),
        ("alert.bad", None, "numbers"),
    } == set(receiver.told())
    assert all(one.json["data"]["next_step"] for one in receiver.got)


def scanned(desk: Desk, remote: str, state: ScanState) -> None:
    """A scan that ended so."""

    def work(tx: Tx) -> None:
        scan = tx.scans.open(remote, Trigger.SCHEDULE)
        tx.scans.save(replace(scan, state=state, ended_at=tx.now, note="of 20 known lists, 12 were changed there"))

    desk.runtime.store.run_now(work)


def test_what_cannot_be_told_neither_alarms_nor_recovers(
    desk: Desk, task: Callable[[], None], receiver: Receiver
) -> None:
    """Redis is away: breakers and numbers stay as they were told; what the database knows is told."""
    configured(desk, receiver)
    desk.runtime.bells.hset(
        "leadsync:numbers",
        mapping={"rules": "", "settled": 1, "after": 0, "lists": 5, "checked_at": int(time.time())},
    )
    desk.runtime.bells.set("leadsync:numbers:mismatches", 2)
    task()
    desk.runtime.bells.flushall()
    pause(desk)
    task()

    assert [("alert.bad", None, "numbers"), ("alert.bad", "lance", "paused")] == receiver.told()


def test_a_remote_that_left_the_settings_recovers(desk: Desk, task: Callable[[], None], receiver: Receiver) -> None:
    """Nobody is left with an alert that nothing can end."""
    configured(desk, receiver)
    pause(desk)
    task()
    remotes = {"crm": desk.runtime.settings.remotes["crm"]}
    desk.runtime.settings = Settings.model_copy(desk.runtime.settings, update={"remotes": remotes})
    task()

    assert ("alert.recovered", "lance", "paused") == receiver.told()[-1]
    assert "lance is no longer in the settings" == receiver.got[-1].json["data"]["says"]


def test_old_alerts_are_forgotten_but_for_the_last_of_each_state(
    desk: Desk, task: Callable[[], None], receiver: Receiver
) -> None:
    """`sync.keep_days` counts for them too; what must still be sent stays."""
    configured(desk, receiver)
    for paused in (True, False, True):
        pause(desk, paused=paused)
        task()
    old = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%d %H:%M:%S.%f")
    with desk.runtime.store._engine.begin() as connection:
        zone = "" if connection.dialect.name == "sqlite" else "+00:00"
        connection.exec_driver_sql(f"UPDATE alerts SET at = '{old}{zone}'")
        connection.exec_driver_sql("UPDATE alerts SET told_at = NULL WHERE nth = 2")
    sync = desk.runtime.settings.sync.model_copy(update={"keep_days": 30})
    desk.runtime.settings = desk.runtime.settings.model_copy(update={"sync": sync})
    desk.runtime.run(door.forget(desk.runtime))

    assert [(2,), (3,)] == rows(desk.runtime.store, "SELECT nth FROM alerts ORDER BY nth")
