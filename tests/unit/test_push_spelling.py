"""Push to remotes that ignore what they are told, or store it their own way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from models.lead_list import Field, Spelling, Standing
from models.observation import Shown
from tests.support.world import World, applied, edited, linked, run
from worker.remotes.base import Answer, Request, Wire

NAME = Field.NAME


def _respelling(world: World, spell: Callable[[str], str]) -> None:
    """From now on lance stores names its own way."""
    wire = world.remotes["lance"].wire
    put = wire.put

    def respelled(shown: Shown) -> Shown:
        return put(replace(shown, fields={**shown.fields, NAME: spell(str(shown.fields[NAME]))}))

    wire.put = respelled  # type: ignore[method-assign]  # a fault


def test_a_field_that_is_ignored_is_parked() -> None:
    """200 and the old value: sent once, then a person is told which field and what to do."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")

        async def ignores(request: Request, wire: Wire) -> Answer:
            return await wire.exchange(replace(request, method="GET", body=None))

        world.wires["lance"].faults.append(ignores)
        await world.rest()
        copy = world.copy("lance")
        assert (1, Standing.PARKED) == (len(world.patches("lance")), copy.standing)
        assert copy.parked is not None
        assert "field ignored by lance: name (answered well, kept the old value)" == copy.parked.cause
        await edited(world, name="C")
        await world.rest()
        assert ("C", Standing.IN_SYNC) == (world.shown("lance").fields[NAME], world.copy("lance").standing)

    run(scene)


@pytest.mark.parametrize(
    ("wanted", "spell"), [(" B c ", str.strip), ("B" * 300, lambda t: t[:255]), ("BcD", str.lower)]
)
def test_a_remotes_own_spelling_is_learned(wanted: str, spell: Callable[[str], str]) -> None:
    """Trimmed, cut or re-cased: one PATCH, in sync, and the CRM keeps its own."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, spell)
        await edited(world, name=wanted)
        await world.rest()
        assert ([{"name": wanted}], []) == (world.patches("lance"), world.patches("crm"))
        assert {NAME: Spelling(wanted, spell(wanted))} == world.copy("lance").spelling
        assert Standing.IN_SYNC is world.copy("lance").standing

    run(scene)


def test_an_unlikely_spelling_is_believed_the_second_time() -> None:
    """Another text altogether might be a person's edit; the same answer twice is not."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, lambda text: text.replace("&", "and"))
        await edited(world, name="B & C")
        await world.rest()
        assert [{"name": "B & C"}, {"name": "B & C"}] == world.patches("lance")
        assert {NAME: Spelling("B & C", "B and C")} == world.copy("lance").spelling
        assert (Standing.IN_SYNC, "B & C") == (world.copy("lance").standing, world.wanted()["name"])

    run(scene)


def test_a_spelling_is_also_learned_from_a_read_back() -> None:
    """The answer was lost, and the read shows our value in another spelling, which might be a person's: sent once more,
    and the answer tells. Not parked, and nothing is taken over.
    """

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, str.strip)
        await edited(world, name=" B ")
        world.wires["lance"].faults.append(applied)
        await world.rest()
        assert [{"name": " B "}, {"name": " B "}] == world.patches("lance")
        assert (Standing.IN_SYNC, " B ") == (world.copy("lance").standing, world.wanted()["name"])

    run(scene)


def test_a_cut_seen_in_a_read_back_is_believed_the_second_time() -> None:
    """The beginning of our text might be a person's edit made meanwhile: sent once more, then learned."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, lambda text: text[:5])
        await edited(world, name="Spring fair")
        world.wires["lance"].faults.append(applied)
        await world.rest()
        assert 2 == len(world.patches("lance"))
        assert ({NAME: Spelling("Spring fair", "Sprin")}, Standing.IN_SYNC) == (
            world.copy("lance").spelling,
            world.copy("lance").standing,
        )

    run(scene)


def test_a_write_whose_answer_shows_nothing_is_looked_at() -> None:
    """204 without a body: a read shows whether it was done."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")

        async def silent(request: Request, wire: Wire) -> Answer:
            await wire.exchange(request)
            return Answer(status=204)

        world.wires["lance"].faults.append(silent)
        await world.rest()
        assert ["PATCH", "GET"] == [request.method for request in world.wires["lance"].sent]
        assert Standing.IN_SYNC is world.copy("lance").standing

    run(scene)
