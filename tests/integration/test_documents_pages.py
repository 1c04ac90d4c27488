"""What only the pages ask, over real databases: the pace, lists by name, parked causes, news, and push now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audit import Action
from models.lead_list import Field, Parked, Standing, Waiting
from models.ledger import Attempt
from tests.support.desk import Desk, desk_at, standing_copy
from tests.support.heart import copy_of, list_of
from tests.support.stores import attempt
from worker.documents import lists as pages
from worker.documents.pace import MINUTES, Pace, overall, percentile
from worker.errors import NotKnown
from worker.store.list_views import ListFilter
from worker.sync.acting import Acting
from worker.sync.hurry import push_now

NOON = datetime(2026, 11, 22, 12, 0, 30, tzinfo=UTC)


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM, Instantly and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        yield desk


def call(minutes_ago: float, **changes: object) -> Attempt:
    """A PATCH that was well."""
    at = NOON - timedelta(minutes=minutes_ago)
    return replace(attempt(1), **{"at": at, "status": 200, "lag_ms": 100.0, **changes})  # type: ignore[arg-type]  # any field


def called(desk: Desk, *calls: Attempt) -> None:
    """In this order in the ledger."""
    desk.runtime.store.run_now(lambda tx: tx.attempted(calls))


def test_the_pace_is_that_of_the_last_hour(desk: Desk) -> None:
    """Older calls are not in it; reads are calls and no PATCHes; every minute is there."""
    called(
        desk,
        *(call(61 + n) for n in reversed(range(40))),
        call(59, lag_ms=900.0),
        call(10, status=429, lag_ms=None),
        call(10, action="read", lag_ms=None),
        call(0, lag_ms=300.0),
    )

    found = desk.runtime.run(Pace().ask(desk.views, NOON))

    assert MINUTES == len(found.minutes)
    assert (4, 3, 1) == (found.calls, found.patches, found.limited)
    assert (900.0, 900.0) == (found.p50_ms, found.p99_ms)
    assert (300.0, None) == (found.minutes[-1].p50_ms, found.minutes[-2].p50_ms)


def test_calls_that_were_noted_late_are_not_missed(desk: Desk) -> None:
    """Rows stand in the order in which calls ended."""
    called(desk, *(call(59 + seconds / 60) for seconds in (25, 40, 35, 20)))  # the hour begins 30 s after the minute

    assert 2 == desk.runtime.run(Pace().ask(desk.views, NOON)).calls


def test_no_calls_have_no_pace(desk: Desk) -> None:
    """Unknown stays unknown."""
    found = desk.runtime.run(Pace().ask(desk.views, NOON))

    assert (0, None) == (found.calls, found.p99_ms)


def test_minutes_that_are_over_are_counted_once(desk: Desk) -> None:
    """Later looks ask for the last minutes only, and see what a call that ended late has added to them."""
    pace = Pace()
    called(desk, call(30), call(1))
    desk.runtime.run(pace.ask(desk.views, NOON))
    called(desk, call(31), call(1))

    found = desk.runtime.run(pace.ask(desk.views, NOON + timedelta(seconds=20)))

    assert 3 == found.calls


@given(st.lists(st.lists(st.floats(0, 1e9), max_size=20), max_size=6), st.sampled_from([0.0, 0.5, 0.99]))
def test_percentiles_of_parts_are_those_of_the_whole(parts: list[list[float]], share: float) -> None:
    """Whatever the parts."""
    whole = sorted(value for part in parts for value in part)

    assert percentile(whole, share) == overall([sorted(part) for part in parts], share)


def names(desk: Desk, which: ListFilter, *standings: Standing) -> list[str]:
    """Ids of the lists that are found."""
    found = desk.runtime.run(pages.lists(desk.runtime, desk.views, standings, limit=50, after=None, which=which))
    return [next(iter(one.copies.values())).id for one in found.items]


def test_lists_are_found_by_name_remote_and_standing(desk: Desk) -> None:
    """A part of the name in any case; marks of LIKE mean themselves; standing and remote speak of the same copy."""
    desk.put(
        list_of(replace(copy_of("crm", {Field.NAME: "Zürich CTOs"}), remote_id="a")),
        list_of(
            replace(copy_of("crm", {Field.NAME: "100% Köln"}), remote_id="b"),
            replace(copy_of("lance", {Field.NAME: "100% Köln"}), remote_id="b", standing=Standing.PARKED),
        ),
    )

    assert ["a"] == names(desk, ListFilter(name="ZÜRICH  cto"))
    assert ["b"] == names(desk, ListFilter(name="0% k"))
    assert [] == names(desk, ListFilter(name="%"), Standing.DUE)
    assert ["b"] == names(desk, ListFilter(name="%"))
    assert [] == names(desk, ListFilter(name="_"))
    assert ["b"] == names(desk, ListFilter(remote="lance"))
    assert [] == names(desk, ListFilter(remote="crm"), Standing.PARKED)


def test_parked_copies_are_counted_by_cause(desk: Desk) -> None:
    """The most first; of other standings none."""
    causes = {"a": "full", "b": "full", "c": "refused"}
    desk.put(
        *(
            list_of(replace(standing_copy("lance", one, Standing.PARKED), parked=Parked(cause, "look", "")))
            for one, cause in causes.items()
        ),
        list_of(standing_copy("lance", "d", Standing.IN_SYNC)),
    )

    groups = desk.views.look(lambda view: view.parked_groups(50))

    assert [("lance", "full", "look", 2), ("lance", "refused", "look", 1)] == [
        (one.remote, one.cause, one.next_step, one.copies) for one in groups
    ]
    assert 2 == len(desk.views.look(lambda view: view.parked_groups(1)))


def test_news_are_noticed(desk: Desk) -> None:
    """The marks stay until something is written."""
    before = desk.views.look(lambda view: view.marks())
    assert before == desk.views.look(lambda view: view.marks())
    called(desk, call(0))

    assert before != desk.views.look(lambda view: view.marks())


def test_push_now_ends_backoffs_and_parking_and_nothing_else(desk: Desk) -> None:
    """A copy that waits for a read-back, or is in sync, stays as it is; the audit names who did it."""
    later = datetime.now(UTC) + timedelta(hours=1)
    due = {"standing": Standing.DUE, "due_at": later, "tries": 4}
    wanted = {Field.NAME: "New"}
    waiting = replace(copy_of("crm", {Field.NAME: "Old"}), remote_id="1", waiting=Waiting.BACKOFF, **due)  # type: ignore[arg-type]  # any field
    parked = replace(
        copy_of("lance", {Field.NAME: "Old"}), remote_id="1", standing=Standing.PARKED, parked=Parked("no", "look", "")
    )
    desk.put(list_of(waiting, parked, wanted=wanted))

    store = Acting(desk.runtime.store, "operator here")
    moved = desk.runtime.run(push_now(store, desk.runtime.registry.rules, ("crm", "1")))

    assert (2, {"crm", "lance"}) == (moved.copies, set(moved.due))
    audit = desk.views.look(lambda view: view.audit.newest(9))
    assert {(Action.PUSH, "crm:1"), (Action.PUSH, "lance:1")} == {(one.what, one.target) for one in audit}
    again = desk.runtime.run(push_now(store, desk.runtime.registry.rules, ("crm", "1")))
    assert 0 == again.copies
    with pytest.raises(NotKnown):
        desk.runtime.run(push_now(store, desk.runtime.registry.rules, ("crm", "2")))
