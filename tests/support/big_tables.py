"""A database as it is after a long while: many lists and a long ledger, put there by a few statements.

Used by the bench of the pages and by the test that counts what they ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, text

from worker.store.database import open_database, upgrade

REMOTES: Final = ("crm", "instantly", "lance")
#: Of each hundred lists: 2 parked, 2 in conflict, 1 excluded and 10 due, each on one remote.
PARKED, CONFLICT, EXCLUDED, DUE = range(2), range(2, 4), range(4, 5), range(5, 15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of it."""

    lists: int
    #: Rows of the ledger: half of them changes, half attempts.
    ledger: int
    #: Attempts of the last hour.
    calls: int
    #: Rejects, scans and rows of the audit.
    others: int


#: What the pages must bear.
FULL: Final = Size(lists=100_000, ledger=1_000_000, calls=36_000, others=10_000)


def copy_name(number: int) -> str:
    """A list as pages name it."""
    return f"crm:crm-{number}"


def fill(url: str, size: Size) -> None:
    """A new database of this size; as old as a vacuum on PostgreSQL."""
    engine = open_database(url)
    upgrade(engine)
    with engine.begin() as connection:
        _Filling(connection, size).fill()
    settle(engine)
    engine.dispose()


class _Filling:
    """One transaction that fills it. Numbers are counted by the database."""

    def __init__(self, connection: Connection, size: Size) -> None:
        self._connection, self._size = connection, size
        self._postgres = connection.dialect.name == "postgresql"
        now = datetime.now(UTC)
        stamp = (now - timedelta(days=30)).isoformat()
        self._binds: dict[str, Any] = {
            "now": self._moment(now),
            "long_ago": self._moment(now - timedelta(days=30)),
            "since": self._moment(now - timedelta(minutes=5)),
            "name_begins": '{"name": ["List ',
            "name_ends": f'", "{stamp}", null]}}',
            "wanted_ends": f'", "{stamp}", null, "crm"]}}',
            "held": orjson.dumps({"name": ["Theirs", stamp, None]}).decode(),
            "parked": orjson.dumps({"cause": "it kept the old name", "next_step": "look", "digest": ""}).decode(),
            "sent": '{"name": "List, renamed"}',
        }

    def fill(self) -> None:
        """All tables that pages read."""
        lists, others = self._size.lists, self._size.others
        self._insert("lead_lists", lists, id="n", kind="'person'", created_at=self._at("long_ago"))
        self._insert(
            "wanted", lists, list_id="n", fields=self._json(":name_begins || n || :wanted_ends"), name_key="'list' || n"
        )
        for remote in REMOTES:
            self._copies(remote, lists)
        self._ledger()
        event = {"entry_id": "'e' || n", "received_at": self._at("now"), "reason": "'no id'", "event": "'{}'"}
        self._insert("rejects", others, **event)
        act = {"at": self._at("now"), "who": "'operator'", "what": "'pause'", "target": "'crm'"}
        empty = self._json("'{}'")
        self._insert("audit", others, **act, before=empty, after=empty)
        for remote in REMOTES:
            self._scans(remote, others // len(REMOTES))

    def _copies(self, remote: str, lists: int) -> None:
        key = {"list_id": "n", "remote": f"'{remote}'"}
        self._insert("links", lists, remote_id=f"'{remote}-' || n", linked_at=self._at("long_ago"), **key)
        kinds = {"instantly": ((PARKED, "parked"), (DUE, "due")), "crm": ((CONFLICT, "conflict"),)}
        kinds["lance"] = ((EXCLUDED, "excluded"),)
        whens = "".join(f" WHEN n % 100 BETWEEN {r.start} AND {r.stop - 1} THEN '{word}'" for r, word in kinds[remote])
        standing = f"CASE{whens} ELSE 'in_sync' END"

        def only(word: str, value: str) -> str:
            return f"CASE WHEN {standing} = '{word}' THEN {value} END"

        self._insert(
            "copies",
            lists,
            **key,
            seen=self._json(
                f":name_begins || n || CASE WHEN {standing} = 'due' THEN ', old' ELSE '' END || :name_ends"
            ),
            look="false",
            standing=standing,
            waiting=only("due", "'turn'"),
            due_at=only("due", self._at("since")),
            since=f"CASE WHEN {standing} <> 'in_sync' THEN {self._at('since')} END",
            held=only("conflict", self._json(":held")),
            parked=only("parked", self._json(":parked")),
            tries="0",
            fence="0",
            name_key="'list' || n",
            look_members="false",
            excluded=f"CASE WHEN {standing} = 'excluded' THEN 3 ELSE 0 END",
        )

    def _ledger(self) -> None:
        rows, calls = self._size.ledger // 2, self._size.calls
        row = {"list_id": f"1 + n % {self._size.lists}", "at": self._at("long_ago")}
        told = {"kind": "'wanted'", "field": "'name'", "origin": "'crm'", "cause": "'event e'"}
        values = {"old": self._json("'\"before\"'"), "new": self._json("'\"after\"'")}
        self._insert("changes", rows, **row, **told, **values, stamp=self._at("long_ago"))
        call = {"remote": "'instantly'", "action": "'patch'", "lane": "'live'", "sent": self._json(":sent")}
        call |= {"status": "200", "outcome": "'done'", "note": "''", "duration_ms": "80.0", "lag_ms": "100.0 + n % 900"}
        self._insert("attempts", rows - calls, **row, **call)
        row["at"] = self._seconds_ago(f"({calls} - n) * 3500.0 / {calls}")
        self._insert("attempts", calls, **row, **call)

    def _scans(self, remote: str, number: int) -> None:
        zeros = dict.fromkeys(("tries", "fence", "new", "drift", "repaired", "moved", "missing", "gone"), "0")
        words = {"remote": f"'{remote}'", "trigger": "'schedule'", "state": "'complete'", "note": "''"}
        times = dict.fromkeys(("started_at", "ended_at", "due_at"), self._at("since"))
        self._insert("scans", number, **words, **times, **zeros, pages="100", lists="100000")

    def _insert(self, table: str, rows: int, **values: str) -> None:
        """That many rows; `n` counts them from 1."""
        numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :rows)"
        if self._postgres:
            numbers = "WITH numbers (n) AS (SELECT generate_series(1, :rows))"
        columns = ", ".join(f'"{name}"' for name in values)
        shown = ", ".join(values.values())
        head = f"INSERT INTO {table} ({columns}) {numbers}"
        statement = text(f"{head} SELECT {shown} FROM numbers WHERE n <= :rows")
        used = {name: value for name, value in self._binds.items() if f":{name}" in shown}
        self._connection.execute(statement, {"rows": rows, **used})

    def _json(self, value: str) -> str:
        return f"CAST({value} AS JSONB)" if self._postgres else f"CAST({value} AS TEXT)"

    def _at(self, name: str) -> str:
        return f"CAST(:{name} AS TIMESTAMPTZ)" if self._postgres else f":{name}"

    def _seconds_ago(self, seconds: str) -> str:
        if self._postgres:
            return f"{self._at('now')} - ({seconds}) * INTERVAL '1 second'"
        return f"strftime('%Y-%m-%d %H\\:%M\\:%f', :now, '-' || ({seconds}) || ' seconds') || '000'"

    def _moment(self, at: datetime) -> Any:
        return at if self._postgres else at.strftime("%Y-%m-%d %H:%M:%S.%f")


def settle(engine: Engine) -> None:
    """What autovacuum has done after a while. leadsync does no such thing on SQLite."""
    if engine.dialect.name == "postgresql":
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
