"""Review mode over random histories: whatever happens, only what a person was shown is written."""

from __future__ import annotations

from random import Random

import pytest

from tests.support.heart import remote_rules, rules_of
from tests.support.world import World, answers, applied, lost, run
from worker.sync import apply as use_case
from worker.sync.apply import Fate, Offer
from worker.sync.push import claim

FAULTS = (lost, applied, answers(503), answers(429), None)


class History:
    """Two lists on crm and on lance, which is under review; people, faults and time are chance."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self.world = World(rules_of(lance=remote_rules(1, review=True)))
        #: Bodies of the patches that were let through.
        self.shown: list[dict[str, object]] = []

    async def begin(self) -> None:
        """Both are linked and equal."""
        for one in "12":
            self.world.put("lance", one, name="A")
            self.world.tell("crm", self.world.put("crm", one, name="A"), data={"links": {"lance": one}})
        await self.world.rest()

    async def step(self) -> None:
        """Something happens."""
        await self._chance.choice([self._people, self._people, self._trouble, self.apply, self.world.sync])()
        self.world.wait(1)

    async def apply(self) -> None:
        """A person looks at the plan and applies it; meanwhile the world goes on."""
        world, told = self.world, list[Offer]()
        looked = await use_case.look(world.store, world.rules, told.append)
        if looked.plan is None:
            return
        if self._chance.random() < 0.3:
            await self._people()
        fates = (await use_case.judge(world.store, world.rules, looked.plan)).fates
        await use_case.apply(world.store, world.rules, looked.plan)
        ready = (offer for offer, fate in zip(told, fates, strict=True) if fate is Fate.READY)
        self.shown += [body_of(offer) for offer in ready if offer.item.remote == "lance"]

    async def end(self) -> None:
        """The faults are over, and what is left is let through."""
        self.world.wires["lance"].faults.clear()
        for _ in range(4):
            await self.world.rest()
            await self.apply()
        await self.world.rest()

    async def _people(self) -> None:
        """Edit on one side, which tells of it, perhaps late."""
        remote, one = self._chance.choice(["crm", "crm", "lance"]), self._chance.choice("12")
        if self._chance.random() < 0.6:
            edited = self.world.put(remote, one, name=self._chance.choice("ABC"))
        else:
            edited = self.world.put(remote, one, members=[self._chance.choice("xyz")])
        self.world.tell(remote, edited)
        if self._chance.random() < 0.7:
            await self.world.intake()

    async def _trouble(self) -> None:
        match self._chance.randrange(4):
            case 0:
                self.world.wires["lance"].faults.append(self._chance.choice(FAULTS))
            case 1:
                self.world.tell("lance", None, self._chance.choice("12"))
            case 2:  # a worker is killed between its claim and the call
                await self.world.store.run(lambda tx: claim(tx, self.world.door("lance"), self.world.rules, 1))
                self.world.wait(60)
            case _:
                self.world.wait(self._chance.choice([1, 30, 200]))


def body_of(offer: Offer) -> dict[str, object]:
    """The patch as it goes out."""
    patch = offer.patch
    members = {"members_added": sorted(patch.add), "members_removed": sorted(patch.remove)}
    return {field.value: value for field, value in patch.fields.items()} | {k: v for k, v in members.items() if v}


@pytest.mark.parametrize("seed", range(100))
def test_only_what_was_shown_is_written(seed: int) -> None:
    """Each write to lance is a patch that was let through; at the end both sides are equal."""

    async def scene() -> None:
        history = History(seed)
        await history.begin()
        for _ in range(40):
            await history.step()
        await history.end()
        world = history.world
        assert [body for body in world.patches("lance") if body not in history.shown] == []
        for one in "12":
            crm, lance = world.shown("crm", one), world.shown("lance", one)
            assert (crm.fields, crm.members) == (lance.fields, lance.members)

    run(scene)
