"""Steps of recorded histories, as functions of the world, and what one history is. For tests/unit/test_histories.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from models.lead_list import Field, Standing, Value
from models.ledger import ChangeKind
from models.observation import Shown
from models.scan import UNDER_WAY, ScanState, Trigger
from tests.support.heart import remote_rules, rules_of
from tests.support.world import Fault, TestClock, World, answers
from worker.engine.rules import Policy, Rules
from worker.ports import RemoteState
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.crm.connector import LISTS
from worker.sync.scan import scan
from worker.sync.schedule import begin, decide

Step = Callable[[World], Awaitable[Any] | None]

#: The remote without versions, as Instantly is.
PLAIN = rules_of(instantly=remote_rules(2, versioned=False))


@dataclass(frozen=True, kw_only=True)
class History:
    """One row of the table. Three linked lists of the name A come before the first step."""

    says: str
    rules: Rules = field(default_factory=lambda: PLAIN)
    steps: tuple[Step, ...]
    #: The name that each remote shows in the end.
    names: Mapping[str, Value]
    #: Requests by remote, in order: the method, and what a write says.
    calls: Mapping[str, list[str]]
    #: (kind, old, new) of each change of a name.
    ledger: list[tuple[ChangeKind, Value, Value]] = field(default_factory=list)
    standing: dict[str, Standing] = field(default_factory=dict)


def edits(remote: str, name: str, *, told: bool = False) -> Step:
    """A person sets the name; the event comes at once, or never."""

    def step(world: World) -> None:
        world.wait(1)
        shown = world.put(remote, name=name)
        if told:
            world.tell(remote, shown)

    return step


def news(remote: str, name: str, at_s: float) -> Step:
    """An event of what the list showed so many seconds ago."""

    def step(world: World) -> None:
        old = world.shown(remote)
        assert old.version is not None
        fields = {**old.fields, Field.NAME: name}
        version = old.version.fromtimestamp(old.version.timestamp() + at_s, old.version.tzinfo)
        world.tell(remote, Shown(remote_id="1", fields=fields, members=old.members, version=version))

    return step


def deletes(remote: str) -> Step:
    """A person deletes the list there. Another list stays, so that the remote is not empty."""

    def step(world: World) -> None:
        del world.remotes[remote].wire.lists["1"]

    return step


def another(remote: str) -> Step:
    """A second list, that nobody ties to anything."""

    def step(world: World) -> None:
        world.put(remote, "2", name="another")

    return step


def one_a_page(remote: str) -> Step:
    """Its pages hold one list each."""

    def step(world: World) -> None:
        world.remotes[remote].wire._page = 1

    return step


def meets(remote: str, *faults: Fault | None) -> Step:
    """What befalls the next requests there."""

    def step(world: World) -> None:
        world.wires[remote].faults.extend(faults)

    return step


def scans(remote: str, state: ScanState = ScanState.COMPLETE, **counts: int) -> Step:
    """A scan from its begin to its end, with this certificate."""

    async def step(world: World) -> None:
        world.wait(10)
        one = await world.scan(remote)
        while one.state in UNDER_WAY:
            world.wait(60)
            one = await world.scan(remote)
        assert one.state is state, one
        assert counts == {name: getattr(one, name) for name in counts}, one

    return step


def pushes(remote: str) -> Step:
    """One remote is pushed."""

    async def step(world: World) -> None:
        await world.intake()
        await world.push(remote)

    return step


def resumes(remote: str) -> Step:
    """A person renews the token and lets the work go on."""

    def step(world: World) -> None:
        assert world.memory.run_now(lambda tx: tx.remote_state(remote)).paused
        world.memory.run_now(lambda tx: tx.set_remote_state(remote, RemoteState()))

    return step


def push_that_a_page_overtakes(remote: str, *, coarse: bool = False) -> Step:
    """The PATCH is on its way; a page is asked for and read; the PATCH lands and answers; then the page arrives.
    Where versions are `coarse`, the PATCH leaves the list with the one that it had.
    """

    async def step(world: World) -> None:
        async def patch_first(request: Request, wire: Wire) -> Answer:
            # It was claimed before the page is asked for, so its answer carries the older stamp.
            world.wait(1)
            pages.append(await wire.exchange(Request(method="GET", path=LISTS)))
            asked.append(world.now)
            before, answer = world.shown(remote), await wire.exchange(request)
            if not coarse:
                return answer
            lists = world.remotes[remote].wire.lists
            lists["1"] = replace(lists["1"], version=before.version)
            return await wire.exchange(Request(method="GET", path=request.path))

        async def old_page(_request: Request, _wire: Wire) -> Answer:
            return pages[0]

        pages: list[Answer] = []
        asked: list[Any] = []
        await world.intake()
        world.wires[remote].faults.append(patch_first)
        await world.push(remote)
        world.wires[remote].faults.append(old_page)
        await world.store.run(lambda tx: begin(tx, remote, Trigger.PERSON))
        world.now = asked[0]
        await scan(world.door(remote), world.store, world.rules, TestClock(), for_s=60)
        world.wait(1)

    return step


def decides(remote: str, *, release: bool) -> Step:
    """A person looks at the scan that is held."""

    async def step(world: World) -> None:
        def work(tx: Any) -> None:
            latest = tx.scans.latest(remote)
            decide(tx, latest.id, release=release)

        world.memory.run_now(work)
        if release:
            await world.scan(remote)

    return step


W, C = ChangeKind.WANTED, ChangeKind.CONFLICT
ALL_B = {"crm": "B", "lance": "B", "instantly": "B"}
HTML = answers(200, b"<html>Please log in</html>")
CUT = answers(200, b'{"items": [{"id": "1", "name": "A"')
EMPTY = answers(200, {"items": [], "next_cursor": None})
PATCH_B = "PATCH {'name': 'B'}"


def under(policy: Policy) -> Rules:
    """The same field policy for all."""
    return rules_of(dict.fromkeys(Field, policy), instantly=remote_rules(2, versioned=False))
