"""GET /metrics over real HTTP and databases: who may ask, what it tells, and that counters never go down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from models.lead_list import Field, Standing, Waiting
from models.ledger import Attempt
from models.scan import ScanState, Trigger
from tests.support.desk import Desk, desk_at, standing_copy
from tests.support.exposition import Family, read
from tests.support.heart import agreed_list, copy_of, list_of
from tests.support.stores import attempt, change, loaded, rows
from tests.support.web import Browser, serving
from worker.documents.metrics import METRICS, exposition, samples
from worker.documents.overview import overview
from worker.notes import marks
from worker.parts import Kept
from worker.ports import RemoteState, Tx
from worker.settings import Settings
from worker.store.database import open_database, upgrade
from worker.wiring import Runtime

PASSWORD, TOKEN, METRICS_TOKEN = "correct horse", "token-of-sixteen-characters", "metrics-token-of-prometheus"

Start = Callable[..., Browser]


@pytest.fixture
def start(redis_url: str, sqlite_url: str) -> Iterator[Start]:
    """Starts a web server with these settings of [web], and a browser without a cookie."""
    upgrade(open_database(sqlite_url))
    with contextlib.ExitStack() as stack:

        def begin(**web: Any) -> Browser:
            crm = {"kind": "crm", "base_url": "http://127.0.0.1:9", "token": "t"}
            settings = {"remotes": {"crm": crm}, "database": {"url": sqlite_url}, "web": web}
            runtime = Runtime(Settings.model_validate(settings), redis_url)
            return Browser(stack.enter_context(serving(runtime)))

        yield begin


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM, Instantly and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        yield desk


def told(desk: Desk) -> dict[str, Family]:
    """What any web process would tell now."""
    found = desk.runtime.run(overview(desk.runtime, desk.views, totals=True))
    return read(exposition(samples(found)))


def called(desk: Desk, *attempts: Attempt) -> None:
    """As push notes them."""
    desk.runtime.store.run_now(lambda tx: tx.attempted(attempts))


class TestAccess:
    """As the pages, or with a token of its own."""

    def test_strangers_are_told_nothing(self, start: Start) -> None:
        """One sentence with the next step, no page of a login: Prometheus shows it."""
        web = start(password=PASSWORD, api_token=TOKEN, metrics_token=METRICS_TOKEN)
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic eDp5"}):
            refused = web.ask("GET", "/metrics", headers=headers)
            assert (401, "Bearer") == (refused.status, refused.headers["www-authenticate"])
            assert "leadsync_" not in refused.text
        assert "send web.metrics_token as Authorization: Bearer, or log in" == web.get("/metrics").error

    @pytest.mark.parametrize("token", [TOKEN, METRICS_TOKEN])
    def test_either_token_is_enough(self, start: Start, token: str) -> None:
        """And a session is, of an operator or a viewer."""
        web = start(password=PASSWORD, api_token=TOKEN, metrics_token=METRICS_TOKEN)
        found = web.get("/metrics", authorization=f"Bearer {token}")
        assert (200, "text/plain; version=0.0.4; charset=utf-8") == (found.status, found.headers["content-type"])
        assert "set-cookie" not in found.headers
        web.form("/login", password=PASSWORD)
        assert 200 == web.get("/metrics").status

    def test_the_token_of_metrics_opens_nothing_else(self, start: Start) -> None:
        """Whoever reads Prometheus' settings can see numbers, and change nothing."""
        web = start(password=PASSWORD, metrics_token=METRICS_TOKEN)
        bearer = f"Bearer {METRICS_TOKEN}"
        assert 200 == web.get("/metrics", authorization=bearer).status
        assert 401 == web.get("/api/v1/status", authorization=bearer).status
        assert 401 == web.act("/api/v1/remotes/crm/pause", authorization=bearer).status
        assert 303 == web.get("/", authorization=bearer).status
        assert 303 == web.get("/metrics/", authorization=bearer).status
        assert "no token is accepted here: web.metrics_token is not set" == (
            start(password=PASSWORD).get("/metrics", authorization=bearer).error
        )

    def test_without_a_password_this_machine_only(self, start: Start) -> None:
        """As the pages: a page of another site cannot ask either."""
        web = start()
        assert 200 == web.get("/metrics").status
        assert 403 == web.get("/metrics", host="evil.example").status
        assert 403 == web.get("/metrics", x_forwarded_for="192.0.2.1").status


class TestWhatIsTold:
    """Everything comes from database and Redis."""

    def test_every_name_when_there_is_something_to_tell(self, desk: Desk) -> None:
        """All of the fixed set, in its order, readable by Prometheus."""
        [number, *_] = desk.put(
            agreed_list("crm", "lance", name="A"),
            list_of(standing_copy("crm", "9", Standing.DUE, Waiting.BACKOFF)),
            list_of(standing_copy("lance", "p", Standing.PARKED)),
        )
        called(desk, replace(attempt(number), status=200, lag_ms=300.0), replace(attempt(number), status=429))
        desk.runtime.bells.xadd("leadsync:events", {"event": "{}"})
        marks.leave(desk.runtime.bells, marks.Role.WORKER, "one@here")
        checked = int(datetime.now(UTC).timestamp())
        desk.runtime.bells.hset(
            "leadsync:numbers", mapping={"rules": "", "settled": 1, "after": 0, "lists": 5, "checked_at": checked}
        )
        desk.runtime.store.run_now(_scan)
        found = told(desk)

        assert [metric.name for metric in METRICS] == list(found)
        for metric in METRICS:
            assert (metric.type, metric.help) == (found[metric.name].type, found[metric.name].help)
            for name, labels in found[metric.name].samples:
                assert set(metric.labels) == {label for label, _ in labels} - {"le"}, name
        assert (1.0, 1.0) == (
            found["leadsync_lag_seconds"].value("_bucket", remote="lance", le="0.5"),
            found["leadsync_lag_seconds"].value("_count", remote="lance"),
        )
        assert 0.3 == pytest.approx(found["leadsync_lag_seconds"].value("_sum", remote="lance"))
        assert 1 == found["leadsync_rate_limited_total"].value(remote="lance")
        assert 60 <= found["leadsync_staleness_seconds"].value(remote="crm") < 3_600
        assert 1 == found["leadsync_due_copies"].value(remote="crm", reason="backoff")
        assert 1 == found["leadsync_copies"].value(remote="lance", standing="parked")
        assert (7, 3) == (
            found["leadsync_scan_lists"].value(remote="lance"),
            found["leadsync_scan_drift_lists"].value(remote="lance"),
        )
        assert 1 == found["leadsync_calls_total"].value(remote="lance", action="page", lane="scan", status="200")
        assert 1 == found["leadsync_stream_waiting_events"].value()
        assert 1 == found["leadsync_processes"].value(role="worker")

    def test_copies_add_up(self, desk: Desk) -> None:
        """As `status` counts them."""
        desk.put(
            agreed_list("crm", "lance", name="A"),
            *(list_of(standing_copy("crm", word, Standing(word))) for word in ("due", "parked", "conflict")),
        )
        copies, status = told(desk)["leadsync_copies"], desk.status().copies

        assert status.total == sum(copies.samples.values())

    def test_what_waits_for_people_is_not_stale(self, desk: Desk) -> None:
        """Review and brake hold copies by intent."""
        desk.put(*(list_of(standing_copy("crm", w.value, Standing.DUE, w)) for w in (Waiting.REVIEW, Waiting.BRAKE)))
        found = told(desk)

        assert 0 == found["leadsync_staleness_seconds"].value(remote="crm")
        assert 1 == found["leadsync_due_copies"].value(remote="crm", reason="review")

    def test_saved_calls(self, desk: Desk) -> None:
        """Ten changes of one list are ten patches to each other copy that shows the field; one was sent."""
        copies = [copy_of(remote, {Field.NAME: "A"}) for remote in ("crm", "lance")]
        [number] = desk.put(list_of(*copies, copy_of("instantly", {}), wanted={Field.NAME: "A"}))

        def ten(tx: Tx) -> None:
            lead_list = tx.load([number])[number]
            tx.save([(lead_list, lead_list)])
            tx.note(number, [change("A", "B")] * 10)

        desk.runtime.store.run_now(ten)
        called(desk, replace(attempt(number), status=200))
        found = told(desk)

        assert 10 == found["leadsync_patches_needed_total"].value(remote="lance")
        assert 9 == found["leadsync_saved_calls"].value(remote="lance")
        assert 0 == found["leadsync_patches_needed_total"].value(remote="instantly")
        assert 0 == found["leadsync_patches_needed_total"].value(remote="crm")

    def test_what_nobody_can_tell_is_left_out(self, desk: Desk) -> None:
        """Redis away: no budgets, no stream, no zeros in their place."""
        desk.runtime.redis_url = "redis://127.0.0.1:9/0"
        found = told(desk)

        assert 0 == found["leadsync_reachable"].value(part="redis")
        assert 1 == found["leadsync_reachable"].value(part="database")
        assert not {"leadsync_budget_used", "leadsync_stream_age_seconds", "leadsync_processes"} & set(found)
        assert "leadsync_copies" in found

    def test_the_database_is_away(self, start: Start, sqlite_url: str) -> None:
        """It answers all the same, and says so."""
        web = start()
        engine = open_database(sqlite_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE totals")
        found = read(web.get("/metrics").text)

        assert 0 == found["leadsync_reachable"].value(part="database")
        assert "leadsync_copies" not in found

    def test_names_of_remotes_are_only_text(self, desk: Desk) -> None:
        """Whatever an older version let people call one."""
        desk.put(list_of(standing_copy('a"b\\c\n', "1", Standing.DUE)))
        found = told(desk)

        assert 1 == found["leadsync_copies"].value(remote='a"b\\c\n', standing="due")

    def test_nothing_personal(self, desk: Desk) -> None:
        """No name of a list, no id, no word of a remote."""
        copy = replace(copy_of("crm", {Field.NAME: "Ada Lovelace"}), remote_id="list-of-ada")
        [number] = desk.put(list_of(copy, wanted={Field.NAME: "Ada Lovelace"}))
        called(desk, replace(attempt(number), note="Ada said no"))
        state = RemoteState(True, "Ada revoked it", "ask Ada", datetime.now(UTC))
        desk.runtime.store.run_now(lambda tx: tx.set_remote_state("crm", state))
        text = exposition(samples(desk.runtime.run(overview(desk.runtime, desk.views, totals=True))))

        assert "ada" not in text.lower()

    def test_the_age_of_the_oldest_event(self, desk: Desk) -> None:
        """One that was taken and not finished counts too; afterwards there is none."""
        redis, stream = desk.runtime.bells, desk.runtime.stream("one")
        assert 0 == told(desk)["leadsync_stream_age_seconds"].value()
        old = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp() * 1000)
        redis.xadd("leadsync:events", {"event": "{}"}, id=f"{old}-0")
        assert 300 == pytest.approx(told(desk)["leadsync_stream_age_seconds"].value(), abs=30)
        desk.runtime.run(stream.read(1))  # makes the group
        [entry] = desk.runtime.run(stream.read(1))
        redis.xadd("leadsync:events", {"event": "{}"})
        assert 300 == pytest.approx(told(desk)["leadsync_stream_age_seconds"].value(), abs=30)
        desk.runtime.run(stream.ack([entry.id]))
        assert 30 > told(desk)["leadsync_stream_age_seconds"].value()


class TestCounters:
    """They only grow, over any number of processes."""

    def test_forgotten_rows_stay_counted(self, desk: Desk) -> None:
        """`sync.keep_days` forgets attempts and certificates."""
        [number] = desk.put(agreed_list("crm", "lance", name="A"))
        called(desk, *(replace(attempt(number), status=200, lag_ms=lag) for lag in (10.0, 2_000.0, 1e9)))
        desk.runtime.store.run_now(_scan)
        before = told(desk)
        later = datetime.now(UTC) + timedelta(days=1)
        desk.runtime.store.run_now(lambda tx: tx.upkeep.forget(Kept.ATTEMPTS, later, 100))
        desk.runtime.store.run_now(lambda tx: tx.upkeep.forget(Kept.SCANS, later, 100))
        assert [(0,)] == rows(desk.runtime.store, "SELECT count(*) FROM attempts")
        after = told(desk)

        for name in ("leadsync_calls_total", "leadsync_lag_seconds"):
            assert before[name].samples == after[name].samples

    def test_a_transaction_that_fails_counts_nothing(self, desk: Desk) -> None:
        """Attempts and totals are one."""
        [number] = desk.put(agreed_list("crm", "lance", name="A"))

        def fails(tx: Tx) -> None:
            tx.attempted([attempt(number)])
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            desk.runtime.store.run_now(fails)
        assert "leadsync_calls_total" not in told(desk)

    def test_several_processes_add_up(self, desk: Desk, database_url: str, redis_url: str) -> None:
        """Each with a store of its own, at the same time, in other orders of remotes; all tell the same."""
        [number] = desk.put(agreed_list("crm", "lance", name="A"))

        def work(turn: int) -> None:
            with desk_at(database_url, redis_url, "crm", "instantly", "lance") as other:
                for _ in range(20):
                    names = ["crm", "lance", "instantly"][:: 1 if turn % 2 else -1]
                    called(other, *(replace(attempt(number), remote=name, status=200) for name in names))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))
        for remote in ("crm", "instantly", "lance"):
            labels = {"remote": remote, "action": "patch", "lane": "live", "status": "200"}
            assert 80 == told(desk)["leadsync_calls_total"].value(**labels)

    def test_a_scrape_is_some_cheap_queries_and_serves_all_for_some_seconds(self, start: Start) -> None:
        """The second one asks nobody."""
        web = start()
        asked: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            asked.append(statement)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            first = web.get("/metrics").text
            once = len(asked)
            second = web.get("/metrics").text
        finally:
            event.remove(Engine, "before_cursor_execute", note)

        assert first == second
        assert once == len(asked)
        assert once <= 14


def _scan(tx: Tx) -> None:
    scan = tx.scans.open("lance", Trigger.SCHEDULE)
    tx.scans.add_page(scan, ["a", "b"])
    ended = scan.started_at + timedelta(seconds=9)
    tx.scans.save(replace(scan, state=ScanState.COMPLETE, ended_at=ended, pages=1, lists=7, drift=3, repaired=3))


def test_a_list_is_as_it_was(desk: Desk) -> None:
    """Counting changes nothing of what is counted."""
    [number] = desk.put(agreed_list("crm", "lance", name="A"))
    before = loaded(desk.runtime.store, number)
    called(desk, attempt(number))

    assert before == loaded(desk.runtime.store, number)
