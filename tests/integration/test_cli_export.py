"""`leadsync export`, `top` and `alerts`: what they print, for programs, spreadsheets and people."""

from __future__ import annotations

import base64
import csv
import io
import os
import pty
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import orjson
import pytest

from models.lead_list import Standing
from tasks import alerts as door
from tests.support.commands import Command, Leadsync, put
from tests.support.desk import standing_copy
from tests.support.heart import list_of
from tests.support.receiver import Receiver, receiving
from tests.support.stores import attempt, change
from worker.documents.export import moment, rows
from worker.errors import UsageError
from worker.ports import RemoteState
from worker.settings import load_settings
from worker.store.database import open_database
from worker.store.ledger_views import LedgerTable
from worker.store.sql import SqlStore
from worker.store.views import Views
from worker.wiring import Runtime

NOW = datetime.now(UTC)
KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def leadsync(command: Command) -> Leadsync:
    """The command, with remotes that are never called."""
    return command("crm", "lance")


def noted(store: SqlStore, *values: Any) -> int:
    """Changes to these values, and a call for each."""
    [number] = put(store, list_of(standing_copy("crm", token_hex(4), Standing.IN_SYNC)))
    store.run_now(lambda tx: tx.note(number, [change("A", value) for value in values]))
    calls = [replace(attempt(number), at=NOW - timedelta(hours=len(values) - n)) for n in range(len(values))]
    store.run_now(lambda tx: tx.attempted(calls))
    return number


class TestExport:
    """Rows for other programs."""

    def test_json_lines(self, leadsync: Leadsync, store: SqlStore) -> None:
        """Every column, values as they are, the oldest first."""
        number = noted(store, "B", None, True)
        changes = [orjson.loads(line) for line in leadsync("export", "changes").out.splitlines()]
        attempts = [orjson.loads(line) for line in leadsync("export", "attempts").out.splitlines()]

        assert ["B", None, True] == [one["new"] for one in changes]
        assert ("name", "crm", number, "event e1") == tuple(
            changes[0][name] for name in ("field", "origin", "list_id", "cause")
        )
        assert {"name": "B", "members_added": ["p1"]} == attempts[0]["sent"]
        assert attempts[0]["at"].endswith("Z")

    @pytest.mark.parametrize("start", list("=+-@\t\r＝＋－＠"))
    def test_nothing_is_a_formula_to_a_spreadsheet(self, leadsync: Leadsync, store: SqlStore, start: str) -> None:
        """Whatever a name or a remote's words begin with; quotes and commas stay inside their cell."""
        evil = start + 'cmd|"/c calc",A1'
        [number] = put(store, list_of(standing_copy("crm", "1", Standing.IN_SYNC)))
        store.run_now(lambda tx: tx.note(number, [replace(change("A", evil), cause=evil)]))
        store.run_now(lambda tx: tx.attempted([replace(attempt(number), note=evil)]))
        for table, column in (("changes", "cause"), ("changes", "new"), ("attempts", "note")):
            [row] = csv.DictReader(io.StringIO(leadsync("export", table, "--format", "csv").out, newline=""))
            assert not row[column].startswith(tuple("=+-@\t\r＝＋－＠"))
            assert 'cmd|"/c calc",A1' in row[column].replace("\\", "")

    def test_no_escape_code_reaches_a_terminal(self, leadsync: Leadsync, store: SqlStore) -> None:
        """In neither form."""
        [number] = put(store, list_of(standing_copy("crm", "1", Standing.IN_SYNC)))
        evil = "\x1b[2J\x9b31m\x07"
        store.run_now(lambda tx: tx.note(number, [replace(change("A", evil), cause=evil)]))
        for form in ("csv", "jsonl"):
            out = leadsync("export", "changes", "--format", form).out
            assert not set(out) & set("\x1b\x9b\x07")
            assert "[2J" in out

    def test_since(self, leadsync: Leadsync, store: SqlStore) -> None:
        """So long ago, or from a moment on."""
        noted(store, *map(str, range(5)))
        moments = ("150min", (NOW - timedelta(minutes=150)).isoformat(), f"{NOW - timedelta(minutes=150):%FT%T}")
        for since in moments:
            assert 2 == len(leadsync("export", "attempts", "--since", since).out.splitlines())
        assert 5 == len(leadsync("export", "attempts", "--since", "1970-01-01").out.splitlines())
        assert "" == leadsync("export", "attempts", "--since", "2999-01-01").out

    def test_of_one_remote(self, leadsync: Leadsync, store: SqlStore) -> None:
        """Changes by where they came from, attempts by whom they called."""
        noted(store, "B", "C")
        assert [2, 0] == [len(leadsync("export", "changes", "--remote", r).out.splitlines()) for r in ("crm", "lance")]
        assert [0, 2] == [len(leadsync("export", "attempts", "--remote", r).out.splitlines()) for r in ("crm", "lance")]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (("--since", "yesterday"), "--since: expected a time as in 2026-11-22T12:00:00Z, or as in 24h or 7d"),
            (("--since", "-1d"), "--since: expected a time"),
            (("--since", "9999999999d"), "--since: expected a time"),
            (("--remote", "lanse"), "there is no remote 'lanse' in the settings"),
        ],
    )
    def test_wrong_usage(self, leadsync: Leadsync, arguments: tuple[str, ...], sentence: str) -> None:
        """One sentence, nothing on stdout."""
        ran = leadsync("export", "changes", *arguments)
        assert (2, "") == (ran.status, ran.out)
        assert sentence in ran.err

    def test_an_empty_ledger_has_titles_only(self, leadsync: Leadsync) -> None:
        """So that a spreadsheet opens all the same."""
        ran = leadsync("export", "changes", "--format", "csv")
        assert (0, 1, "") == (ran.status, len(ran.out.splitlines()), leadsync("export", "changes").out)

    def test_memory_stays_the_same(self, store: SqlStore, database_url: str) -> None:
        """Ten times as many rows take no more: they are read page by page, and what comes meanwhile is left."""
        peaks = list[int]()
        views = Views(open_database(database_url))
        with closing(views):
            for more in (2_000, 18_000):
                noted(store, *map(str, range(more)))
                found = rows(views, LedgerTable.CHANGES, page=200)
                next(found)
                tracemalloc.start()
                number = sum(1 for _ in found) + 1
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
                assert number == (2_000 if len(peaks) == 1 else 20_000)
            found = rows(views, LedgerTable.CHANGES, page=200)
            next(found)
            noted(store, "late")
            assert 19_999 == sum(1 for _ in found)

        assert peaks[1] < 2 * peaks[0]

    def test_whoever_has_seen_enough_hangs_up(self, leadsync: Leadsync, store: SqlStore) -> None:
        """`| head` ends it without a complaint."""
        noted(store, *("x" * 500 for _ in range(2_000)))
        command = f"{sys.executable} -m worker.cli export changes | head -n 1 | wc -l"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, cwd=Path.cwd())
        assert ("1", "") == (done.stdout.strip(), done.stderr)


def test_moments_at_the_edge_of_the_calendar() -> None:
    """No crash for what nobody means."""
    assert 1970 == moment("0001-01-01T00:00:00+14:00", NOW).year
    assert 9999 == moment("9999-12-31", NOW).year
    with pytest.raises(UsageError):
        moment("2026-13-01", NOW)


class TestTop:
    """The page Now on a terminal."""

    def test_once_without_a_terminal(self, leadsync: Leadsync, store: SqlStore) -> None:
        """Plain text, no line wider than 100, exit status as `status` has it."""
        put(
            store,
            list_of(standing_copy("crm", "1", Standing.IN_SYNC), standing_copy("lance", "1", Standing.PARKED)),
        )
        ran = leadsync("top")
        assert 3 == ran.status
        assert ran.out.startswith("1 of 2 copies of 1 list are in sync")
        assert "1 parked" in ran.out
        assert "\x1b" not in ran.out
        assert all(len(line) <= 100 for line in ran.out.splitlines())

    def test_json(self, leadsync: Leadsync, store: SqlStore) -> None:
        """The document of `status`, and the last hour."""
        noted(store, "B", "C")
        found = leadsync("top", "--json").json
        assert found["status"] == {**leadsync("status", "--json").json, "stream": found["status"]["stream"]}
        assert {"calls", "patches", "limited", "p50_ms", "p99_ms"} == set(found["hour"])
        assert found["sentence"].endswith(".")

    def test_words_from_outside_are_only_text(self, leadsync: Leadsync, store: SqlStore) -> None:
        """Neither escape codes nor the library's markup."""
        state = RemoteState(True, "said [red]no[/red] \x1b[2J", "ask", NOW)
        _set(store, state)
        out = leadsync("top").out
        assert "[red]no[/red]" in out
        assert "\x1b" not in out

    def test_live_until_ctrl_c(self, leadsync: Leadsync, store: SqlStore) -> None:
        """On a terminal it is drawn again and again, and what was there before comes back."""
        ours, theirs = pty.openpty()
        # Whoever runs these tests in the background may ignore SIGINT, which children inherit.
        as_in_front = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [
            sys.executable,
            "-c",
            f"{as_in_front}; from worker.cli.main import main; main()",
            "top",
            "--every",
            "0.5",
        ]
        env = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"}
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
        ) as top:
            os.close(theirs)
            try:
                drawn = _until(ours, b"No list is known yet", 30)
                put(store, list_of(standing_copy("crm", "1", Standing.IN_SYNC)))
                drawn += _until(ours, b"1 copies of 1", 30)
                top.send_signal(signal.SIGINT)
                drawn += _rest(ours)
                status = top.wait(30)
            finally:
                top.kill()

        assert 0 == status
        assert b"\x1b[?1049h" in drawn
        assert b"\x1b[?1049l" in drawn
        assert b"Traceback" not in drawn


def _set(store: SqlStore, state: RemoteState) -> None:
    store.run_now(lambda tx: tx.set_remote_state("lance", state))


def _until(terminal: int, text: bytes, seconds: float) -> bytes:
    drawn, until = b"", time.monotonic() + seconds
    while text not in drawn:
        assert time.monotonic() < until, drawn
        drawn += os.read(terminal, 65_536)
    return drawn


def _rest(terminal: int) -> bytes:
    drawn = b""
    try:
        while more := os.read(terminal, 65_536):
            drawn += more
    except OSError:  # Linux says so when the other side is closed
        pass
    os.close(terminal)
    return drawn


class TestAlerts:
    """What people were told, and whether somebody takes it."""

    @pytest.fixture
    def receiver(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
        """Somebody who takes alerts, and is configured."""
        with receiving() as one:
            monkeypatch.setenv("LEADSYNC_ALERTS__URL", one.url)
            monkeypatch.setenv("LEADSYNC_ALERTS__SECRET", "whsec_" + base64.b64encode(KEY).decode())
            yield one

    def test_a_test_is_sent_and_signed(self, leadsync: Leadsync, receiver: Receiver) -> None:
        """Exit status 0 when somebody took it."""
        ran = leadsync("alerts", "test", "--json")
        assert (0, True) == (ran.status, ran.json["sent"])
        [got] = receiver.got
        got.prove(KEY, time.time())
        assert (ran.json["id"], "alert.test") == (got.id, got.json["type"])

    def test_a_test_that_nobody_takes_says_why(self, leadsync: Leadsync, receiver: Receiver) -> None:
        """Exit status 1, one sentence, without the address, which may be a secret."""
        receiver.answers = [403]
        ran = leadsync("alerts", "test")
        assert (1, "", "leadsync: the receiver of alerts answered 403\n") == (ran.status, ran.out, ran.err)

    def test_without_an_address_there_is_nothing_to_test(self, leadsync: Leadsync) -> None:
        """Wrong usage, with the next step."""
        ran = leadsync("alerts", "test")
        assert 2 == ran.status
        assert "alerts.url: not set" in ran.err

    def test_the_list(self, leadsync: Leadsync, store: SqlStore, receiver: Receiver) -> None:
        """Turns, the newest first; exit status 3 while something is bad."""
        assert (0, []) == ((ran := leadsync("alerts", "list", "--json")).status, ran.json["items"])
        settings = load_settings(alerts={"settle_s": 0})
        with closing(Runtime(settings, str(settings.redis.url))) as runtime:
            for paused in (True, False):
                _set(store, RemoteState(paused, "lance answered 401", "renew its token", NOW))
                runtime.run(door.look(runtime))
                if paused:
                    runtime.run(door.send(runtime))
                    assert 3 == leadsync("alerts", "list").status

        ran = leadsync("alerts", "list", "--json")
        assert (0, [("paused", "lance", False), ("paused", "lance", True)]) == (
            ran.status,
            [(one["kind"], one["remote"], one["bad"]) for one in ran.json["items"]],
        )
        assert [True, False] == [one["told_at"] is None for one in ran.json["items"]]
        page = leadsync("alerts", "list", "--limit", "1", "--json").json
        assert "lance is not paused" == page["items"][0]["says"]
        assert "lance is paused" in leadsync("alerts", "list", "--after", page["next"]).out
