"""The production code of push on virtual time: what the simulation of later issues stands on."""

from __future__ import annotations

from datetime import timedelta

from models.lead_list import Copy, Field, LeadList, Seen, Stamp, Standing, Wanted
from models.observation import Shown
from tests.support.heart import BOTH, remote_rules
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.limits.base import Window
from worker.limits.memory import MemoryBudget
from worker.limits.throttle import Throttle
from worker.ports import Tx
from worker.remotes.memory import MemoryConnector
from worker.simulation.clock import START, VirtualLoop, run_virtually
from worker.store.memory import MemoryStore
from worker.sync.push import Door, Pushed, push

LISTS = 100
RULES = Rules(remotes={"crm": remote_rules(0), "outreach": remote_rules(1, directions=BOTH)})


def test_a_hundred_seconds_of_rate_limit_pass_without_waiting() -> None:
    """
    A hundred patches at one a second take a hundred virtual seconds, and the store, budget and remote agree.
    """
    loop = VirtualLoop()
    remote = MemoryConnector("outreach", [Shown(remote_id=f"o{n}", fields={Field.NAME: "old"}) for n in range(LISTS)])
    store = MemoryStore(loop.now)
    store.run_now(_differing_lists)
    budget = MemoryBudget([Window(limit=1, seconds=1.0)], hold_s=30.0, now=loop.monotonic, spread=lambda: 0.5)
    door = Door(
        connector=remote,
        wire=remote.wire,
        tickets=Throttle(budget, loop.monotonic),
        max_in_flight=16,
        timeout_s=10.0,
        late_write_s=120.0,
    )

    async def all_of_it() -> Pushed:
        return await push(door, store, RULES, loop, for_s=1000.0, spread=lambda: 0.5)

    pushed = run_virtually(all_of_it(), loop)

    assert LISTS == pushed.patched
    assert {"new"} == {shown.fields[Field.NAME] for shown in remote.wire.lists.values()}
    assert 99.0 <= loop.time() <= 105.0
    assert {Standing.IN_SYNC} == {one.copies["outreach"].standing for one in store.tables.lists.values()}


def _differing_lists(tx: Tx) -> None:
    """The CRM says "new", the other remote was last seen with "old"."""
    earlier, stamp = Stamp(START - timedelta(seconds=1)), Stamp(START)
    for number in tx.create([None] * LISTS):
        crm = Copy(remote="crm", remote_id=f"c{number}", seen={Field.NAME: Seen("new", stamp)})
        other = Copy(remote="outreach", remote_id=f"o{number - 1}", seen={Field.NAME: Seen("old", earlier)})
        made = LeadList(
            id=number,
            wanted={Field.NAME: Wanted("new", stamp, "crm")},
            copies={"crm": crm, "outreach": other},
        )
        tx.save([(None, restand(made, RULES, tx.now))])
