"""A push that was told what is due, by the intake that took it in, and does not look first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest

from tests.support.world import World, linked, many_due, run
from worker.ports import Store, Tx

T = TypeVar("T")


class Overtaken:
    """A store whose first claim looks at a list that another worker settles before it is locked."""

    def __init__(self, store: Store, settled: int) -> None:
        self._store, self._settled = store, [settled]

    async def run(self, work: Callable[[Tx], T]) -> T:
        return await self._store.run(lambda tx: work(cast("Tx", _OvertakenTx(tx, self._settled))))


class _OvertakenTx:
    def __init__(self, tx: Tx, settled: list[int]) -> None:
        self._tx, self._settled = tx, settled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def due(self, remote: str, limit: int) -> list[int]:
        due = self._tx.due(remote, limit)
        return [self._settled.pop(), *due][:limit] if self._settled else due


@pytest.mark.parametrize("expects", [0, 1])
def test_an_overtaken_claim_leaves_nothing_behind(expects: int) -> None:
    """Who was told that one copy is due, and finds that one settled, still pushes all others."""

    async def scene() -> None:
        world = World()
        await many_due(world, 4)
        world.tell("crm", world.put("crm", "0", name="A"))
        await world.intake()
        world.store = Overtaken(world.memory, world.list_of("crm", "0").id)
        assert 3 == (await world.push("lance", expects=expects)).patched

    run(scene)


def test_who_expects_too_much_gives_its_place_back() -> None:
    """Nothing is due after all: nothing is sent."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        assert 0 == (await world.push("lance", expects=1)).calls
        assert not world.tickets_out()

    run(scene)
