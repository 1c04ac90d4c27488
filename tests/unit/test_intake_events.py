"""Intake on twins: what events say, and when they are only hints."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from models.lead_list import Field, Kind, Standing, Waiting
from tests.support.heart import later, remote_rules, rules_of
from tests.support.world import World, linked, raw_event, reasons, run
from worker.sync.intake import Taken

T = TypeVar("T")


NAME = Field.NAME


HINTS = rules_of(instantly=remote_rules(2, versioned=False))


def test_what_was_not_said_is_not_changed() -> None:
    """A partial event leaves the other fields alone."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A", owner="u1"))
        world.put("crm", name="B")
        world.tell("crm", world.shown("crm"), data={"fields": {"name": "B"}})
        await world.intake()
        assert {"name": "B", "owner": "u1"} == world.wanted()

    run(scene)


def test_a_believed_event_makes_the_others_due() -> None:
    """The answer names the remotes that have something to send now."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance", "instantly")
        world.tell("lance", world.put("lance", name="B"))
        assert frozenset({"crm", "instantly"}) == (await world.intake()).due

    run(scene)


def test_late_and_swapped_events() -> None:
    """The newest stamp counts, in whatever order they come."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        older, newer = world.put("crm", name="B"), world.put("crm", name="C")
        world.tell("crm", newer)
        world.tell("crm", older)
        await world.intake()
        assert {"name": "C"} == world.wanted()

    run(scene)


def test_a_long_sequence_orders_before_time() -> None:
    """Thirty digits are still a number."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="C"), sequence="9" * 30)
        world.tell("crm", world.put("crm", name="B"), sequence="9" * 29)
        await world.intake()
        assert {"name": "C"} == world.wanted()

    run(scene)


@pytest.mark.parametrize(
    "event",
    [
        {"source": "crm"},
        {"source": "crm", "data": {}},
        {"source": "crm", "data": {"fields": {}}},
        {"source": "crm", "type": "leadlist.deleted"},
        {"source": "crm", "time": later(301), "data": {"fields": {"name": "future"}}},
        {"source": "instantly", "data": {"fields": {"name": "believe me"}}},
    ],
    ids=["no data", "empty", "no fields", "deleted", "future", "no versions"],
)
def test_hints_are_read_not_believed(event: dict[str, Any]) -> None:
    """The list is looked at; nothing is changed before."""

    async def scene() -> None:
        world = await linked(World(HINTS), "crm", "instantly")
        before = world.wanted()
        world.log.add(raw_event(**event))
        assert frozenset({event["source"]}) == (await world.intake()).due
        copy = world.copy(event["source"])
        assert (Standing.DUE, Waiting.FIRST_READ, True) == (copy.standing, copy.waiting, copy.look)
        assert before == world.wanted()

    run(scene)


def test_a_little_ahead_of_time_is_believed() -> None:
    """Clocks of senders may be some minutes off."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.log.add(raw_event(time=later(299), data={"fields": {"name": "B"}}))
        await world.intake()
        assert {"name": "B"} == world.wanted()

    run(scene)


def test_an_equal_stamp_with_other_contents_is_a_hint() -> None:
    """One of the two must be wrong."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.shown("crm"), data={"fields": {"name": "other"}})
        await world.intake()
        assert ({"name": "A"}, True) == (world.wanted(), world.copy("crm").look)

    run(scene)


def test_a_deletion_of_an_unknown_list_is_nothing() -> None:
    """Nothing was known, nothing is gone."""

    async def scene() -> None:
        world = World()
        world.log.add(raw_event(type="leadlist.deleted"))
        assert Taken(entries=1) == await world.intake()
        assert {} == world.memory.tables.lists

    run(scene)


def test_a_list_never_changes_its_kind() -> None:
    """The event that says so is rejected."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A"), data={"fields": {"kind": "person"}})
        await world.intake()
        world.tell("crm", world.put("crm", name="B"), data={"fields": {"name": "B", "kind": "company"}})
        await world.intake()
        assert ["data.fields.kind: expected person; a list never changes its kind"] == reasons(world)
        assert Kind.PERSON is world.list_of().kind

    run(scene)
