"""Lists in every order over real databases: each once, whatever the length of the pages, the filter and the ties."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from models.lead_list import Field, LeadList, Standing
from tests.support.desk import NOW, Desk, desk_at
from tests.support.heart import copy_of, list_of
from worker.documents import lists as pages
from worker.documents.lists import ListLine
from worker.errors import UsageError
from worker.store.database import open_database, upgrade
from worker.store.list_views import ANY_LIST, MOST_URGENT_FIRST, ListFilter, Sort
from worker.web.pages.looking import _sort

NAMES = ("Köln", "berlin  CTOs", "Berlin CFOs", "berlin ctos", None, "a:b\n<c>", "", "Zürich", "x" * 200)
REMOTES = ("crm", "instantly", "lance")


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM, Instantly and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, *REMOTES) as desk:
        yield desk


def a_list(number: int) -> LeadList:
    """One of several names, standings and ages, with ties between lists and within one."""
    name = NAMES[number % len(NAMES)]
    values = {} if name is None else {Field.NAME: name}
    standings = [list(Standing)[(number * 7 + place * place) % 5] for place in range(1 + number % 3)]
    copies = [
        replace(
            copy_of(remote, values),
            remote_id=f"{number}",
            standing=standing,
            since=None if standing is Standing.IN_SYNC else NOW - timedelta(minutes=(number * 5 + place) % 4),
        )
        for place, (remote, standing) in enumerate(zip(REMOTES, standings, strict=False))
    ]
    return list_of(*copies, wanted=values)


def ask(
    desk: Desk, sort: Sort, limit: int, which: ListFilter = ANY_LIST, *standings: Standing, down: bool = False
) -> list[ListLine]:
    """All lines of all pages."""
    found, after = list[ListLine](), None
    asked = partial(pages.lists, desk.runtime, desk.views, standings, limit=limit, which=which, sort=sort, down=down)
    for _ in range(100):
        shown = desk.runtime.run(asked(after=after))
        found, after = found + shown.items, shown.next
        if after is None:
            return found
    raise AssertionError("pages without end")


def in_order(lines: list[ListLine], sort: Sort, *, down: bool = False) -> list[int]:
    """As it should be; what has no key comes last, whichever way."""

    def key(one: ListLine) -> tuple[object, int]:
        match sort:
            case Sort.NAME:
                return "".join((one.name or "").split()).casefold()[:100], one.id
            case Sort.STANDING:
                return MOST_URGENT_FIRST.index(one.standing), one.id
            case Sort.AGE:
                return one.since or NOW, one.id
            case Sort.NUMBER:
                return 0, one.id

    without = {Sort.NAME: lambda one: one.name is None, Sort.AGE: lambda one: one.since is None}.get(sort)
    ordered = sorted(lines, key=key, reverse=down)
    return [one.id for one in (sorted(ordered, key=without) if without else ordered)]


def test_every_order_shows_every_list_once(desk: Desk) -> None:
    """Sorted as the whole is, with pages of any length and any filter."""
    desk.put(*(a_list(number) for number in range(45)))
    desk.runtime.store.run_now(lambda tx: tx.create([None]))  # a list without any copy is none
    everything = ask(desk, Sort.NUMBER, 50)
    assert 45 == len(everything)

    for sort, down, limit in itertools.product(Sort, (False, True), (1, 7, 45)):
        found = [one.id for one in ask(desk, sort, limit, down=down)]
        assert in_order(everything, sort, down=down) == found, (sort, down, limit)
    filters = (ListFilter(remote="lance"), ListFilter(name="BERLIN"), ListFilter(name="nowhere"))
    for sort, down, which in itertools.product(Sort, (False, True), filters):
        for standings in ((), (Standing.DUE, Standing.PARKED)):
            some = ask(desk, Sort.NUMBER, 50, which, *standings)
            found = [one.id for one in ask(desk, sort, 3, which, *standings, down=down)]
            assert in_order(some, sort, down=down) == found, (sort, down, which)


def test_a_name_that_many_lists_show_is_found_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those are not looked up first, and come out the same."""
    desk.put(*(a_list(number) for number in range(45)))
    berlin = ListFilter(name="berlin")
    for sort, down in itertools.product(Sort, (False, True)):
        few = [one.id for one in ask(desk, sort, 4, berlin, down=down)]
        with monkeypatch.context() as patch:
            patch.setattr("worker.store.list_views._FEW", 3)
            assert few == [one.id for one in ask(desk, sort, 4, berlin, down=down)]
        assert few


@pytest.mark.parametrize("sort", list(Sort))
def test_no_lists_have_any_order(desk: Desk, sort: Sort) -> None:
    """One empty page."""
    assert [] == ask(desk, sort, 5)


@pytest.mark.parametrize(
    ("sort", "cursor"),
    [
        (Sort.NUMBER, "1:a"),
        (Sort.STANDING, "1"),
        (Sort.STANDING, "1:calm"),
        (Sort.AGE, "1:yesterday"),
        (Sort.AGE, "1:0001-01-01T00:00:00+14:00"),
        (Sort.NAME, "1:a\0b"),
        (Sort.NAME, "x:a"),
        (Sort.NAME, ":a"),
    ],
)
def test_a_cursor_of_another_order_is_wrong_usage(desk: Desk, sort: Sort, cursor: str) -> None:
    """One sentence."""
    page = pages.lists(desk.runtime, desk.views, (), limit=5, after=cursor, sort=sort)
    with pytest.raises(UsageError, match="--after: expected the cursor"):
        desk.runtime.run(page)


def test_an_order_that_is_none_is_wrong_usage() -> None:
    """It says which there are."""
    with pytest.raises(UsageError, match="sort: expected number, name, standing, age, got 'size'"):
        _sort("size")


def test_lists_of_before_have_their_place_by_name(desk: Desk) -> None:
    """What was stored by an older schema is given its key by the migration."""
    desk.put(*(a_list(number) for number in range(9)))
    engine = open_database(desk.runtime.settings.database_url)
    expected = _keys(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE wanted SET name_key = 'lost'"))
    _again(engine)

    assert expected == _keys(engine)
    assert None in expected.values()
    engine.dispose()


def _keys(engine: Engine) -> dict[int, str | None]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT list_id, name_key FROM wanted")).all()
    return {row.list_id: row.name_key for row in rows} | {0: None}


def _again(engine: Engine) -> None:
    from alembic import command

    from worker.store import database

    with engine.begin() as connection:
        command.downgrade(database._config(connection), "0003")
    upgrade(engine)
