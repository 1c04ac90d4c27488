"""Documents over real databases and a real Redis: counts that add up, honest unknowns, commands of people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from models.lead_list import (
    Kind,
    LeadList,
    Standing,
    Waiting,
)
from tests.support.desk import NOW, Desk, desk_at, standing_copy
from tests.support.heart import agreed_list, list_of
from worker.documents import lists as pages
from worker.documents.show import ChangeDocument
from worker.limits.base import Ending, Lane, Report
from worker.ports import Reject, RemoteState, Tx
from worker.store.database import open_database
from worker.store.rejects import SqlRejects
from worker.sync import operate
from worker.wiring import Runtime


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM, Instantly and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        yield desk


def one_of_each() -> list[LeadList]:
    """Two lists for each remote and standing, and every reason to wait."""
    lists = []
    for number, standing in enumerate(Standing):
        waits: list[Waiting | None] = list(Waiting) if standing is Standing.DUE else [None]
        for wait in waits:
            copies = (
                standing_copy(remote, f"{number}-{wait}", standing, wait) for remote in ("crm", "instantly", "lance")
            )
            lists.append(list_of(*copies))
    return lists


def test_counts_add_up_in_every_direction(desk: Desk) -> None:
    """Total, standings, reasons and remotes tell one story."""
    desk.put(*one_of_each())
    found = desk.status()
    counts = found.copies

    assert found.lists == len(one_of_each())
    assert counts.total == 3 * found.lists
    assert counts.total == counts.in_sync + counts.due + counts.conflict + counts.excluded + counts.parked
    assert counts.due == sum(found.due_by_reason.values())
    assert set(found.due_by_reason) <= {waiting.value for waiting in Waiting}
    assert counts.total == sum(one.copies.total for one in found.remotes.values())
    assert counts.parked == sum(one.copies.parked for one in found.remotes.values())
    assert found.needs_a_person


def test_an_empty_installation_has_zeroes_and_no_age(desk: Desk) -> None:
    """Nothing is owed to anybody."""
    found = desk.status()

    assert (0, 0, {}, None) == (found.lists, found.copies.total, found.due_by_reason, found.oldest_unsynced_s)
    assert not isinstance(found.stream, str)
    assert (0, 0) == (found.stream.waiting, found.stream.pending)
    assert {"crm", "instantly", "lance"} == set(found.remotes)
    assert not found.needs_a_person


def test_due_copies_are_counted_under_what_really_holds_them(desk: Desk) -> None:
    """A leased copy is in flight; the others of a paused remote are paused."""
    leased = standing_copy("crm", "1", Standing.DUE, Waiting.TURN, lease_until=NOW + timedelta(hours=1))
    expired = standing_copy("crm", "2", Standing.DUE, Waiting.TURN, lease_until=NOW - timedelta(hours=1))
    held = standing_copy("lance", "3", Standing.DUE, Waiting.BACKOFF)
    desk.put(list_of(leased), list_of(expired), list_of(held))
    desk.runtime.run(operate.pause(desk.runtime.store, desk.runtime.registry.rules, "lance"))
    found = desk.status()

    assert {"in flight": 1, "turn": 1, "paused": 1} == found.due_by_reason
    assert ("paused", operate.BY_A_PERSON) == (found.remotes["lance"].state, found.remotes["lance"].cause)
    assert "leadsync resume lance" == found.remotes["lance"].next_step
    assert not found.needs_a_person  # somebody wanted it so


def test_lost_access_needs_a_person(desk: Desk) -> None:
    """Nobody wanted that pause, so status says that somebody must look."""
    lost = RemoteState(paused=True, cause="crm answered 401", next_step="renew the token of crm", since=NOW)
    desk.runtime.store.run_now(lambda tx: tx.set_remote_state("crm", lost))
    found = desk.status()

    assert ("paused", "crm answered 401", "renew the token of crm") == (
        found.remotes["crm"].state,
        found.remotes["crm"].cause,
        found.remotes["crm"].next_step,
    )
    assert found.needs_a_person


def test_a_remote_that_backs_off_holds_its_due_copies_as_budget(desk: Desk) -> None:
    """A 429 is known to all workers, and to status, through Redis."""
    desk.put(list_of(standing_copy("lance", "1", Standing.DUE, Waiting.TURN)))
    desk.runtime.run(_end_calls(desk.runtime, "lance", Ending.LIMITED, 1))
    found = desk.status()
    budget = found.remotes["lance"].budget

    assert {"budget": 1} == found.due_by_reason
    assert not isinstance(budget, str)
    assert budget.backoff_s > 0
    assert budget.share < 1


def test_a_remote_that_keeps_failing_holds_its_due_copies_as_breaker(desk: Desk) -> None:
    """The breaker is open for everybody, and status says so."""
    desk.put(list_of(standing_copy("lance", "1", Standing.DUE, Waiting.BACKOFF)))
    desk.runtime.run(_end_calls(desk.runtime, "lance", Ending.FAILED, 10))

    assert {"breaker": 1} == desk.status().due_by_reason


async def _end_calls(runtime: Runtime, remote: str, ending: Ending, times: int) -> None:
    budget = runtime.budget(remote)
    for _ in range(times):
        grant = await budget.reserve(Lane.LIVE, 1)
        wish = 60 if ending is Ending.LIMITED else None
        reports = [Report(ticket=ticket, ending=ending, retry_after_s=wish) for ticket in grant.tickets]
        await budget.reserve(Lane.LIVE, 0, reports)


def test_without_redis_everything_it_knows_is_unknown(database_url: str, tmp_path: Path) -> None:
    """The counts come from the database; budgets, stream and states are never shown as ok."""
    with desk_at(database_url, f"unix://{tmp_path}/none.sock", "crm", "lance") as desk:
        found = desk.status()

    assert found.stream == "unknown"
    assert {"unknown"} == {one.budget for one in found.remotes.values()}
    assert {"unknown"} == {one.state for one in found.remotes.values()}
    assert found.copies.total == 0
    assert {"crm", "lance"} == set(orjson.loads(orjson.dumps(found))["remotes"])


def test_a_remote_that_left_the_settings_is_unknown_and_still_counted(desk: Desk) -> None:
    """Its due copies wait for a person: nothing is sent there."""
    desk.put(list_of(standing_copy("old", "1", Standing.DUE, Waiting.TURN)))
    found = desk.status()

    assert found.copies.total == 1
    assert {"paused": 1} == found.due_by_reason
    assert ("unknown", "not in the settings") == (found.remotes["old"].state, found.remotes["old"].cause)


def test_the_oldest_copy_that_is_not_in_sync_gives_the_age(desk: Desk) -> None:
    """Excluded copies are meant to differ, so they do not count."""
    excluded = replace(standing_copy("crm", "1", Standing.EXCLUDED), since=NOW - timedelta(days=9))
    parked = replace(standing_copy("crm", "2", Standing.PARKED), since=NOW - timedelta(hours=2))
    desk.put(list_of(excluded), list_of(parked), list_of(standing_copy("crm", "3", Standing.DUE)))
    age = desk.status().oldest_unsynced_s
    since_import = (datetime.now(UTC) - NOW).total_seconds()

    assert age is not None
    assert 7_200 <= age <= 7_200 + since_import


def test_events_that_nobody_took_are_waiting(desk: Desk) -> None:
    """Before the first worker ever started there is no consumer group yet; afterwards both numbers are Redis' own."""
    stream = desk.runtime.settings.events.stream
    for _ in range(3):
        desk.runtime.bells.xadd(stream, {"event": "{}"})
    before = desk.status().stream
    desk.runtime.run(_take_one(desk.runtime))
    after = desk.status().stream

    assert not isinstance(before, str)
    assert not isinstance(after, str)
    assert [(3, 0), (2, 1)] == [(before.waiting, before.pending), (after.waiting, after.pending)]


async def _take_one(runtime: Runtime) -> None:
    stream = runtime.stream("test")
    await stream.read(1)  # makes the group
    await stream.read(1)


def test_people_s_commands_hold_on_a_real_database(desk: Desk) -> None:
    """Link, join, unlink and discard leave no row behind that contradicts another."""
    store, rules = desk.runtime.store, desk.runtime.registry.rules
    desk.put(agreed_list("crm", name="A"), agreed_list("lance", name="B"))
    linked = desk.runtime.run(operate.link(store, rules, [("crm", "crm-1"), ("lance", "lance-1"), ("instantly", "x")]))

    assert ["crm", "instantly", "lance"] == sorted(remote for remote, _ in linked.copies)
    assert (1, 3) == (desk.status().lists, desk.status().copies.total)

    desk.runtime.run(operate.unlink(store, rules, ("lance", "lance-1")))
    assert (2, 3) == (desk.status().lists, desk.status().copies.total)  # it goes on as a list of its own
    assert ["linked", "linked", "unlinked"] == [
        one.kind for one in desk.show("crm", "crm-1").history if isinstance(one, ChangeDocument) and not one.field
    ]

    desk.put(list_of(standing_copy("lance", "p", Standing.PARKED)))
    moved = desk.runtime.run(operate.discard_parked(store, rules, [("lance", "p")]))
    assert (1, 3, 4) == (moved.copies, desk.status().lists, desk.status().copies.total)


def test_rejected_events_go_back_to_the_stream_in_their_order(desk: Desk) -> None:
    """What was retried leaves the table; the rest stays."""
    desk.runtime.store.run_now(
        lambda tx: tx.reject([Reject(entry_id=f"{n}-0", reason="no remote", event=f"event {n}") for n in range(3)])
    )
    kept = desk.runtime.run(pages.rejects(desk.views, limit=2, after=None))
    ids = desk.views.look(lambda view: view.reject_ids())
    added: list[str] = []
    shelf = SqlRejects(open_database(desk.runtime.settings.database_url))
    assert operate.retry_rejects(shelf, added.extend, [ids[1], ids[0]]) == 2
    shelf.close()

    assert ["event 0", "event 1"] == [one.event for one in kept.items]
    assert kept.next == str(ids[1])
    assert ["event 0", "event 1"] == added
    assert [ids[2]] == desk.views.look(lambda view: view.reject_ids())


def test_questions_wait_for_no_writer(desk: Desk) -> None:
    """Status, lists and parked are answered from a snapshot while a transaction is open."""
    desk.put(list_of(standing_copy("crm", "1", Standing.PARKED)))

    def count() -> int:
        return desk.views.look(lambda view: view.tally()).lists

    def meanwhile(tx: Tx) -> int:
        tx.create([Kind.PERSON])
        return asyncio.run(asyncio.wait_for(asyncio.to_thread(count), 5))

    assert 1 == desk.runtime.store.run_now(meanwhile)
