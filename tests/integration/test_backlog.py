"""The plots of saved calls and of the backlog, over real databases and Redis: noted minute by minute, shown on Now."""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis

from models.alert import Alert, AlertKind
from models.lead_list import Standing, Waiting
from tasks import alerts as door
from tests.support.desk import NOW, Desk, desk_at, standing_copy
from tests.support.heart import agreed_list, list_of
from tests.support.stores import attempt, change
from tests.support.web import Browser, serving
from worker.documents.backlog import BacklogMinute, backlog, told
from worker.documents.remembered import Remembered
from worker.notes.pulse import Pulse, keep, pulses
from worker.store.sql import SqlTx
from worker.wiring import Runtime

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "lance") as desk:
        yield desk


def pulse(minutes: float, needed: int = 0, sent: int = 0, stale_s: float = 0.0) -> Pulse:
    """That many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    return Pulse(at=at, needed=needed, sent=sent, stale_s=stale_s, event_s=None)


def test_minutes_tell_what_was_added_in_each() -> None:
    """A minute that nobody looked before is not guessed; a total that fell, as after a restore, is no minus."""
    found = told([pulse(0, 10, 4), pulse(1, 15, 6), pulse(3, 100, 50), pulse(4, 90, 52)])

    assert [None, 5, None, 0] == [one.needed for one in found.minutes.values()]
    assert [None, 2, None, 2] == [one.sent for one in found.minutes.values()]
    assert 5 - 2 + 0 - 2 == found.saved


def test_nobody_has_looked() -> None:
    """Unknown stays unknown."""
    assert (None, BacklogMinute()) == (told([]).saved, told([]).last)
    assert told([pulse(0)]).saved is None


def test_an_hour_is_kept(redis_url: str) -> None:
    """The last look of each minute; older minutes go, and all of it when nobody looks any more."""
    with redis.Redis.from_url(redis_url) as client:
        for seconds in range(0, 70 * 60, 30):
            keep(client, pulse(seconds / 60, needed=seconds))
        found = pulses(client)
        left_s = client.ttl("leadsync:pulse")

    assert 62 == len(found) == len({one.at for one in found})
    assert (NOON + timedelta(minutes=69), 69 * 60 + 30) == (found[-1].at, found[-1].needed)
    assert 3_000 < left_s <= 4_000


def test_the_task_notes_how_everything_stands(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needed and sent from the running totals, the oldest due copy from the copies."""
    monkeypatch.setattr("tasks.alerts.process_runtime", lambda: desk.runtime)
    [number] = desk.put(agreed_list("crm", "lance", name="A"))
    desk.put(list_of(standing_copy("lance", "2", Standing.DUE, Waiting.TURN)))
    desk.runtime.store.run_now(lambda tx: _changed(tx, number))
    desk.runtime.store.run_now(lambda tx: tx.attempted([attempt(number)]))
    door.alerts()

    [found] = pulses(desk.runtime.bells)
    assert (1, 1) == (found.needed, found.sent)
    # As the desk puts it: for a minute when these tests were loaded, however long ago that is.
    # It is kept to the tenth of a second.
    assert 60 <= found.stale_s <= 60.1 + (datetime.now(UTC) - NOW).total_seconds()
    assert 0.0 == found.event_s
    assert found.stale_s == desk.runtime.run(backlog(desk.runtime)).last.stale_s


def _changed(tx: Any, number: int) -> None:
    """One change that another copy must be told of."""
    before = tx.load([number])[number]
    tx.note(number, [change("A", "B")])
    tx.save([(before, before)])


def test_now_shows_plots_and_open_alerts(desk: Desk, redis_url: str) -> None:
    """What is bad stands at the top, in the API too; what has recovered does not."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for back, needed in ((2, 0), (1, 40)):
        at = now - timedelta(minutes=back)
        keep(desk.runtime.bells, Pulse(at=at, needed=needed, sent=needed // 4, stale_s=125.0, event_s=3.0))
    for one in (_alert("crm", bad=True), _alert("lance", bad=True), _alert("lance", bad=False)):
        desk.runtime.store.run_now(partial(_told, alert=one))
    with serving(Runtime(desk.runtime.settings, redis_url)) as port:
        browser = Browser(port)
        page, found = browser.get("/").text, browser.get("/api/v1/alerts?open=true").json
        every = browser.get("/api/v1/alerts").json
        assert 400 <= browser.get("/api/v1/alerts?open=maybe").status < 500

    [numbers] = re.findall(r'data-numbers="([^"]*)"', page)
    plots = orjson.loads(html.unescape(numbers))
    minute = plots["at"].index(int((now - timedelta(minutes=1)).timestamp()))
    assert [40, 10, 125.0, 3.0] == [plots[name][minute] for name in ("needed", "sent", "stale", "event")]
    assert "<b>30</b> in the last hour" in page
    assert 1 == page.count('role="alert"')
    assert "crm &lt;is&gt; paused" in page
    assert "next: resume it" in page
    assert (["crm"], None) == ([one["remote"] for one in found["items"]], found["next"])
    assert 3 == len(every["items"])


def test_an_alert_is_news_to_pages_that_are_open(desk: Desk) -> None:
    """They show it at once, and its end too."""
    marks = [desk.views.look(lambda view: view.marks())]
    for bad in (True, False):
        desk.runtime.store.run_now(partial(_told, alert=_alert("crm", bad=bad)))
        marks.append(desk.views.look(lambda view: view.marks()))

    assert marks[0] != marks[1] != marks[2]


def _told(tx: SqlTx, alert: Alert) -> None:
    tx.alerts.add(alert)


def _alert(about: str, *, bad: bool) -> Alert:
    return Alert(
        id=0,
        kind=AlertKind.PAUSED,
        about=about,
        nth=1 if bad else 2,
        bad=bad,
        at=datetime.now(UTC),
        says=f"{about} <is> paused",
        next_step="resume it" if bad else "",
        wavers_since=None,
        message="m",
        told_at=None,
        tries=0,
        due_at=datetime.now(UTC),
        trouble="",
    )


def test_what_takes_long_is_remembered(desk: Desk) -> None:
    """For twenty times as long as it took; whoever has just acted is told anew."""
    clock = iter([0.0, 1.0, 19.9, 20.0, 20.0, 22.0, 23.0, 24.0])
    count = itertools.count(1)
    tally = Remembered(lambda _: next(count), lambda: next(clock))

    def ask(*, fresh: bool = False) -> int:
        return desk.runtime.run(tally.ask(desk.views, fresh=fresh))

    assert [1, 1, 2] == [ask(), ask(), ask()]
    assert 3 == ask(fresh=True)


def test_what_is_counted_soon_is_counted_anew(desk: Desk) -> None:
    """Small databases are never told of as they were."""
    clock = iter([0.0, 0.009, 0.01, 0.02, 0.025])
    count = itertools.count(1)
    tally = Remembered(lambda _: next(count), lambda: next(clock))

    assert [1, 2] == [desk.runtime.run(tally.ask(desk.views)) for _ in range(2)]
