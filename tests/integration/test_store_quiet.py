"""Which copies a scan need not load, on all three stores: those of which nothing is in question."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.lead_list import GONE, Abandoned, Copy, Field, Intent, Kind, Seen, Tally
from models.patch import Patch
from models.scan import Quiet, Scan, Trigger
from tests.support.heart import at, copy_of, list_of
from tests.support.stores import RunsNow, saved
from worker.ports import Tx

NAME = Field.NAME
#: What of a copy makes it one that is loaded.
IN_QUESTION: dict[str, dict[str, Any]] = {
    "look": {"look": True},
    "look at members": {"look_members": True},
    "in flight": {"intent": Intent(Patch({NAME: "B"}), at(0).time)},
    "held": {"held": {NAME: Seen("B", at(1))}},
    "of unknown outcome": {"abandoned": {NAME: Abandoned("B", at(0).time)}},
    "in doubt": {"absent": GONE},
}


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def put(store: RunsNow, copy: Copy, kind: Kind | None = None) -> str:
    """A list with this copy on lance and another one; its id on lance."""
    lead_list = replace(list_of(copy_of("crm", {NAME: "A"}), copy, wanted={NAME: "A"}), kind=kind)
    return saved(store, lead_list).copies["lance"].remote_id


def asked(store: RunsNow, *ids: str) -> dict[str, Quiet]:
    """Of these lists on lance."""
    found: dict[str, Quiet] = store.run_now(lambda tx: tx.scans.quiet("lance", ids))
    return found


def test_a_quiet_copy_tells_what_it_showed(store: RunsNow) -> None:
    """With the kind of its list and the fields that are wanted; of lists that nobody asked for, nothing."""
    copy = replace(copy_of("lance", {NAME: "A"}), tally=Tally(2, 7, 3), hidden=frozenset({Field.ENRICHMENT}))
    full, plain = put(store, copy, Kind.PERSON), put(store, copy_of("lance", {NAME: "A"}))

    shown = Quiet(None, copy.seen, frozenset(), None, frozenset({NAME}))

    assert {plain: shown} == asked(store, plain)
    assert {full: replace(shown, kind=Kind.PERSON, hidden=copy.hidden, tally=copy.tally)} == asked(store, full, "other")
    assert {} == asked(store)


def test_a_copy_in_question_is_not_quiet(store: RunsNow) -> None:
    """Whatever is in question."""
    ids = [put(store, replace(copy_of("lance", {NAME: "A"}), **changes)) for changes in IN_QUESTION.values()]
    quiet = put(store, copy_of("lance", {NAME: "A"}))

    assert {quiet} == set(asked(store, *ids, quiet))


def test_countable_memberships_are_known_and_not_to_be_read(store: RunsNow) -> None:
    """The others are read anyway."""
    known = replace(copy_of("lance", {NAME: "A"}), tally=Tally(1, 1, 1))
    kinds = known, replace(known, look=True), replace(known, look_members=True), replace(known, tally=None)
    ids = [put(store, copy) for copy in kinds]

    assert ids[:2] == sorted(store.run_now(lambda tx: tx.scans.countable("lance", ids)))


def test_a_page_that_was_read_is_known(store: RunsNow) -> None:
    """By its cursor, in its own scan; the first page has none."""

    def work(tx: Tx) -> list[bool]:
        one, other = (tx.scans.open(remote, Trigger.PERSON) for remote in ("crm", "lance"))
        two: Scan = replace(one, pages=1, cursor="two", started_at=one.started_at + timedelta(seconds=1))
        tx.scans.add_page(one, ["a"])
        tx.scans.add_page(two, ["b"])
        asked = ((one.id, "two"), (one.id, "three"), (other.id, "two"), (one.id, ""))
        return [tx.scans.was_read(number, cursor) for number, cursor in asked]

    assert [True, False, False, False] == store.run_now(work)
