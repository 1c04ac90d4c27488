"""Traces through intake and push: which call names which event as its cause, and nothing at all while it is off."""

from __future__ import annotations

from models.lead_list import Field
from tests.support.spans import Collector, GotSpan
from tests.support.world import World, linked, run
from worker import tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENDER = f"00-{TRACE}-b7ad6b7169203331-01"


def patches(collector: Collector) -> list[GotSpan]:
    """Those that were told until now."""
    tracing.end()
    return [one for one in collector.spans("push") if one.about["leadsync.action"] == "patch"]


def test_a_patch_names_only_what_changed_what_it_says(collector: Collector) -> None:
    """Not an older event, nor one about another field."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        tracing.begin()
        for seconds, fields in ((10, {"name": "B"}), (10, {"name": "C"})):
            world.wait(seconds)
            world.tell("crm", world.put("crm", **fields), traceparent=SENDER if fields["name"] == "C" else None)
            await world.sync()

    run(scene)
    first, second = patches(collector)
    assert (TRACE, ()) == (second.trace, second.links)
    assert TRACE != first.trace


def test_what_a_hint_leads_to_belongs_to_the_read(collector: Collector) -> None:
    """Nobody knows before the read whether the event changed anything."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        tracing.begin()
        world.wait(10)
        world.put("crm", name="B")
        world.tell("crm", None, traceparent=SENDER)
        await world.sync()
        assert "B" == world.shown("lance").fields[Field.NAME]

    run(scene)
    [patch] = patches(collector)
    [read] = [one for one in collector.spans("push") if one.about["leadsync.action"] == "read"]
    assert (read.trace, read.id) == (patch.trace, patch.parent)
    assert [TRACE] == [one.trace for one in collector.spans("intake")]


def test_nothing_is_kept_while_it_is_off() -> None:
    """Whatever senders say of their traces."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.wait(10)
        world.tell("crm", world.put("crm", name="B"), traceparent=SENDER)
        await world.sync()
        assert "B" == world.shown("lance").fields[Field.NAME]
        assert [] == world.memory.tables.traces

    run(scene)
