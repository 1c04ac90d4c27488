"""What goes wrong with databases, and the sentence for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from tests.support.heart import copy_of, list_of
from tests.support.stores import opened, saved
from worker.errors import Transient, UsageError
from worker.store import database
from worker.store.database import check_schema, open_database
from worker.store.sql import SqlStore, SqlTx
from worker.store.views import Views


def test_a_locked_file_is_waited_for_and_then_said(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program holds the write lock: later, not never, in one sentence."""
    monkeypatch.setattr(database, "BUSY_S", 0)
    with opened(sqlite_url) as store, closing(sqlite3.connect(store._engine.url.database or "")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Transient) as error:
            store.run_now(lambda tx: tx.create([None]))
        assert f"{sqlite_url} is locked by another program for more than 0 s; it is tried again" == str(error.value)
        other.execute("ROLLBACK")
        store.run_now(lambda tx: tx.create([None]))


def test_a_read_only_file(sqlite_url: str, tmp_path: Path) -> None:
    """Said with what to do."""
    with opened(sqlite_url):
        pass
    url = f"sqlite:///file:{tmp_path / 'leadsync.db'}?mode=ro&uri=true"
    with closing(SqlStore(open_database(url))) as store, pytest.raises(UsageError) as error:
        store.run_now(lambda tx: tx.create([None]))
    assert str(error.value).endswith(" is read-only; make the file and its folder writable")


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("no database" * 100), lambda path: path.mkdir()], ids=["text", "folder"]
)
def test_another_kind_of_file(new_sqlite_url: str, tmp_path: Path, make: Callable[[Path], Any]) -> None:
    """Neither text nor a folder is a database, and neither is touched."""
    make(tmp_path / "new.db")
    with closing(SqlStore(open_database(new_sqlite_url))) as store, pytest.raises(UsageError) as error:
        store.run_now(lambda tx: tx.create([None]))
    assert str(error.value) in (
        f"{new_sqlite_url} is not a SQLite database; name another file in database.url",
        f"{new_sqlite_url} cannot be opened; check that the folder exists and is writable",
    )


def test_a_host_that_is_lost_gives_its_locks_back(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction is ended when it says nothing; nothing of it counts, and the next one begins anew."""
    monkeypatch.setattr(database, "_SILENT_S", 1)
    with opened(postgres_url) as store, opened(postgres_url) as other:
        number = saved(store, list_of(copy_of("crm"))).id

        def silent(tx: SqlTx) -> None:
            tx.load([number])
            assert {number} == set(other.run_now(lambda theirs: theirs.load([number])))  # waits for our lock
            tx.create([None])

        with pytest.raises(Transient):
            store.run_now(silent)
        assert [number + 1] == store.run_now(lambda tx: tx.create([None]))


def test_who_only_reads_may_take_his_time(postgres_url: str) -> None:
    """An export that is read page by page is not ended; it locks nothing."""
    views = Views(open_database(postgres_url))
    ask = text("SHOW idle_in_transaction_session_timeout")

    assert "0" == views.look(lambda view: view._connection.execute(ask).scalar_one())
    views.close()


def test_no_tables_yet(new_database_url: str) -> None:
    """The command to run is named, on first use and when asked."""
    with closing(SqlStore(open_database(new_database_url))) as store:
        for look in (lambda: store.run_now(lambda tx: tx.create([None])), lambda: check_schema(store._engine)):
            with pytest.raises(UsageError) as error:
                look()
            assert "the database has no tables yet; run: leadsync db upgrade" == str(error.value)


def test_a_server_that_is_away() -> None:
    """Later, with the address but without the password."""
    url = "postgresql+psycopg://someone:s3cret@127.0.0.1:1/leadsync"
    with closing(SqlStore(open_database(url))) as store, pytest.raises(Transient) as error:
        store.run_now(lambda tx: tx.create([None]))
    assert "postgresql+psycopg://someone:***@127.0.0.1:1/leadsync cannot be used now" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("url", ["nonsense", "sqlite3", "mongodb://x/y"])
def test_an_address_that_makes_no_sense(url: str) -> None:
    """One sentence."""
    with pytest.raises(UsageError, match=r"^database\.url: "):
        open_database(url)


def test_what_cannot_be_stored_is_a_bug_and_not_the_weather(postgres_url: str) -> None:
    """An error that would come again for ever is not called passing: intake then rejects the one entry it is in."""
    with opened(postgres_url) as store, pytest.raises(DataError):
        saved(store, list_of(copy_of("x" * 200)))
