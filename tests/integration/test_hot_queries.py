"""What is asked all the time is answered from indexes, on both databases: its cost does not grow with what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.big_tables import REMOTES, Size, fill
from tests.support.explaining import Asked, asked
from worker.store.database import open_database
from worker.store.list_views import START, ListFilter
from worker.store.sql import SqlStore, SqlTx
from worker.store.views import View, Views

SIZE = Size(lists=5_000, ledger=10_000, calls=500, others=3_000)
_ALL_OF_A_REMOTE = "SEARCH copies USING INDEX ix_copies_name (remote=?)"
TABLES = ("lead_lists", "copies", "links", "wanted", "members", "changes", "attempts", "scans")

HOT: dict[str, Callable[[SqlTx], Any]] = {
    "due": lambda tx: tx.due("instantly", 16),
    "count_due": lambda tx: tx.count_due("instantly", 16),
    "due_remotes": lambda tx: tx.due_remotes(REMOTES),
    "find": lambda tx: tx.find([("crm", f"crm-{n}") for n in range(1, 10)]),
    "load": lambda tx: tx.load(range(1, 10)),
    "latest scan": lambda tx: tx.scans.latest("crm"),
    "all scans at a glance": lambda tx: tx.scans.glance(REMOTES),
    "last complete scan": lambda tx: tx.scans.last_complete("crm"),
    "quiet": lambda tx: tx.scans.quiet("crm", [f"crm-{n}" for n in range(1, 10)]),
    "countable": lambda tx: tx.scans.countable("crm", [f"crm-{n}" for n in range(1, 10)]),
    "page was read": lambda tx: tx.scans.was_read(1, "cursor"),
    "findings taken": lambda tx: tx.scans.taken(1, ["crm-1", "crm-2"]),
}
VIEWS: dict[str, Callable[[View], Any]] = {
    "timeline of a list": lambda view: view.ledger.history(100, 50),
    "status": lambda view: view.tally(),
    "lists on hold": lambda view: view.lists((), 50, which=ListFilter(on_hold=True)),
    "everything on hold": lambda view: view.held_keys(),
}


@pytest.fixture
def store(database_url: str) -> Iterator[SqlStore]:
    """Thousands of lists, hundreds of scans."""
    fill(database_url, SIZE)
    store = SqlStore(open_database(database_url))
    yield store
    store.close()


def test_nothing_hot_reads_a_table_from_end_to_end(store: SqlStore) -> None:
    """Claims, lookups, loads, ticks, the timeline and the counts of status."""
    views, found = Views(store._engine), dict[str, Asked]()
    for name, work in HOT.items():
        with asked(store._engine) as found[name]:
            store.run_now(work)
    for name, question in VIEWS.items():
        with asked(store._engine) as found[name]:
            views.look(question)

    # Small tables are read faster as they are, and PostgreSQL knows that.
    whole = {name: one.read_whole(*TABLES, if_large=True) for name, one in found.items()}
    most = {name: [plan for plan in one.plans() if _ALL_OF_A_REMOTE in plan] for name, one in found.items()}

    assert {name: [] for name in (*HOT, *VIEWS)} == whole
    assert {name: [] for name in (*HOT, *VIEWS)} == most  # all copies of a remote are as many as all lists
    assert all(one.statements for one in found.values())


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("remote", [None, "crm"])
def test_a_page_in_the_middle_reads_nothing_before_it(store: SqlStore, remote: str | None, *, down: bool) -> None:
    """Copies are read from where the page begins, or list by list; never from the first one on."""
    which, half = ListFilter(remote=remote), replace(START, number=SIZE.lists // 2)
    with asked(store._engine) as found:
        Views(store._engine).look(lambda view: view.lists((), 50, half, which=which, down=down))

    plan = found.plans()[int(remote is not None)]  # the first asks whether that remote has many
    bounded = "list_id=?" if store._engine.dialect.name == "sqlite" else "list_id [<>=]"
    assert re.search(bounded, plan), plan
    assert not re.search(r"LIST SUBQUERY|TEMP B-TREE", plan), plan


def test_a_remote_with_few_lists_is_not_looked_for_in_all_of_them(store: SqlStore) -> None:
    """They are known by number before the page is read."""
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM copies WHERE remote = 'instantly' AND list_id > 20")
    with asked(store._engine) as found:
        page = Views(store._engine).look(lambda view: view.lists((), 50, START, which=ListFilter(remote="instantly")))

    assert [*range(1, 21)] == [one.id for one in page]
    assert not [plan for plan in found.plans() if re.search(r"CORRELATED|Semi Join|SubPlan", plan)]


def test_the_plans_are_read_rightly(store: SqlStore) -> None:
    """A query without an index is found out, or the test above would prove nothing."""
    with asked(store._engine) as whole, store._engine.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM copies WHERE fence = 12345")

    assert 1 == len(whole.read_whole("copies"))
