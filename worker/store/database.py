"""Opening the database: engine, pragmas, schema. Used by every entry point before it makes a store."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import orjson
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError

import models.migrations
from worker.errors import NotReady, Transient, UsageError

#: How long a writer waits for another one, in seconds. Batches commit in milliseconds; a minute means trouble.
BUSY_S = 10

#: A host that is lost says nothing. Its transaction ends after so many seconds, or its locks would stay for hours. Not
#: earlier: between two statements a membership of a million is worked through in memory, perhaps on a busy machine.
_SILENT_S = 300
#: Whoever waits for a PostgreSQL that is lost gives up after half a minute; libpq's words, the last in milliseconds.
_POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}

#: With less on the disk of a SQLite file, its next transactions may not fit: the write-ahead log alone takes that much.
_LEAST_ROOM = 4 * 1024 * 1024
#: More rows than so little memory holds are put on disk for a moment: PostgreSQL has no other way to ask for room.
_TAKE_ROOM = ("SET LOCAL work_mem = '64kB'", "SELECT count(*) FROM generate_series(1, 10000)")


def open_database(url: str) -> Engine:
    """An engine for `url`. Nothing is connected yet. Raises `UsageError` when the address makes no sense."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise UsageError("database.url: expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME") from None
    # Parameters are people's data: they stay out of errors, and so out of logs.
    options: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": orjson.loads, "hide_parameters": True}
    if address.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": BUSY_S, "check_same_thread": False}
    else:
        options |= {"pool_pre_ping": True, "connect_args": _POSTGRES}
    try:
        engine = create_engine(address, **options)
    except NoSuchModuleError:
        raise UsageError(
            f"database.url: no driver for {address.drivername}; use sqlite or postgresql+psycopg"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    else:
        event.listen(engine, "connect", _postgres_connect)
    return engine


def answer_alone(engine: Engine) -> None:
    """Each question that PostgreSQL is asked through this engine has one process: more of them would be started for
    each page, and take the processors from pushing. It locks nothing, and who reads the answer may take his time.
    """
    if engine.dialect.name == "postgresql":
        event.listen(engine, "connect", _postgres_connect_reader)


def _postgres_connect(connection: Any, _record: Any) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = '{_SILENT_S}s'")
    connection.commit()


def _postgres_connect_reader(connection: Any, _record: Any) -> None:
    connection.execute("SET max_parallel_workers_per_gather = 0")
    connection.execute("SET idle_in_transaction_session_timeout = 0")
    connection.commit()


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest migration. Two processes may do this at once."""
    _make_folder(engine)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # One upgrade at a time; 0x1ead is "lead". Released with the transaction.
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7853)")
            command.upgrade(_config(connection), "head")
    except DBAPIError as error:
        raise explain(error, engine) from None
    except CommandError:  # a schema that a newer leadsync made
        check_schema(engine)


def check_schema(engine: Engine) -> None:
    """Raises `UsageError` unless this leadsync can work on the schema, which is current or has only grown since.

    What takes something away from older programs begins a new thousand: 0004 works on all from 0004 to 0999.
    """
    scripts = ScriptDirectory.from_config(_config(None))
    newest, current = str(scripts.get_current_head()), _revision(engine)
    if current is None:
        raise UsageError("the database has no tables yet; run: leadsync db upgrade")
    if current == newest:
        return
    if any(current == known.revision for known in scripts.walk_revisions()):
        raise UsageError(f"the database schema is {current}, this leadsync needs {newest}; run: leadsync db upgrade")
    if current < newest or current[:1] != newest[:1]:
        unknown = f"the database schema is {current}, and this leadsync knows none after {newest}"
        raise UsageError(f"{unknown}; install a newer leadsync")


def check_room(engine: Engine) -> None:
    """Raises `Transient` when the disk of the database is full. Nothing is written to any table."""
    if engine.dialect.name == "sqlite":
        file = Path(engine.url.database or ".").resolve()
        if shutil.disk_usage(file.parent).free < _LEAST_ROOM:
            raise _no_room(engine)
        return
    try:
        with engine.begin() as connection:
            for statement in _TAKE_ROOM:
                connection.exec_driver_sql(statement)
    except DBAPIError as error:
        raise explain(error, engine) from None


def _no_room(engine: Engine) -> Transient:
    where = engine.url.render_as_string(hide_password=True)
    return Transient(f"{where} has no room left on its disk; make room there, and leadsync goes on by itself")


def _revision(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DBAPIError as error:
        raise explain(error, engine) from None


def explain(error: DBAPIError, engine: Engine) -> Transient | UsageError:
    """A driver's error as one sentence that names the database without its password."""
    where = engine.url.render_as_string(hide_password=True)
    reason = str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else "no reason given"
    lowered = reason.lower()
    if "readonly" in lowered or "read-only" in lowered:
        return NotReady(f"{where} is read-only; make the file and its folder writable")
    if "unable to open" in lowered:
        return NotReady(f"{where} cannot be opened; check that the folder exists and is writable")
    if "not a database" in lowered:
        return NotReady(f"{where} is not a SQLite database; name another file in database.url")
    if "no such table" in lowered or "undefinedtable" in type(error.orig).__name__.lower():
        return NotReady("the database has no tables yet; run: leadsync db upgrade")
    if "disk is full" in lowered or "no space left" in lowered:
        return _no_room(engine)
    if "locked" in lowered:
        return Transient(f"{where} is locked by another program for more than {BUSY_S} s; it is tried again")
    if isinstance(error, OperationalError):
        return Transient(f"{where} cannot be used now: {reason}")
    return Transient(f"{where}: {type(error.orig).__name__}")


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(models.migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config


def _make_folder(engine: Engine) -> None:
    if engine.dialect.name == "sqlite" and engine.url.database:
        try:
            Path(engine.url.database).resolve().parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot make the folder of {engine.url.database}: {error.strerror}") from None


def _dumps(document: Any) -> str:
    return orjson.dumps(document).decode()


def _sqlite_connect(connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own transaction handling begins too late for IMMEDIATE; `_sqlite_begin` does it.
    connection.isolation_level = None
    # FULL: an event is acknowledged after the commit, so the commit must survive a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_S * 1000}"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    # A deferred transaction that turns writer fails at once with "locked", whatever the time-out.
    reads_only = connection.get_execution_options().get("reads_only", False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")
