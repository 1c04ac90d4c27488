"""What holding lists asks of a store: the same on memory, SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from models.lead_list import WHOLE, Field, Hold, LeadList, Standing, Waiting
from tests.support.heart import NOON, copy_of, list_of, rules_of
from tests.support.stores import RunsNow, due_copy, loaded, resaved, saved
from worker.ports import Store
from worker.sync.holding import hold, release

NAME = Field.NAME


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def test_holds_are_kept_as_they_are(store: RunsNow) -> None:
    """Names of any kind, moments to the microsecond; others of the list's own row stay; and forgotten again."""
    one = saved(store, replace(list_of(copy_of("crm", {NAME: "A"})), apart=frozenset({"lance"})))
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
    holds = {WHOLE: Hold("operator ☃ <b>, 127.0.0.1", moment), "lance": Hold("cli:ada", NOON)}
    held = resaved(store, one, replace(one, holds=holds))
    assert (held.holds, held.apart, held.kind) == (holds, one.apart, one.kind)
    assert resaved(store, held, replace(held, holds={})).holds == {}


def test_what_is_held_is_not_due_and_due_once_released(store: RunsNow) -> None:
    """In the order of any store, by the use cases themselves."""
    one, rules = saved(store, due_copy()), rules_of()
    key = ("lance", one.copies["lance"].remote_id)
    both = cast("Store", store)  # it runs now and as a coroutine alike
    asyncio.run(hold(both, rules, [key]))
    held = loaded(store, one.id)
    copy = held.copies["lance"]
    assert (copy.standing, copy.waiting, copy.due_at) == (Standing.DUE, Waiting.HOLD, None)
    assert store.run_now(lambda tx: tx.due("lance", 5)) == []
    assert store.run_now(lambda tx: tx.due_remotes(["lance"])) == []
    assert asyncio.run(release(both, rules, [key])).due == {"lance"}
    assert store.run_now(lambda tx: tx.due("lance", 5)) == [one.id]
    assert datetime.now(UTC) - (loaded(store, one.id).copies["lance"].since or NOON) < timedelta(minutes=5)


def test_a_list_without_copies_of_its_own_is_held_too(store: RunsNow) -> None:
    """Its hold comes and goes with its own row."""
    one = saved(store, LeadList())
    assert resaved(store, one, replace(one, holds={WHOLE: Hold("cli:ada", NOON)})).holds[WHOLE].who == "cli:ada"
