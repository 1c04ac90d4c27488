"""Upkeep on real databases: rows that somebody spoiled are found, told and mended; what is old goes bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs

from models.lead_list import Standing
from models.scan import Scan, ScanState, Trigger
from tests.support.desk import Desk, desk_at, standing_copy
from tests.support.heart import agreed_list, list_of, with_members
from tests.support.stores import attempt, change, loaded, opened, rows, saved
from tests.support.world import TestClock
from worker.documents.doctor import Check, Result, judge_numbers
from worker.documents.numbers import ask_numbers
from worker.parts import Kept
from worker.ports import Reject, Tx
from worker.store.sql import SqlStore
from worker.sync import upkeep
from worker.sync.upkeep import forget

NOW = datetime.now(UTC)


@pytest.fixture
def sql(database_url: str) -> Iterator[SqlStore]:
    """A store on SQLite, and one on PostgreSQL."""
    with opened(database_url) as store:
        yield store


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM, Instantly and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        yield desk


def by_hand(store: SqlStore, statement: str) -> None:
    """What somebody types into a shell of the database."""
    with store._engine.begin() as connection:
        connection.exec_driver_sql(statement)


def look(desk: Desk) -> None:
    """What the task does every minute."""
    from tasks.upkeep import check_numbers

    check_numbers(desk.runtime)


def judged(desk: Desk) -> Check:
    """What doctor says, while workers run."""
    return judge_numbers(desk.runtime.run(ask_numbers(desk.runtime)), started=True)


class TestNumbers:
    """A row that was spoiled is found, told and mended."""

    @pytest.mark.parametrize(
        ("statement", "mismatches"),
        [
            ("UPDATE copies SET standing = 'due', due_at = NULL WHERE remote = 'lance'", 1),
            ("UPDATE copies SET standing = 'parked' WHERE remote = 'lance'", 1),
            ("UPDATE copies SET standing = 'lost' WHERE remote = 'lance'", 1),
            ("UPDATE copies SET waiting = 'godot' WHERE remote = 'lance'", 1),
            ("UPDATE members SET differs = NOT differs WHERE member = 'p1'", 1),
            ("DELETE FROM links WHERE remote = 'lance'", 1),
            ("DELETE FROM copies WHERE remote = 'lance'", 1),
        ],
    )
    def test_a_spoiled_row(self, desk: Desk, statement: str, mismatches: int) -> None:
        """Status says so and asks for a person, doctor too, the log says which list; the next look finds nothing."""
        [number] = desk.put(with_members(agreed_list("crm", "lance", name="A"), "p1", shown_by=["crm", "lance"]))
        assert ("unknown", Result.UNKNOWN) == (desk.status().numbers, judged(desk).result)
        look(desk)  # the first round makes lists stand as these settings have it
        look(desk)
        assert (0, False, Result.OK) == (_mismatches(desk), desk.status().needs_a_person, judged(desk).result)

        by_hand(desk.runtime.store, statement)
        with capture_logs() as logs:
            look(desk)
        told = [(one["event"], one["log_level"], one["list_id"]) for one in logs]
        assert [("numbers_do_not_add_up", "error", number)] == told[:mismatches]
        assert (mismatches, True, Result.BAD) == (
            _mismatches(desk),
            desk.status().needs_a_person,
            judged(desk).result,
        )
        with capture_logs() as logs:
            look(desk)
        assert ([], mismatches) == (logs, _mismatches(desk))
        assert desk.status().copies.total == len(rows(desk.runtime.store, "SELECT * FROM links"))

    def test_a_link_without_a_copy_is_read_anew(self, desk: Desk) -> None:
        """Nothing is sent on a guess."""
        [number] = desk.put(agreed_list("crm", "lance", name="A"))
        look(desk)
        by_hand(desk.runtime.store, "DELETE FROM copies WHERE remote = 'lance'")
        look(desk)
        copy = loaded(desk.runtime.store, number).copies["lance"]

        assert (Standing.DUE, True, {}) == (copy.standing, copy.look, copy.seen)
        assert copy.due_at is not None

    def test_other_settings_are_no_alarm(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """A round under new settings, or new code, mends in silence; so does the very first."""
        desk.put(agreed_list("crm", "lance", name="A"))
        look(desk)
        look(desk)
        by_hand(desk.runtime.store, "UPDATE copies SET standing = 'parked' WHERE remote = 'lance'")
        monkeypatch.setattr("tasks.upkeep.version", lambda _: "99.0")
        look(desk)

        assert (0, 2) == (_mismatches(desk), desk.status().copies.in_sync)

    def test_round_by_round(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was checked is counted over the looks of one round."""
        for name, value in (("_BATCH", 2), ("_FEW", 2), ("_MANY", 2)):
            monkeypatch.setattr(upkeep, name, value)
        desk.put(*(list_of(standing_copy("crm", str(number), Standing.IN_SYNC)) for number in range(3)))
        counts = []
        for _ in range(4):
            look(desk)
            found = desk.status().numbers
            assert not isinstance(found, str)
            counts.append(found.lists_checked)

        assert [2, 3, 2, 3] == counts


def _mismatches(desk: Desk) -> int:
    found = desk.status().numbers
    assert not isinstance(found, str)
    return found.mismatches


class TestTheTask:
    """What beat sends every minute."""

    @pytest.fixture
    def task(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """In this process, with the desk's runtime."""
        from tasks.upkeep import upkeep as task

        monkeypatch.setattr("tasks.upkeep.process_runtime", lambda: desk.runtime)
        return task

    def test_it_does_each_part(self, desk: Desk, task: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
        """Dead consumers go, the numbers are looked at, and old rows go once settings say so."""
        monkeypatch.setattr("tasks.upkeep._DEAD_S", 0.0)
        sync = desk.runtime.settings.sync.model_copy(update={"keep_days": 30})
        desk.runtime.settings = desk.runtime.settings.model_copy(update={"sync": sync})
        desk.runtime.run(desk.runtime.stream("dead").unfinished(1))
        desk.runtime.run(desk.runtime.stream("dead").read(1))
        _history(desk.runtime.store, old=3, young=1)
        task()

        assert [] == desk.runtime.bells.xinfo_consumers("leadsync:events", "leadsync")
        assert 0 == _mismatches(desk)
        assert [(1,)] == rows(desk.runtime.store, "SELECT count(*) FROM changes")

    def test_without_redis_old_rows_go_all_the_same(self, desk: Desk, task: Callable[[], None]) -> None:
        """Each part that cannot be done now is one line in the log."""
        sync = desk.runtime.settings.sync.model_copy(update={"keep_days": 30})
        desk.runtime.settings = desk.runtime.settings.model_copy(update={"sync": sync})
        desk.runtime.redis_url = "redis://127.0.0.1:9/0"
        _history(desk.runtime.store, old=3, young=1)
        with capture_logs() as logs:
            task()

        assert [("task_put_off", "leadsync.upkeep")] * 2 == [(one["event"], one["task"]) for one in logs]
        assert [(1,)] == rows(desk.runtime.store, "SELECT count(*) FROM changes")
        assert "unknown" == desk.status().numbers


class TestForget:
    """What `sync.keep_days` does."""

    def test_the_oldest_go_and_the_rest_stays(self, sql: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """In small transactions, until nothing is old; rejects stay."""
        monkeypatch.setattr(upkeep, "_OLDEST", 3)
        _history(sql, old=10, young=4)
        gone = asyncio.run(forget(sql, TestClock(), keep_days=30))

        assert 20 == gone
        for table in ("changes", "attempts"):
            assert [(4,)] == rows(sql, f"SELECT count(*) FROM {table}")
        assert [(1,)] == rows(sql, "SELECT count(*) FROM rejects")

    def test_a_row_out_of_order_holds_up_nothing(self, sql: SqlStore) -> None:
        """Clocks of workers differ: a young row among old ones stays, the others go."""
        _history(sql, old=3, young=1)
        by_hand(sql, "UPDATE changes SET at = '2999-01-01 00:00:00+00:00' WHERE id = 2".replace("+00:00", _zone(sql)))
        asyncio.run(forget(sql, TestClock(), keep_days=30))

        assert [(2,), (4,)] == rows(sql, "SELECT id FROM changes ORDER BY id")

    def test_when_nothing_is_old_only_the_oldest_rows_are_read(self, sql: SqlStore) -> None:
        """One look along the primary key for each table, and nothing is written."""
        _history(sql, old=0, young=5)
        asked: list[str] = []

        def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
            asked.append(statement)

        event.listen(sql._engine, "before_cursor_execute", note)
        assert 0 == asyncio.run(forget(sql, TestClock(), keep_days=30))
        few = ("DELETE FROM plans", "DELETE FROM gone_lists")
        assert [] == [one for one in asked if one.startswith("DELETE") and not one.startswith(few)]
        assert 3 == sum("LIMIT" in one and "ORDER BY" in one for one in asked)

    def test_certificates(self, sql: SqlStore) -> None:
        """The last scan of a remote stays, the last complete one too, and one that a person must decide about."""
        kept = [
            _scan(sql, "crm", state)
            for state in (
                ScanState.COMPLETE,
                ScanState.HELD,
                ScanState.COMPLETE,
                ScanState.INCOMPLETE,
                ScanState.INCOMPLETE,
            )
        ]
        alone = _scan(sql, "lance", ScanState.INCOMPLETE)
        gone = sql.run_now(lambda tx: tx.upkeep.forget(Kept.SCANS, NOW, 100))

        assert 2 == gone
        left = [row[0] for row in rows(sql, "SELECT id FROM scans ORDER BY id")]
        assert [kept[1], kept[2], kept[4], alone] == left
        assert 0 == sql.run_now(lambda tx: tx.upkeep.forget(Kept.SCANS, NOW, 100))


def _zone(sql: SqlStore) -> str:
    return ".000000" if sql._engine.dialect.name == "sqlite" else "+00:00"


def _history(sql: SqlStore, *, old: int, young: int) -> None:
    """Rows of the ledger, some of them 31 days old, and a reject of then."""
    number = saved(sql, agreed_list("crm", name="A")).id
    sql.run_now(lambda tx: tx.note(number, [change("A", "B")] * (old + young)))
    sql.run_now(lambda tx: tx.attempted([attempt(number)] * (old + young)))
    sql.run_now(lambda tx: tx.reject([Reject(entry_id="1-0", reason="bad", event="{}")]))
    for table, moment, last in (("changes", 31, old), ("attempts", 31, old), ("changes", 1, -1), ("attempts", 1, -1)):
        at = NOW - timedelta(days=moment)
        which = f"id <= {last}" if last >= 0 else f"id > {old}"
        text = at.strftime("%Y-%m-%d %H:%M:%S.%f") + ("" if sql._engine.dialect.name == "sqlite" else "+00:00")
        by_hand(sql, f"UPDATE {table} SET at = '{text}' WHERE {which}")


def _scan(sql: SqlStore, remote: str, state: ScanState) -> int:
    """A scan that ended so, long ago."""

    def work(tx: Tx) -> Scan:
        scan = tx.scans.open(remote, Trigger.SCHEDULE)
        ended = {field: getattr(scan, field) for field in scan.__dataclass_fields__}
        tx.scans.save(Scan(**{**ended, "state": state, "ended_at": NOW - timedelta(days=40)}))
        return scan

    return sql.run_now(work).id
