"""Views: what people ask of the store. Read by `worker.documents`, for the CLI and the web.

Each question is answered from one snapshot, takes no locks and writes nothing. Lists come in pages: at most
`limit` rows after a key, one more when there is a next page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, Table, and_, case, func, or_, select, text
from sqlalchemy.exc import DBAPIError

from models.lead_list import Field, Hold, Kind, Standing, Waiting
from worker.ports import RemoteKey, RemoteState
from worker.store.alerts import AlertView
from worker.store.among import among
from worker.store.audit import AuditView
from worker.store.codec import read_holds
from worker.store.database import answer_alone, check_room, explain
from worker.store.held_views import HeldView
from worker.store.ledger_views import LedgerView
from worker.store.list_views import ANY_LIST, START, ListFilter, ListView, Place, Sort
from worker.store.member_views import Excluded, MemberView
from worker.store.news_views import NewsView
from worker.store.pace_views import PaceView
from worker.store.parked_views import IS_PARKED, ParkedView
from worker.store.scan_views import ScanView
from worker.store.tables import COPIES, LINKS, LISTS, MEMBERS, REJECTS, REMOTES, WANTED
from worker.store.totals import TotalsView

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Copies of one remote that stand and wait alike."""

    remote: str
    standing: Standing
    waiting: Waiting | None
    copies: int
    #: How many of them are being pushed at this moment.
    in_flight: int
    #: Since when the first of them has not been in sync.
    since: datetime | None
    #: Members that they cannot be told of; a copy that is in sync has none.
    excluded: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """All copies, each in exactly one group."""

    lists: int
    groups: tuple[Group, ...]
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCopy:
    """One copy in a list of lists."""

    remote: str
    remote_id: str
    standing: Standing
    waiting: Waiting | None
    in_flight: bool
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One lead list in a list of lists."""

    id: int
    name: str | None
    kind: Kind | None
    #: In the order that was asked for.
    place: Place
    #: What people hold of it.
    holds: Mapping[str, Hold] = field(default_factory=dict)
    copies: list[ListedCopy] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCopy:
    """One copy that only a person can move on."""

    list_id: int
    remote: str
    remote_id: str
    name: str | None
    cause: str
    next_step: str
    since: datetime | None

    @property
    def key(self) -> tuple[int, str]:
        """Where it stands in the order of pages."""
        return self.list_id, self.remote


@dataclass(frozen=True, slots=True)
class ParkedFilter:
    """Which parked copies are meant; everything that is given must hold."""

    remote: str | None = None
    #: Part of the cause, in any case.
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedEntry:
    """One entry of the stream that could not be taken in."""

    id: int
    received_at: datetime
    reason: str
    event: str


@dataclass(frozen=True, slots=True)
class MemberCounts:
    """How many members are wanted, and how many each remote last showed or cannot be told of."""

    wanted: int
    shown: dict[str, int]
    #: Where that was asked for; remotes that can be told of all are not named.
    excluded: dict[str, Excluded] = field(default_factory=dict)


class Views:
    """Opens snapshots of one database."""

    def __init__(self, engine: Engine) -> None:
        snapshot: dict[str, Any] = {"reads_only": True}
        if engine.dialect.name == "postgresql":
            snapshot |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        answer_alone(engine)
        self._engine = engine.execution_options(**snapshot)

    def look(self, question: Callable[[View], T]) -> T:
        """Answer `question` from one snapshot. Raises as `Store.run` does."""
        try:
            with self._engine.begin() as connection:
                return question(View(connection))
        except DBAPIError as error:
            raise explain(error, self._engine) from None

    def check_room(self) -> None:
        """Raises `Transient` when the disk of the database is full."""
        check_room(self._engine)

    def close(self) -> None:
        """Hang up."""
        self._engine.dispose()


class View:
    """One snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.scans = ScanView(connection)
        self.held = HeldView(connection)
        self.pace = PaceView(connection)
        self.marks = NewsView(connection).marks
        self.parked_groups = ParkedView(connection).groups
        self.audit = AuditView(connection)
        self.alerts = AlertView(connection)
        self.totals = TotalsView(connection).all
        self.ledger = LedgerView(connection)
        self.people = MemberView(connection)
        self._list_places = ListView(connection).page

    def tally(self) -> Tally:
        """How all copies stand. The copies in sync, nearly all of them, are counted from an index alone."""
        now, in_sync = self._now(), Standing.IN_SYNC.value
        settled = select(COPIES.c.remote, func.count().label("copies")).where(COPIES.c.standing == in_sync)
        query = (
            select(
                COPIES.c.remote,
                COPIES.c.standing,
                COPIES.c.waiting,
                func.count().label("copies"),
                func.sum(case((COPIES.c.lease_until > now, 1), else_=0)).label("in_flight"),
                func.min(COPIES.c.since).label("since"),
                func.sum(COPIES.c.excluded).label("excluded"),
            )
            .where(COPIES.c.standing.in_([one.value for one in Standing if one is not Standing.IN_SYNC]))
            .group_by(COPIES.c.remote, COPIES.c.standing, COPIES.c.waiting)
        )
        calm = [
            Group(
                remote=row.remote, standing=Standing.IN_SYNC, waiting=None, copies=row.copies, in_flight=0, since=None
            )
            for row in self._connection.execute(settled.group_by(COPIES.c.remote))
        ]
        others = [
            Group(
                remote=row.remote,
                standing=Standing(row.standing),
                waiting=_WAITING[row.waiting],
                copies=row.copies,
                in_flight=row.in_flight,
                since=row.since,
                excluded=int(row.excluded),
            )
            for row in self._connection.execute(query)
        ]
        # PostgreSQL would sort for `count(DISTINCT …)`.
        each = select(COPIES.c.list_id).group_by(COPIES.c.list_id).subquery()
        lists = self._connection.execute(select(func.count()).select_from(each)).scalar_one()
        return Tally(lists, (*calm, *others), now)

    def remote_states(self) -> dict[str, RemoteState]:
        """What people and lost credentials decided about remotes; those nobody spoke of are not named."""
        rows = self._connection.execute(select(REMOTES))
        return {row.name: RemoteState(row.paused, row.cause, row.next_step, row.since) for row in rows}

    def lists(
        self,
        standings: Collection[Standing],
        limit: int,
        after: Place = START,
        which: ListFilter = ANY_LIST,
        sort: Sort = Sort.NUMBER,
        *,
        down: bool = False,
    ) -> list[Listed]:
        """Lead lists in an order, or `down` it; with `standings`, those with a copy that stands so."""
        places = {one.number: one for one in self._list_places(sort, limit, after, which, standings, down=down)}
        if not places:
            return []
        found = {
            row.id: Listed(
                id=row.id,
                name=row.name,
                kind=_KIND[row.kind],
                place=places[row.id],
                holds=read_holds(row.holds),
            )
            for row in self._of_lists(_LISTED, (LISTS.c.id,), places)
        }
        for number, copy in self._copies(found):
            found[number].copies.append(copy)
        return [found[number] for number in places]

    def parked(self, which: ParkedFilter, limit: int, after: tuple[int, str] = (0, "")) -> list[ParkedCopy]:
        """Parked copies in the order of their lists."""
        number, remote = after
        query = (
            select(COPIES.c.list_id, COPIES.c.remote, LINKS.c.remote_id, _name(), COPIES.c.parked, COPIES.c.since)
            .join(LINKS, _same(LINKS))
            .outerjoin(WANTED, WANTED.c.list_id == COPIES.c.list_id)
            .where(*_parked(which))
            .where(or_(COPIES.c.list_id > number, and_(COPIES.c.list_id == number, COPIES.c.remote > remote)))
            .order_by(COPIES.c.list_id, COPIES.c.remote)
            .limit(limit + 1)
        )
        return [
            ParkedCopy(
                list_id=row.list_id,
                remote=row.remote,
                remote_id=row.remote_id,
                name=row.name,
                cause=row.parked["cause"],
                next_step=row.parked["next_step"],
                since=row.since,
            )
            for row in self._connection.execute(query)
        ]

    def parked_keys(self, which: ParkedFilter) -> list[RemoteKey]:
        """All parked copies that are meant."""
        query = select(LINKS.c.remote, LINKS.c.remote_id).join(COPIES, _same(LINKS)).where(*_parked(which))
        rows = self._connection.execute(query.order_by(COPIES.c.list_id, COPIES.c.remote))
        return [(row.remote, row.remote_id) for row in rows]

    def held_keys(self) -> list[RemoteKey]:
        """One copy of each list of which people hold something."""
        query = (
            select(LINKS.c.list_id, LINKS.c.remote, LINKS.c.remote_id)
            .join(LISTS, LISTS.c.id == LINKS.c.list_id)
            .where(text("lead_lists.holds IS NOT NULL"))
            .order_by(LINKS.c.list_id, LINKS.c.remote.desc())
        )
        return list({row.list_id: (row.remote, row.remote_id) for row in self._connection.execute(query)}.values())

    def rejects(self, limit: int, after: int = 0) -> list[RejectedEntry]:
        """Entries that could not be taken in, oldest first."""
        query = select(REJECTS).where(REJECTS.c.id > after).order_by(REJECTS.c.id).limit(limit + 1)
        return [
            RejectedEntry(id=row.id, received_at=row.received_at, reason=row.reason, event=row.event)
            for row in self._connection.execute(query)
        ]

    def count_rejects(self, most: int) -> int:
        """How many there are, counted up to `most`."""
        some = select(REJECTS.c.id).limit(most).subquery()
        return int(self._connection.execute(select(func.count()).select_from(some)).scalar_one())

    def reject_ids(self) -> list[int]:
        """The numbers of all of them."""
        return list(self._connection.execute(select(REJECTS.c.id).order_by(REJECTS.c.id)).scalars())

    def members(self, list_id: int, remotes: Sequence[str]) -> MemberCounts:
        """Counted by the database: a list may have a million."""
        shown = [_count_where(MEMBERS.c.seen[(remote, 0)].as_boolean()) for remote in remotes]
        query = select(_count_where(MEMBERS.c.wanted), *shown).where(MEMBERS.c.list_id == list_id)
        wanted, *counts = self._connection.execute(query).one()
        return MemberCounts(wanted, dict(zip(remotes, counts, strict=True)))

    def _copies(self, ids: Iterable[int]) -> Iterable[tuple[int, ListedCopy]]:
        now = self._now()
        # Of both tables, or PostgreSQL would read all links rather than look up a thousand lists.
        # A page may have thousands: taken apart at once, and words looked up, which calling an enum does slowly.
        rows = self._of_lists(_LISTED_COPIES, (COPIES.c.list_id, LINKS.c.list_id), ids)
        for number, remote, standing, waiting, since, lease_until, remote_id in rows:
            yield (
                number,
                ListedCopy(
                    remote=remote,
                    remote_id=remote_id,
                    standing=_STANDING[standing],
                    waiting=_WAITING[waiting],
                    in_flight=lease_until is not None and lease_until > now,
                    since=since,
                ),
            )

    def _of_lists(self, query: Select[Any], columns: Sequence[Any], ids: Iterable[int]) -> Iterable[Any]:
        for column in columns:
            query = among(query, column, postgres=self._connection.dialect.name == "postgresql")
        return self._connection.execute(query, {"among": list(ids)})

    def _now(self) -> datetime:
        """The clock that leases are measured with (see `SqlTx`)."""
        if self._connection.dialect.name != "postgresql":
            return datetime.now(UTC)
        now: datetime = self._connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)


def _same(table: Table) -> Any:
    return and_(table.c.list_id == COPIES.c.list_id, table.c.remote == COPIES.c.remote)


def _name() -> Any:
    return WANTED.c.fields[(Field.NAME.value, 0)].as_string().label("name")


_STANDING = {standing.value: standing for standing in Standing}
_WAITING: dict[str | None, Waiting | None] = {waiting.value: waiting for waiting in Waiting} | {None: None}
_KIND: dict[str | None, Kind | None] = {kind.value: kind for kind in Kind} | {None: None}
_LISTED = select(LISTS.c.id, LISTS.c.kind, LISTS.c.holds, _name()).outerjoin(WANTED, WANTED.c.list_id == LISTS.c.id)
#: Only what is shown: all that a copy showed would be read and decoded for nothing.
_LISTED_COPIES = (
    select(
        *(COPIES.c[name] for name in ("list_id", "remote", "standing", "waiting", "since", "lease_until")),
        LINKS.c.remote_id,
    )
    .join(LINKS, _same(LINKS))
    .order_by(COPIES.c.list_id, COPIES.c.remote)
)


def _parked(which: ParkedFilter) -> list[Any]:
    conditions = [IS_PARKED]
    if which.remote is not None:
        conditions.append(COPIES.c.remote == which.remote)
    if which.cause is not None:
        conditions.append(COPIES.c.parked["cause"].as_string().icontains(which.cause, autoescape=True))
    return conditions


def _count_where(condition: Any) -> Any:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
