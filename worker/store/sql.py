"""The SQL store: SQLite embedded, PostgreSQL at scale, the same code. Bulk Core statements, no ORM objects.

The row in `lead_lists` is the lock of everything that belongs to a list; it is always taken first and in
ascending order, so two transactions cannot wait for each other. SQLite has one writer at a time anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Select,
    String,
    bindparam,
    case,
    delete,
    exists,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from models.lead_list import Copy, Kind, LeadList, Member
from models.ledger import Attempt, Change
from worker.errors import Transient
from worker.ports import DueCount, Every, Reject, RemoteKey, RemoteState
from worker.store import codec
from worker.store.alerts import SqlAlerts
from worker.store.among import among, each
from worker.store.audit import SqlAudit
from worker.store.database import explain
from worker.store.identities import SqlIdentities
from worker.store.plans import SqlPlans
from worker.store.rows import Rows, Written, attempt_row, change_row
from worker.store.scans import SqlScans
from worker.store.tables import ATTEMPTS, CHANGES, COPIES, EXCLUSIONS, LINKS, LISTS, MEMBERS, REJECTS, REMOTES, WANTED
from worker.store.together import Together
from worker.store.totals import SqlTotals
from worker.store.traces import SqlTraces
from worker.store.upkeep import SqlUpkeep
from worker.store.writing import insert, insert_of, upsert

T = TypeVar("T")

_TEXTS = postgresql.ARRAY(String)

#: Serialisation failures, deadlocks, and a link that another transaction made first.
_TRIES = 4
#: Transactions of one process at a time on PostgreSQL, which writes commits of the same moment to disk at once.
_THREADS = 4
_REPEATABLE = frozenset({"40001", "40P01", "23505"})


# Built once: to build a statement costs more than to run it.
_LINKED = select(LINKS.c.remote_id, LINKS.c.list_id).where(LINKS.c.remote == bindparam("remote"))
_LOCKED = select(LISTS.c.id, LISTS.c.kind, LISTS.c.apart, LISTS.c.holds).order_by(LISTS.c.id).with_for_update()
_WANTED = select(WANTED)
_COPIES = select(COPIES, LINKS.c.remote_id).join(
    LINKS, (LINKS.c.list_id == COPIES.c.list_id) & (LINKS.c.remote == COPIES.c.remote)
)
_UPDATE_LISTS = (
    update(LISTS)
    .where(LISTS.c.id == bindparam("list_id"))
    .values(
        kind=bindparam("to_kind"),
        apart=bindparam("to_apart", type_=LISTS.c.apart.type),
        holds=bindparam("to_holds", type_=LISTS.c.holds.type),
    )
)
_MEMBERS = select(MEMBERS)
# Spelled as in the partial index: `differs = 1`, as SQLAlchemy says it to SQLite, would read the whole list.
_DIFFERING = _MEMBERS.where(text("members.differs"))


class SqlStore:
    """Implements `Store`. Threads of its own run all transactions of a process, so the loop never blocks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._together: Together[Callable[[SqlTx], Any]] = Together(engine, _inside, self.run_now)

    async def run(self, work: Callable[[SqlTx], T]) -> T:
        """See `Store.run`. A cancelled caller's transaction still ends: whole, or not at all."""
        if self._engine.dialect.name == "sqlite":
            result: T = await asyncio.wrap_future(self._together.submit(work))
            return result
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.run_now, work)

    def run_now(self, work: Callable[[SqlTx], T]) -> T:
        """The same for callers without a loop: the CLI and tests."""
        for last in (*(False,) * (_TRIES - 1), True):
            try:
                with self._engine.begin() as connection:
                    return _inside(connection, work)
            except DBAPIError as error:
                if isinstance(error, DataError) or (last and isinstance(error, IntegrityError)):
                    raise  # a bug, not the database's state: it would not pass by itself
                if last or not _may_repeat(error):
                    raise explain(error, self._engine) from error
        raise Transient("unreachable")  # pragma: no cover - the loop returns or raises

    def close(self) -> None:
        """End the threads and the connections."""
        self._together.close()
        self._threads.shutdown()
        self._engine.dispose()


def _inside(connection: Connection, work: Callable[[SqlTx], T]) -> T:
    tx = SqlTx(connection)
    result = work(tx)
    tx.write_notes()
    tx.audit.write()
    tx.totals.write()
    return result


class SqlTx:
    """Implements `Tx` on one open connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._postgres = connection.dialect.name == "postgresql"
        self._notes: Rows = []
        self.now = self._clock()
        self.totals = SqlTotals(connection)
        self.alerts = SqlAlerts(connection, self.now)
        self.scans = SqlScans(connection, self.now, self.totals)
        self.plans = SqlPlans(connection, self.now)
        self.upkeep = SqlUpkeep(connection, self.now)
        self.audit = SqlAudit(connection, self.now)
        self.identities = SqlIdentities(connection, self.now)
        self.traces = SqlTraces(connection, self.now)

    def find(self, keys: Collection[RemoteKey]) -> dict[RemoteKey, int]:
        """See `Tx.find`."""
        by_remote: dict[str, list[str]] = {}
        for remote, remote_id in keys:
            by_remote.setdefault(remote, []).append(remote_id)
        found: dict[RemoteKey, int] = {}
        for remote, ids in by_remote.items():
            rows = self._among(_LINKED, LINKS.c.remote_id, ids, remote=remote)
            found.update(((remote, row.remote_id), row.list_id) for row in rows)
        return found

    def create(self, kinds: Sequence[Kind | None]) -> list[int]:
        """See `Tx.create`."""
        if not kinds:
            return []
        rows = [{"kind": kind and kind.value, "created_at": self.now} for kind in kinds]
        if self._postgres:
            made = LISTS.insert().returning(LISTS.c.id, sort_by_parameter_order=True)
            return list(self._connection.execute(made, rows).scalars())
        # To return their order SQLAlchemy would insert them one by one. There is one writer: numbers follow each other.
        self._connection.execute(LISTS.insert(), rows)
        last: int = self._connection.execute(select(func.last_insert_rowid())).scalar_one()
        return list(range(last - len(rows) + 1, last + 1))

    def load(
        self, ids: Collection[int], members: Mapping[int, Collection[str] | Every] | None = None
    ) -> dict[int, LeadList]:
        """See `Tx.load`. The lock is a statement of its own: what follows must see what its holder committed."""
        if not ids:
            return {}
        locked = {row.id: row for row in self._among(_LOCKED, LISTS.c.id, ids)}
        wanted = {row.list_id: codec.read_wanted(row.fields) for row in self._among(_WANTED, WANTED.c.list_id, locked)}
        copies: dict[int, dict[str, Copy]] = {}
        for row in self._among(_COPIES, COPIES.c.list_id, locked):
            copies.setdefault(row.list_id, {})[row.remote] = codec.read_copy(row, row.remote_id)
        known = self._members(locked, members or {})
        return {
            number: LeadList(
                id=number,
                kind=Kind(row.kind) if row.kind else None,
                apart=frozenset(row.apart or ()),
                holds=codec.read_holds(row.holds),
                wanted=wanted.get(number, {}),
                copies=copies.get(number, {}),
                members=known.get(number, {}),
            )
            for number, row in locked.items()
        }

    def save(self, changed: Iterable[tuple[LeadList | None, LeadList]]) -> None:
        """See `Tx.save`."""
        rows = Written()
        for before, after in changed:
            rows.add(before or LeadList(id=after.id), after, self.now)
            self.totals.saved(after)
        for remote, remote_id, list_id in rows.unlinked:
            mine = (LINKS.c.remote == remote, LINKS.c.remote_id == remote_id, LINKS.c.list_id == list_id)
            self._connection.execute(delete(LINKS).where(*mine))
            self._connection.execute(delete(COPIES).where(COPIES.c.remote == remote, COPIES.c.list_id == list_id))
        if rows.lists:
            self._connection.execute(_UPDATE_LISTS, rows.lists)
        # No upsert: a link that another transaction made first must stop this one, or its list would lose the copy.
        insert(self._connection, LINKS, rows.links)
        upsert(self._connection, WANTED, rows.wanted)
        upsert(self._connection, COPIES, rows.copies)
        upsert(self._connection, MEMBERS, rows.members)
        self.identities.forget(rows.merged, rows.told)
        upsert(self._connection, EXCLUSIONS, rows.excluded)

    def drop(self, list_id: int, into: int) -> None:
        """See `Tx.drop`."""
        self.write_notes()
        for ledger in (CHANGES, ATTEMPTS):
            self._connection.execute(update(ledger).where(ledger.c.list_id == list_id).values(list_id=into))
        self._connection.execute(delete(LISTS).where(LISTS.c.id == list_id))

    def due(self, remote: str, limit: int) -> list[int]:
        """See `Tx.due`. Lists that another transaction holds are skipped, not waited for."""
        found: list[int] = []
        for tried in (COPIES.c.tries == 0, COPIES.c.tries > 0):  # one ORDER BY could not follow an index
            query = (
                select(COPIES.c.list_id)
                .join(LISTS, LISTS.c.id == COPIES.c.list_id)
                .where(*self._ready(remote), tried)
                .order_by(COPIES.c.due_at, COPIES.c.list_id)
                .limit(limit - len(found))
                .with_for_update(of=LISTS, skip_locked=True)
            )
            if len(found) < limit:
                found += self._connection.execute(query).scalars()
        return found

    def count_due(self, remote: str, limit: int) -> DueCount:
        """See `Tx.count_due`."""
        ready = select(COPIES.c.tries).where(*self._ready(remote)).limit(limit).subquery()
        live, retry = self._connection.execute(
            select(
                func.coalesce(func.sum(case((ready.c.tries == 0, 1), else_=0)), 0),
                func.coalesce(func.sum(case((ready.c.tries > 0, 1), else_=0)), 0),
            )
        ).one()
        return DueCount(live, retry)

    def due_remotes(self, remotes: Collection[str]) -> list[str]:
        """See `Tx.due_remotes`."""
        if not remotes:
            return []
        name = each(remotes, String, postgres=self._postgres)
        ready = exists().where(*self._ready(name.c.value))
        paused = exists().where(REMOTES.c.name == name.c.value, REMOTES.c.paused)
        query = select(name.c.value).where(ready, ~paused).order_by(name.c.value)
        return list(self._connection.execute(query).scalars())

    def note(self, list_id: int, changes: Sequence[Change]) -> None:
        """See `Tx.note`."""
        self._notes += [change_row(list_id, change, self.now) for change in changes]
        self.totals.changed(list_id, changes)

    def write_notes(self) -> None:
        """The changes of all lists in one statement: at the end, or before rows of the ledger move."""
        insert(self._connection, CHANGES, self._notes)
        self._notes = []

    def attempted(self, attempts: Sequence[Attempt]) -> None:
        """See `Tx.attempted`."""
        insert(self._connection, ATTEMPTS, [attempt_row(one) for one in attempts])
        self.totals.attempted(attempts)

    def reject(self, rejects: Sequence[Reject]) -> None:
        """See `Tx.reject`."""
        if not rejects:
            return
        rows = [
            {
                "entry_id": one.entry_id,
                "received_at": self.now,
                "reason": one.reason[:1000],
                # PostgreSQL stores no NUL in text.
                "event": one.event.replace("\x00", "\N{SYMBOL FOR NULL}"),
            }
            for one in rejects
        ]
        once = insert_of(self._connection, REJECTS).on_conflict_do_nothing(index_elements=["entry_id"])
        self._connection.execute(once, rows)

    def remote_state(self, remote: str) -> RemoteState:
        """See `Tx.remote_state`."""
        row = self._connection.execute(select(REMOTES).where(REMOTES.c.name == remote)).one_or_none()
        return RemoteState(row.paused, row.cause, row.next_step, row.since) if row else RemoteState()

    def set_remote_state(self, remote: str, state: RemoteState) -> None:
        """See `Tx.set_remote_state`."""
        row = {
            "name": remote,
            "paused": state.paused,
            "cause": state.cause[:600],
            "next_step": state.next_step[:600],
            "since": state.since,
        }
        upsert(self._connection, REMOTES, [row])

    # -- below here: how

    def _clock(self) -> datetime:
        # SQLite's clock is this machine's clock; PostgreSQL's is asked, because workers live on many machines.
        if not self._postgres:
            return datetime.now(UTC)
        now: datetime = self._connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)

    def _among(self, query: Select[Any], column: Any, values: Collection[Any], **binds: Any) -> Sequence[Any]:
        """Rows whose `column` is one of `values`: one bound array, so the statement is compiled once for any number."""
        statement = among(query, column, postgres=self._postgres)
        return self._connection.execute(statement, {"among": list(values), **binds}).all()

    def _members(
        self, ids: Collection[int], asked: Mapping[int, Collection[str] | Every]
    ) -> dict[int, dict[str, Member]]:
        whole = [number for number, names in asked.items() if names is Every.MEMBER]
        named = [(number, name) for number, names in asked.items() if names is not Every.MEMBER for name in names]
        partly = set(ids).difference(whole)
        rows = list(self._among(_DIFFERING, MEMBERS.c.list_id, partly)) if partly else []
        rows += self._named(named) if named else ()
        some = {(row.list_id, row.member) for row in rows}
        excluded = self.identities.excluded_of(some, whole) if some or whole else {}
        rows += self._among(_MEMBERS, MEMBERS.c.list_id, whole) if whole else ()
        known: dict[int, dict[str, Member]] = {}
        for row in rows:
            why = excluded.get((row.list_id, row.member), {})
            known.setdefault(row.list_id, {})[row.member] = codec.read_member(row, why)
        return known

    def _named(self, pairs: Sequence[tuple[int, str]]) -> Sequence[Any]:
        """Rows of these members of these lists, in one statement for any number of them."""
        if self._postgres:
            arrays = (bindparam("numbers", type_=postgresql.ARRAY(BigInteger)), bindparam("names", type_=_TEXTS))
            pair = func.unnest(*arrays).table_valued("number", "name").render_derived()
            values: dict[str, Any] = {"numbers": [n for n, _ in pairs], "names": [name for _, name in pairs]}
            mine = (MEMBERS.c.list_id == pair.c.number) & (MEMBERS.c.member == pair.c.name)
        else:
            pair = func.json_each(bindparam("pairs", type_=sqlite.JSON())).table_valued("value")
            values = {"pairs": [list(one) for one in pairs]}
            number, name = (func.json_extract(pair.c.value, place) for place in ("$[0]", "$[1]"))
            mine = (MEMBERS.c.list_id == number) & (MEMBERS.c.member == name)
        return self._connection.execute(select(MEMBERS).join(pair, mine), values).all()

    def _ready(self, remote: Any) -> tuple[Any, ...]:
        free = or_(COPIES.c.lease_until.is_(None), COPIES.c.lease_until <= self.now)
        return COPIES.c.remote == remote, _is_due(), COPIES.c.due_at <= self.now, free


def _is_due() -> Any:
    # Spelled as in the partial index, or the planners do not use it.
    return text("copies.standing = 'due'")


def _may_repeat(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in _REPEATABLE or isinstance(error, IntegrityError)
