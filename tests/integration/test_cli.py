"""Commands for operators: what they print as text and as JSON, and how they end."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from models.lead_list import Copy, LeadList, Parked, Standing
from tests.support.commands import Leadsync, put, remote_env
from tests.support.heart import agreed_list, list_of
from worker.ports import Reject
from worker.store.database import open_database, upgrade
from worker.store.sql import SqlStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REMOTES = ("crm", "instantly", "lance")
HOSTILE = "\x1b[2J\x1b[31mSpring\x07"


@pytest.fixture
def env(tmp_path: Path, sqlite_url: str, redis_url: str) -> dict[str, str]:
    """Settings for a database of this test's own, and three remotes that are never called."""
    env = {"LEADSYNC_DATABASE__URL": sqlite_url, "LEADSYNC_REDIS__URL": redis_url, "LEADSYNC_DATA_DIR": str(tmp_path)}
    for name in REMOTES:
        env |= remote_env(name, name)
    return env


@pytest.fixture
def leadsync(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Leadsync:
    """The command, with these settings."""
    monkeypatch.chdir(tmp_path)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Leadsync(monkeypatch, capfd)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[SqlStore]:
    """The database of those settings, with the newest schema."""
    engine = open_database(sqlite_url)
    upgrade(engine)
    with closing(SqlStore(engine)) as store:
        yield store


def parked(remote: str, remote_id: str, cause: str = "answered 422") -> LeadList:
    """A list with one parked copy."""
    why = Parked(cause, f"leadsync parked retry {remote}:{remote_id}", "")
    return list_of(Copy(remote=remote, remote_id=remote_id, standing=Standing.PARKED, parked=why, since=NOW))


def test_status_says_the_same_as_text_and_as_json(leadsync: Leadsync, store: SqlStore) -> None:
    """All well: exit status 0, the counts in a table, active remotes with their budgets."""
    put(store, agreed_list("crm", "lance", name="A"))
    text, document = leadsync("status"), leadsync("status", "--json")

    assert (0, 0) == (text.status, document.status)
    assert {"total": 2, "in_sync": 2, "due": 0, "conflict": 0, "excluded": 0, "parked": 0} == document.json["copies"]
    assert {"state", "budget", "last_complete_scan"} <= set(document.json["remotes"]["crm"])
    assert "all        2       2" in text.out
    assert "crm        active  0/10 a second, 0/600 a minute" in text.out
    assert "" == text.err == document.err


def test_status_ends_with_3_when_a_person_must_look(leadsync: Leadsync, store: SqlStore) -> None:
    """A script can alert on it without reading a word."""
    put(store, parked("crm", "1"))

    assert 3 == leadsync("status").status
    assert 3 == leadsync("status", "--json").status
    assert 3 == leadsync("lists").status
    assert 3 == leadsync("show", "crm:1").status
    assert 3 == leadsync("parked", "list").status
    assert 0 == leadsync("lists", "--conflict").status


@pytest.mark.usefixtures("store")
def test_without_redis_status_is_told_and_honest(
    leadsync: Leadsync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the embedded server not running nothing is started, and nothing looks well."""
    monkeypatch.delenv("LEADSYNC_REDIS__URL")
    ran = leadsync("status")

    assert "crm, instantly, lance unknown: Redis does not answer, so nobody calls; next: start Redis" in ran.out
    assert "events: unknown" in ran.out
    assert not (tmp_path / "redis.sock").exists()


def test_names_of_others_cannot_steer_the_terminal(leadsync: Leadsync, store: SqlStore) -> None:
    """Escape codes in names, ids, causes and events arrive as harmless marks; in JSON they are escaped."""
    put(store, agreed_list("crm", name=HOSTILE), parked("lance", HOSTILE, HOSTILE))
    store.run_now(lambda tx: tx.reject([Reject(entry_id="1-0", reason=HOSTILE, event=HOSTILE)]))
    ran = [
        leadsync(*command)
        for command in (
            ("lists",),
            ("lists", "--json"),
            ("show", "crm:crm-1"),
            ("show", f"lance:{HOSTILE}"),
            ("show", f"lance:{HOSTILE}x"),
            ("parked", "list"),
            ("rejects", "list"),
            ("rejects", "list", "--json"),
        )
    ]

    for one in ran:
        assert all(character.isprintable() or character == "\n" for character in one.out + one.err)
        assert "Spring" in one.out + one.err


def test_lists_come_in_pages(leadsync: Leadsync, store: SqlStore) -> None:
    """Text says how to go on; the cursor is the same in JSON."""
    put(store, *(list_of(Copy(remote="crm", remote_id=f"id-{number}")) for number in range(3)))
    first = leadsync("lists", "--limit", "2")
    cursor = leadsync("lists", "--limit", "2", "--json").json["next"]
    last = leadsync("lists", "--limit", "2", "--after", cursor, "--json").json

    assert f"more: add --after {cursor}" in first.out
    assert "not linked: leadsync link crm:id-0 instantly:ID lance:ID" in first.out
    assert (["id-2"], None) == ([one["copies"]["crm"]["id"] for one in last["items"]], last["next"])


def test_lists_are_sorted(leadsync: Leadsync, store: SqlStore) -> None:
    """By a word of a fixed set; the cursor of an order, quoted for the shell, goes on in it."""
    put(store, *(replace(agreed_list(remote, name=name), id=0) for remote, name in (("crm", "B"), ("lance", "a $"))))
    first = leadsync("lists", "--sort", "name", "--limit", "1")
    last = leadsync("lists", "--sort", "name", "--limit", "1", "--after", "2:a$", "--json").json

    down = leadsync("lists", "--sort", "name", "--down", "--json").json

    assert ["B", "a $"] == [one["name"] for one in down["items"]]
    assert "more: add --after '2:a$'" in first.out
    assert (["B"], None) == ([one["name"] for one in last["items"]], last["next"])
    assert 2 == leadsync("lists", "--after", "2:a$").status
    assert 2 == leadsync("lists", "--sort", "size").status


def test_link_show_and_unlink(leadsync: Leadsync, store: SqlStore) -> None:
    """Ids may hold colons. The history tells who tied what."""
    put(store, agreed_list("crm", name="Spring"))
    linked = leadsync("link", "crm:crm-1", "lance:a:b", "--json")
    again = leadsync("link", "crm:crm-1", "lance:a:b")
    shown = leadsync("show", "lance:a:b")
    gone = leadsync("unlink", "lance:a:b")

    assert {"crm": "crm-1", "lance": "a:b"} == linked.json["copies"]
    assert "were tied already" in again.out
    assert "  lance:a:b due (first read)" in shown.out
    assert "name        Spring [crm]  Spring [equal]" in shown.out
    assert "linked  lance" in shown.out
    assert (0, "lance:a:b is unlinked: it is no longer synced\n") == (gone.status, gone.out)
    assert {"crm"} == set(leadsync("show", "crm:crm-1", "--json").json["copies"])


@pytest.mark.usefixtures("store")
def test_linking_rings_for_a_push(leadsync: Leadsync, redis_url: str) -> None:
    """A worker that is there begins at once instead of at the next tick."""
    assert 0 == leadsync("link", "crm:1", "lance:2").status

    with Redis.from_url(redis_url) as redis:
        assert 2 == redis.llen("leadsync:celery:push")


def test_a_person_sees_the_count_before_anything_is_moved(leadsync: Leadsync, store: SqlStore) -> None:
    """Without a terminal one copy may be moved; more need --yes, and nothing happens without it."""
    put(store, *(parked("crm", str(number)) for number in range(4)), parked("lance", "9", "gone"))
    refused = leadsync("parked", "retry", "--all")
    one = leadsync("parked", "retry", "crm:1")
    some = leadsync("parked", "discard", "--remote", "crm", "--yes", "--json")
    left = leadsync("parked", "list", "--json").json

    assert (2, "") == (refused.status, refused.out)
    assert "5 parked copies will be due again: add --yes" in refused.err
    assert (0, "1 copies are due again\n") == (one.status, one.out)
    assert {"matched": 3, "moved": 3} == some.json
    assert "3 parked copies will be unlinked" in some.err
    assert [("lance", "9", "gone")] == [(o["remote"], o["id"], o["cause"]) for o in left["items"]]
    assert "next: leadsync parked retry lance:9" in leadsync("parked", "list", "--cause", "GON").out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["parked", "retry"], "say which"),
        (["parked", "discard", "crm:1", "--all"], "say which"),
        (["parked", "retry", "crm:7"], "crm:7 is not parked; leadsync parked list shows what is"),
        (["parked", "list", "--after", "x"], "--after: expected the cursor"),
        (["rejects", "retry"], "say which"),
        (["rejects", "retry", "1", "--all"], "say which"),
        (["rejects", "retry", "7"], "there is no reject 7"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(
    leadsync: Leadsync, store: SqlStore, command: list[str], said: str
) -> None:
    """Exit status 2, one sentence on stderr, nothing on stdout."""
    put(store, parked("crm", "1"))
    ran = leadsync(*command)

    assert (2, "", 1) == (ran.status, ran.out, ran.err.count("\n"))
    assert said in ran.err
    assert 1 == leadsync("status", "--json").json["copies"]["parked"]


def test_rejected_events_go_back_to_the_stream(leadsync: Leadsync, store: SqlStore, redis_url: str) -> None:
    """As they were received; then they are no longer listed."""
    events = [Reject(entry_id=f"{n}-0", reason="no such remote", event=f'{{"n": {n}}}') for n in range(3)]
    store.run_now(lambda tx: tx.reject(events))
    listed = leadsync("rejects", "list", "--json")
    ids = [str(one["id"]) for one in listed.json["items"]]
    one = leadsync("rejects", "retry", ids[0])
    rest = leadsync("rejects", "retry", "--all", "--yes", "--json")

    assert {"id", "received_at", "reason", "event"} == set(listed.json["items"][0])
    assert (0, "1 events are in the stream again\n") == (one.status, one.out)
    assert {"matched": 2, "retried": 2} == rest.json
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        assert [e.event for e in events] == [fields["event"] for _, fields in redis.xrange("leadsync:events")]
    assert {"items": [], "next": None} == leadsync("rejects", "list", "--json").json


def test_rejects_stay_when_redis_is_away(
    leadsync: Leadsync, store: SqlStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One sentence, exit status 1, nothing lost."""
    store.run_now(lambda tx: tx.reject([Reject(entry_id="1-0", reason="r", event="e")]))
    monkeypatch.setenv("LEADSYNC_REDIS__URL", f"unix://{tmp_path}/none.sock")
    ran = leadsync("rejects", "retry", "--all")

    assert 1 == ran.status
    assert "Redis cannot be reached (ConnectionError): start it, then try again" in ran.err
    assert 1 == len(leadsync("rejects", "list", "--json").json["items"])


@pytest.mark.usefixtures("store")
def test_pause_and_resume(leadsync: Leadsync) -> None:
    """Said once, kept in the database, shown by status with the way back."""
    assert "crm is paused\n" == leadsync("pause", "crm").out
    assert "crm was paused already: paused by a person\n" == leadsync("pause", "crm").out
    paused = leadsync("status")
    assert (0, True) == (paused.status, "crm paused: paused by a person; next: leadsync resume crm" in paused.out)
    assert {"remote": "crm", "state": "active", "changed": True} == leadsync("resume", "crm", "--json").json
    assert "crm was not paused\n" == leadsync("resume", "crm").out


def test_show_says_what_would_be_sent(leadsync: Leadsync, store: SqlStore) -> None:
    """Field by field, with the reason."""
    lead_list = agreed_list("crm", "instantly", name="new")
    stale = replace(
        lead_list.copies["instantly"], seen={}, standing=Standing.CONFLICT, held=lead_list.copies["crm"].seen
    )
    put(store, replace(lead_list, copies={**lead_list.copies, "instantly": stale}))
    ran = leadsync("show", "instantly:instantly-1")

    assert 3 == ran.status
    assert "\ninstantly  name: conflict held: edited there and somewhere else; next: leadsync conflicts " in ran.out
    assert "\ncrm        name, members: equal: it shows what is wanted\n" in ran.out


def test_on_a_terminal_there_are_colours_and_questions(store: SqlStore, env: dict[str, str]) -> None:
    """The real program: a person who answers no changes nothing."""
    put(store, parked("crm", "1"), parked("crm", "2"))
    master, terminal = pty.openpty()
    os.write(master, b"n\n")
    argv = (sys.executable, "-m", "worker.cli")
    clean = {**os.environ, **env, "TERM": "xterm", "NO_COLOR": ""}
    shown = subprocess.run([*argv, "lists"], env=clean, stdin=terminal, stdout=terminal, check=False, timeout=60)
    asked = subprocess.run(
        [*argv, "parked", "discard", "--all"],
        env=clean,
        stdin=terminal,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    printed = os.read(master, 100_000).decode()
    os.close(master)
    os.close(terminal)

    assert 3 == shown.returncode
    assert "\x1b[31mparked" in printed
    assert 1 == asked.returncode
    assert b"2 parked copies will be unlinked" in asked.stderr
    assert b"Go on?" in asked.stderr
    assert b"nothing was done" in asked.stderr
    assert 2 == len(store.run_now(lambda tx: tx.find([("crm", "1"), ("crm", "2")])))
