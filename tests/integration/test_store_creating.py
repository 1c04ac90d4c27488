"""What creating missing lists asks of a store: the same on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.lead_list import Abandoned, Copy, Field, Intent
from models.patch import Patch
from tests.support.heart import NOON, copy_of, list_of
from tests.support.stores import RunsNow, resaved, saved

NAME = Field.NAME


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def test_apart_is_kept(store: RunsNow) -> None:
    """And forgotten again."""
    one = saved(store, list_of(copy_of("crm", {NAME: "A"})))
    apart = resaved(store, one, replace(one, apart=frozenset({"lance", "instantly"})))
    assert apart.apart == {"lance", "instantly"}
    assert resaved(store, apart, replace(apart, apart=frozenset())).apart == frozenset()


def test_lacking_comes_in_order_and_in_parts(store: RunsNow) -> None:
    """Lists with a copy there are left out, pending or not."""
    without = [saved(store, list_of(copy_of("crm", {NAME: "A"}))).id for _ in range(3)]
    saved(store, list_of(copy_of("crm", {NAME: "A"}), copy_of("lance", {NAME: "A"})))
    first = store.run_now(lambda tx: tx.scans.lacking("lance", 0, 2))
    assert first == without[:2]
    assert store.run_now(lambda tx: tx.scans.lacking("lance", first[-1], 2)) == without[2:]


@pytest.mark.parametrize(
    "copy",
    [
        copy_of("lance", {NAME: " berlin CTOs"}),
        Copy(remote="lance", remote_id="x", intent=Intent(Patch({NAME: "Berlin CTOs"}), NOON)),
        Copy(remote="lance", remote_id="x", abandoned={NAME: Abandoned("Berlin CTOs", NOON)}),
    ],
    ids=["shown", "in flight", "lost"],
)
def test_named_finds_what_has_the_name_or_is_given_it(store: RunsNow, copy: Copy) -> None:
    """A create under way counts, so that two lists of one name are not made at once."""
    one = saved(store, list_of(copy_of("crm", {NAME: "A"})))
    there = replace(copy, remote_id="l1" if copy.seen else f"pending:{one.id}")
    resaved(store, one, replace(one, copies={**one.copies, "lance": there}))
    assert store.run_now(lambda tx: tx.scans.named("lance", "BERLIN ctos ")) == [there.remote_id]
    assert store.run_now(lambda tx: tx.scans.named("crm", "Berlin CTOs")) == []


def test_a_pending_link_gives_way_to_a_real_one(store: RunsNow) -> None:
    """The list is found by its id from then on, and not by what stood for it; a scan misses no pending list."""
    one = saved(store, list_of(copy_of("crm", {NAME: "A"})))
    name = f"pending:{one.id}"
    waiting = resaved(store, one, replace(one, copies={**one.copies, "lance": Copy(remote="lance", remote_id=name)}))
    assert store.run_now(lambda tx: tx.find([("lance", name)])) == {("lance", name): one.id}
    assert store.run_now(lambda tx: tx.scans.linked("lance", datetime(2100, 1, 1, tzinfo=UTC))) == []
    made = resaved(
        store, waiting, replace(waiting, copies={**one.copies, "lance": Copy(remote="lance", remote_id="l1")})
    )
    assert made.copies["lance"].remote_id == "l1"
    assert store.run_now(lambda tx: tx.find([("lance", name), ("lance", "l1")])) == {("lance", "l1"): one.id}
