"""Bad input to the real program: one clear sentence on stderr, the right exit status, no traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.commands import Ran, remote_env, run_program
from worker.store.database import open_database, upgrade

#: As the program itself, but it waits for one second for a locked file instead of ten.
IMPATIENT = ("-c", "from worker.store import database; database.BUSY_S = 1; from worker.cli import main; main()")

CRM = remote_env("crm", "crm")
NO_TOKEN = {name: value for name, value in CRM.items() if not name.endswith("TOKEN")}
STATUS = ("status", "--json")
#: Nobody listens there.
CLOSED = "127.0.0.1:9"
EVENT = (
    '{"specversion": "1.0", "id": "1", "source": "crm", "type": "leadlist.changed", "subject": "17",'
    ' "time": "2026-03-01T12:00:00Z"}\n'
)


@dataclass(frozen=True, slots=True)
class Case:
    """One mistake, and what is said about it."""

    says: str
    status: int
    command: tuple[str, ...] = STATUS
    env: dict[str, str] = field(default_factory=dict)
    #: Contents of leadsync.toml.
    toml: str = ""
    #: Contents of events.jsonl.
    events: str = ""


CASES = {
    "unknown variable": Case(
        "LEADSYNC_RADIS__URL: unknown setting; did you mean redis?", 2, env={"LEADSYNC_RADIS__URL": "redis://x"}
    ),
    "unknown key in the file": Case(
        "remotes.crm.base_ulr: unknown setting; did you mean base_url?", 2, toml='[remotes.crm]\nbase_ulr = "x"\n'
    ),
    "unknown kind": Case("remotes.hub.kind: ", 2, env=remote_env("hub", "hubspot")),
    "not TOML": Case("leadsync.toml: not valid TOML", 2, toml="[remotes"),
    "no such settings file": Case("LEADSYNC_CONFIG: there is no file ", 2, env={"LEADSYNC_CONFIG": "nowhere.toml"}),
    "base_url without a scheme": Case(
        "remotes.crm.base_url: expected an address that starts with http:// or https://",
        2,
        env=remote_env("crm", "crm", base_url="crm.internal"),
    ),
    "redis.url of another kind": Case(
        "redis.url: expected an address that starts with redis://", 2, env={"LEADSYNC_REDIS__URL": "http://x"}
    ),
    "database.url of another kind": Case(
        "database.url: expected sqlite:///FILE or postgresql+psycopg://", 2, env={"LEADSYNC_DATABASE__URL": "mysql://x"}
    ),
    "authority that is no remote": Case(
        "sync.authority: there is no remote 'hub'; known: crm", 2, env={"LEADSYNC_SYNC__AUTHORITY": '["hub"]'}
    ),
    "publish with Redis away": Case(
        "Redis cannot be reached (ConnectionError): start it, then try again",
        1,
        ("events", "publish", "events.jsonl"),
        env={"LEADSYNC_REDIS__URL": f"redis://{CLOSED}/0"},
        events=EVENT,
    ),
    "publish a bad event": Case(
        "events.jsonl, line 1: sequence: expected a string; nothing was added",
        2,
        ("events", "publish", "events.jsonl"),
        events=EVENT.replace('"source"', '"sequence": 5, "source"'),
    ),
    "missing token": Case("remotes.crm: no token: set LEADSYNC_REMOTES__", 3, ("doctor",), NO_TOKEN),
    "database away": Case(
        "cannot be used now: connection failed",
        1,
        env={"LEADSYNC_DATABASE__URL": f"postgresql+psycopg://u:pw@{CLOSED}/x"},
    ),
    "database is a text file": Case(
        "is not a SQLite database", 2, env={"LEADSYNC_DATABASE__URL": "sqlite:///leadsync.toml"}, toml="# " + "x" * 5000
    ),
    "database in no folder": Case(
        "cannot be opened; check that the folder exists", 2, env={"LEADSYNC_DATABASE__URL": "sqlite:///no/such/x.db"}
    ),
    "database without tables": Case(
        "the database has no tables yet; run: leadsync db upgrade",
        2,
        env={"LEADSYNC_DATABASE__URL": "sqlite:///new.db"},
    ),
    "read-only database": Case(
        "is read-only; make the file and its folder writable",
        2,
        ("pause", "crm"),
        {"LEADSYNC_DATABASE__URL": "sqlite:///file:leadsync.db?mode=ro&uri=true"},
    ),
    "redis away": Case(
        "Redis cannot be reached", 1, ("rejects", "retry", "1"), {"LEADSYNC_REDIS__URL": f"redis://{CLOSED}"}
    ),
    "unknown remote": Case("there is no remote 'hub' in the settings; known: crm", 2, ("pause", "hub")),
    "unknown remote in a link": Case("there is no remote 'hub' in the settings", 2, ("link", "crm:1", "hub:2")),
    "unknown list": Case("leadsync knows no list crm:404", 1, ("show", "crm:404")),
    "no colon": Case("expected REMOTE:ID such as crm:17, got 'crm'", 2, ("show", "crm")),
    "no id": Case("expected REMOTE:ID such as crm:17, got 'crm:'", 2, ("unlink", "crm:")),
    "no remote": Case("expected REMOTE:ID such as crm:17, got ':17'", 2, ("link", ":17", "crm:1")),
    "cursor that is none": Case("--after: expected the cursor", 2, ("lists", "--after", "next")),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a database of the newest schema, which holds one reject."""
    monkeypatch.chdir(tmp_path)
    engine = open_database("sqlite:///leadsync.db")
    upgrade(engine)
    engine.dispose()
    with closing(sqlite3.connect("leadsync.db")) as database, database:
        database.execute("INSERT INTO rejects VALUES (1, '1-0', '2026-03-01 12:00:00', 'no such remote', '{}')")
    return tmp_path


def run(folder: Path, *command: str, env: dict[str, str] | None = None, impatient: bool = False) -> Ran:
    """The real program in `folder`, with one remote unless the case is about that."""
    given = env or {}
    about_remotes = any(name.startswith("LEADSYNC_REMOTES") for name in given)
    base = {"LEADSYNC_DATABASE__URL": f"sqlite:///{folder}/leadsync.db", **({} if about_remotes else CRM)}
    program = IMPATIENT if impatient else ("-m", "worker.cli")
    return run_program(*command, env={**base, **given}, program=program)


def one_sentence(ran: Ran) -> str:
    """The last thing on stderr; before it at most what was about to be done, and never a traceback."""
    *progress, sentence = ran.err.splitlines()
    assert all(line.startswith("leadsync: ") for line in (*progress, sentence)), ran.err
    assert len(progress) <= 1, ran.err
    return sentence


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_bad_input_is_told_in_one_sentence(folder: Path, case: Case) -> None:
    """Nothing on stdout but the document of doctor; no password anywhere."""
    (folder / "leadsync.toml").write_text(case.toml)
    (folder / "events.jsonl").write_text(case.events)
    ran = run(folder, *case.command, env=case.env)

    assert case.status == ran.status, ran.err
    assert case.says in (ran.out if case.command == ("doctor",) else one_sentence(ran))
    assert case.command == ("doctor",) or "" == ran.out
    assert ":pw@" not in ran.out + ran.err


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Another program holds the database and does not let go."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("command", [("pause", "crm"), ("link", "crm:1", "crm:2")])
def test_a_locked_database_is_waited_for_and_then_told(folder: Path, command: tuple[str, ...]) -> None:
    """Exit status 1, because trying again may help; without the lock it does."""
    with held(folder / "leadsync.db"):
        ran = run(folder, *command, impatient=True)

    assert 1 == ran.status
    assert "is locked by another program for more than 1 s" in one_sentence(ran)
    assert 0 == run(folder, "pause", "crm").status


def test_an_old_schema_is_told_with_the_way_out(folder: Path) -> None:
    """Nothing is read from tables of another shape."""
    with closing(sqlite3.connect(folder / "leadsync.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    ran = run(folder, *STATUS)

    assert 2 == ran.status
    assert "run: leadsync db upgrade" in one_sentence(ran)
