"""Lists of many members, put into a database by a few statements; and what a transaction asks of it, counted.

Used by tests and benches of how cost grows with a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, String, Table, cast, event, insert, literal, select

from models.lead_list import Copy, Field, Kind, LeadList, Seen, Stamp, Tally, Value, Wanted
from models.person import EMAIL
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.engine.tally import tally_of
from worker.store.sql import SqlStore, SqlTx
from worker.store.tables import IDENTITIES, MEMBERS, PEOPLE

#: So that all ids have one length.
_FIRST = 10_000_000
NAME = "People"


def key(number: int) -> str:
    """What the CRM calls somebody."""
    return f"p{_FIRST + number}"


def lance_id(number: int) -> str:
    """What Lance does."""
    return f"lead_{_FIRST + number}"


def email(number: int) -> str:
    """What Instantly does."""
    return f"fake{_FIRST + number}@example.com"


def who(number: int) -> dict[str, Any]:
    """The same person as an event of the CRM tells it."""
    names = {"first_name": "Fake", "last_name": f"Person {number}", "company_name": "Example Ltd"}
    return {"id": key(number), "email": email(number), "ids": {"lance": lance_id(number)}, **names}


NAMED: Mapping[str, Any] = {"crm": key, "lance": lance_id, "instantly": email}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Members with these numbers, whom some remotes show."""

    numbers: range
    on: frozenset[str]


def put_list(
    store: SqlStore, rules: Rules, ids: Mapping[str, str], parts: Sequence[Part], *, known: range, seen_at: datetime
) -> int:
    """One list that is on these remotes by these ids, each with the parts that it shows; all of them are wanted.

    Of the `known` all ids and names are kept, whether they are members or not.
    """
    stamp = Stamp(seen_at)
    copies = {
        remote: Copy(remote=remote, remote_id=one, seen=_seen(rules, remote, stamp), tally=_tally(remote, parts))
        for remote, one in ids.items()
    }

    def put(tx: SqlTx) -> int:
        [number] = tx.create([Kind.PERSON])
        values: dict[Field, Value] = {Field.NAME: NAME, Field.OWNER: None, Field.ENRICHMENT: False}
        wanted = {field: Wanted(value, stamp, "crm") for field, value in values.items()}
        made = LeadList(id=number, kind=Kind.PERSON, wanted=wanted, copies=copies)
        tx.save([(None, restand(made, rules, tx.now))])
        return number

    number = store.run_now(put)
    with store._engine.begin() as connection:
        for part in parts:
            _put_members(connection, number, part, stamp, differs=part.on != ids.keys())
        _put_people(connection, known)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")
    return number


def _seen(rules: Rules, remote: str, stamp: Stamp) -> dict[Field, Seen]:
    """All fields that are compared there; nobody owns it."""
    values: dict[Field, Value] = {Field.NAME: NAME, Field.ENRICHMENT: False}
    used = rules.remotes[remote].direction
    return {field: Seen(values.get(field), stamp) for field in Field if used(field).used}


def _tally(remote: str, parts: Sequence[Part]) -> Tally:
    shown = tally_of(key(n) for part in parts if remote in part.on for n in part.numbers)
    return Tally(shown.count, shown.digest, shown.count if remote == "instantly" else None)


def _numbers(numbers: range) -> Any:
    """The numbers, counted by the database."""
    first, after = _FIRST + numbers.start, _FIRST + numbers.stop
    each = select(literal(first).label("n")).cte("numbers", recursive=True)
    return each.union_all(select(each.c.n + 1).where(each.c.n + 1 < after))


def _named(each: Any, before: str, behind: str = "") -> Any:
    return literal(before).concat(cast(each.c.n, String)).concat(literal(behind))


def _put_members(connection: Connection, number: int, part: Part, stamp: Stamp, *, differs: bool) -> None:
    each = _numbers(part.numbers)
    seen = {remote: [True, stamp.time.isoformat(), None] for remote in sorted(part.on)}
    row = {
        "list_id": literal(number),
        "member": _named(each, "p"),
        "wanted": literal(True),
        "differs": literal(differs),
        "seen": literal(seen, MEMBERS.c.seen.type),
    }
    _insert(connection, MEMBERS, each, row)


def _put_people(connection: Connection, known: range) -> None:
    each = _numbers(known)
    systems = {"lance": _named(each, "lead_"), EMAIL: _named(each, "fake", "@example.com")}
    for system, one in systems.items():
        row = {"system": literal(system), "id": one, "member": _named(each, "p"), "learned": literal(1)}
        _insert(connection, IDENTITIES, each, row)
    names = {"first_name": "Fake", "last_name": "Person", "company_name": "Example Ltd"}
    _insert(connection, PEOPLE, each, {"member": _named(each, "p")} | {n: literal(v) for n, v in names.items()})


def _insert(connection: Connection, table: Table, each: Any, row: Mapping[str, Any]) -> None:
    columns = [value.label(name) for name, value in row.items()]
    connection.execute(insert(table).from_select(list(row), select(*columns).select_from(each)))


@dataclass(slots=True)
class Asked:
    """What a database was asked."""

    #: Begin and commit left out.
    statements: int = 0
    #: Rows that were written.
    written: int = 0
    #: Rows that were read; only PostgreSQL tells.
    read: int = 0
    #: Tens of steps of SQLite's machine: what it looked at, whether it answered with it or not.
    steps: int = field(default=0, compare=False)


@contextmanager
def counting(engine: Engine) -> Iterator[Asked]:
    """Counts what happens inside, exactly."""
    asked = Asked()

    def executed(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        rows = max(0, cursor.rowcount)
        if statement.startswith(("SELECT", "WITH")):
            asked.read += rows
        else:
            asked.written += rows
        asked.statements += not statement.startswith("BEGIN")

    def begun(connection: Any) -> None:
        if engine.dialect.name == "sqlite":
            connection.connection.driver_connection.set_progress_handler(stepped, 10)

    def stepped() -> None:
        asked.steps += 1

    listeners: dict[str, Any] = {"after_cursor_execute": executed, "begin": begun}
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        yield asked
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)


def add_event(number: int, subject: str) -> bytes:
    """The CRM tells of one more member."""
    return _event(f"add {number}", subject, {"members_added": [who(number)]})


def remove_event(number: int, subject: str) -> bytes:
    """And that it is gone."""
    return _event(f"remove {number}", subject, {"members_removed": [key(number)]})


def link_event(subject: str, links: Mapping[str, str]) -> bytes:
    """Lists turn out to be one."""
    return _event("link", subject, {"links": dict(links)})


def _event(name: str, subject: str, data: Mapping[str, Any]) -> bytes:
    told = {"specversion": "1.0", "id": name, "source": "crm", "type": "leadlist.changed", "subject": subject}
    return orjson.dumps({**told, "time": datetime.now(UTC), "data": data})


def long_ago() -> datetime:
    """Before anything that is told now."""
    return datetime.now(UTC) - timedelta(hours=1)
