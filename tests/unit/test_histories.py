"""Recorded histories: what happens step by step, what every side shows in the end, what was sent, what the ledger says.

A history is a table. Its steps are functions of the world; `calls` are the requests to each remote, `ledger` the
kinds of changes with field and values.
"""

from __future__ import annotations

import pytest

from models.lead_list import Absence, Field, Standing
from models.ledger import ChangeKind
from models.scan import ScanState
from tests.support.histories import (
    ALL_B,
    CUT,
    EMPTY,
    HTML,
    PATCH_B,
    PLAIN,
    C,
    History,
    W,
    another,
    decides,
    deletes,
    edits,
    meets,
    news,
    one_a_page,
    push_that_a_page_overtakes,
    pushes,
    resumes,
    scans,
    under,
)
from tests.support.world import World, answers, linked, run
from worker.engine.rules import Policy
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.crm.connector import LISTS
from worker.sync.schedule import decide

HISTORIES = [
    History(
        says="late and swapped webhooks: the older news comes last and changes nothing",
        steps=(edits("crm", "C"), edits("crm", "B", told=True), pushes("lance"), news("crm", "C", -0.5)),
        names=ALL_B,
        calls={"crm": [], "lance": [PATCH_B], "instantly": [PATCH_B]},
        ledger=[(W, "A", "B")],
    ),
    History(
        says="the echo of an old value after a newer write",
        steps=(
            edits("crm", "C", told=True),
            pushes("lance"),
            edits("crm", "B", told=True),
            pushes("lance"),
            news("lance", "C", -0.5),
        ),
        names=ALL_B,
        calls={"crm": [], "lance": ["PATCH {'name': 'C'}", PATCH_B], "instantly": [PATCH_B]},
        ledger=[(W, "A", "C"), (W, "C", "B")],
    ),
    History(
        says="without versions, a page read before a push and taken in after it is not believed: it is read again",
        steps=(edits("crm", "B", told=True), push_that_a_page_overtakes("instantly")),
        names=ALL_B,
        calls={"crm": [], "lance": [PATCH_B], "instantly": [PATCH_B, "GET page", "GET"]},
        ledger=[(W, "A", "B")],
    ),
    History(
        says="the same with versions: they tell which is older, and nothing is read again",
        steps=(edits("crm", "B", told=True), push_that_a_page_overtakes("lance")),
        names=ALL_B,
        calls={"crm": [], "lance": [PATCH_B, "GET page"], "instantly": [PATCH_B]},
        ledger=[(W, "A", "B")],
    ),
    History(
        says="the same with versions of whole seconds: two looks of one version tell nothing, and it is read again",
        steps=(edits("crm", "B", told=True), push_that_a_page_overtakes("lance", coarse=True)),
        names=ALL_B,
        calls={"crm": [], "lance": [PATCH_B, "GET page", "GET"], "instantly": [PATCH_B]},
        ledger=[(W, "A", "B")],
    ),
    History(
        says="edited on two sides within a second, authority: the CRM wins, both values are kept",
        rules=under(Policy.AUTHORITY),
        steps=(edits("crm", "B", told=True), edits("lance", "C", told=True)),
        names=ALL_B,
        calls={"crm": [], "lance": [PATCH_B], "instantly": [PATCH_B]},
        ledger=[(W, "A", "B"), (C, "B", "C")],
    ),
    History(
        says="the same, newest: the later edit wins",
        rules=under(Policy.NEWEST),
        steps=(edits("crm", "C", told=True), edits("lance", "B", told=True)),
        names=ALL_B,
        calls={"crm": [PATCH_B], "lance": [], "instantly": [PATCH_B]},
        ledger=[(W, "A", "C"), (C, "C", "B"), (W, "C", "B")],
    ),
    History(
        says="the same, hold: nobody is overwritten before a person decides",
        rules=under(Policy.HOLD),
        steps=(edits("crm", "B", told=True), edits("lance", "C", told=True)),
        names={"crm": "B", "lance": "C", "instantly": "B"},
        calls={"crm": [], "lance": [], "instantly": [PATCH_B]},
        ledger=[(W, "A", "B"), (ChangeKind.HELD, "B", "C")],
        standing={"lance": Standing.CONFLICT},
    ),
    History(
        says="deleted there during a push: 404 parks it, the next complete scan says that it is gone",
        steps=(another("lance"), scans("lance"), edits("crm", "B", told=True), deletes("lance"), pushes("lance"),
               scans("lance", missing=1, gone=1)),
        names={"crm": "B", "instantly": "B"},
        calls={"crm": [], "lance": ["GET page", PATCH_B, "GET page", "GET"], "instantly": [PATCH_B]},
        ledger=[(W, "A", "B"), (ChangeKind.GONE, None, None)],
        standing={"lance": Standing.PARKED},
    ),
    History(
        says="401 in the middle of a scan: paused and nothing marked; after resume the next one completes",
        steps=(another("instantly"), one_a_page("instantly"), edits("instantly", "B"),
               meets("instantly", None, answers(401)), scans("instantly", ScanState.INCOMPLETE, repaired=0, missing=0),
               resumes("instantly"), scans("instantly", drift=1, repaired=1, missing=0)),
        names=ALL_B,
        calls={"crm": [PATCH_B], "lance": [PATCH_B], "instantly": ["GET page"] * 4},
        ledger=[(W, "A", "B")],
    ),
    History(
        says="cut off by 500s that pass: it goes on where it stood",
        steps=(another("instantly"), one_a_page("instantly"), edits("instantly", "B"),
               meets("instantly", None, *[answers(500)] * 3), scans("instantly", pages=2, drift=1)),
        names=ALL_B,
        calls={"crm": [PATCH_B], "lance": [PATCH_B], "instantly": ["GET page"] * 5},
        ledger=[(W, "A", "B")],
    ),
    History(
        says="cut off by 500s that do not pass: given up, and nothing is taken in",
        steps=(meets("lance", *[answers(500)] * 8), scans("lance", ScanState.INCOMPLETE, missing=0, gone=0)),
        names={"crm": "A", "lance": "A", "instantly": "A"},
        calls={"crm": [], "lance": ["GET page"] * 8, "instantly": []},
    ),
    History(
        says="cut-off pages, broken JSON and HTML: never read as an empty remote",
        steps=(meets("lance", CUT, HTML), scans("lance", lists=1, missing=0)),
        names={"crm": "A", "lance": "A", "instantly": "A"},
        calls={"crm": [], "lance": ["GET page"] * 3, "instantly": []},
    ),
    History(
        says="an emptied remote is held; released, the list is asked for by id and still there",
        steps=(meets("lance", EMPTY), scans("lance", ScanState.HELD), decides("lance", release=True)),
        names={"crm": "A", "lance": "A", "instantly": "A"},
        calls={"crm": [], "lance": ["GET page", "GET"], "instantly": []},
    ),
    History(
        says="an emptied remote is held; refused, nothing is asked",
        steps=(meets("lance", EMPTY), scans("lance", ScanState.HELD), decides("lance", release=False)),
        names={"crm": "A", "lance": "A", "instantly": "A"},
        calls={"crm": [], "lance": ["GET page"], "instantly": []},
    ),
    History(
        says="held, and superseded by a later scan that shows all",
        steps=(meets("lance", EMPTY), scans("lance", ScanState.HELD), scans("lance", lists=1)),
        names={"crm": "A", "lance": "A", "instantly": "A"},
        calls={"crm": [], "lance": ["GET page"] * 2, "instantly": []},
    ),
    History(
        says="permission loss answers 404 by id: parked, and the next scan that shows it brings it back by itself",
        steps=(edits("crm", "B", told=True), meets("instantly", answers(404)), pushes("instantly"),
               scans("instantly", missing=0)),
        names=ALL_B,
        calls={"crm": [], "lance": [PATCH_B], "instantly": [PATCH_B, "GET page", "GET", PATCH_B]},
        ledger=[(W, "A", "B")],
    ),
]  # fmt: skip


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.says)
def test_history(history: History) -> None:
    """The right final state, the fewest calls, and a ledger that tells the story."""

    async def scene() -> None:
        world = await linked(World(history.rules), "crm", "lance", "instantly")
        known = len(world.memory.tables.changes)
        for step in history.steps:
            if (work := step(world)) is not None:
                await work
        await world.rest()
        lists = {name: remote.wire.lists.get("1") for name, remote in world.remotes.items()}
        assert history.names == {name: one.fields[Field.NAME] for name, one in lists.items() if one is not None}
        assert history.calls == {name: [_said(one) for one in wire.sent] for name, wire in world.wires.items()}
        number = world.list_of().id
        told = [change for one, change in world.memory.tables.changes[known:] if one == number]
        names = [(one.kind, one.old, one.new) for one in told if one.field is Field.NAME]
        gone = [(one.kind, None, None) for one in told if one.kind is ChangeKind.GONE]
        assert history.ledger == names + gone
        assert {
            "crm": Standing.IN_SYNC,
            "lance": Standing.IN_SYNC,
            "instantly": Standing.IN_SYNC,
        } | history.standing == {name: world.copy(name).standing for name in world.remotes}

    run(scene)


def _said(request: Request) -> str:
    if request.method == "GET":
        return "GET page" if request.path == LISTS else "GET"
    return f"{request.method} {request.body}"


def test_a_list_that_a_read_did_not_find_comes_back_with_the_next_scan() -> None:
    """Without versions too: what is to be read again is no longer parked."""

    async def scene() -> None:
        world = await linked(World(PLAIN), "crm", "lance", "instantly")
        world.tell("instantly", None, "1")
        world.wires["instantly"].faults.append(answers(404))
        await world.sync()
        assert {Absence.NOT_FOUND} == world.copy("instantly").absent
        world.wait(10)
        await world.scan("instantly")
        await world.rest()
        assert (Standing.IN_SYNC, None) == (world.copy("instantly").standing, world.copy("instantly").parked)

    run(scene)


def test_a_write_sent_twice_is_not_proven_done_by_the_second() -> None:
    """The first may still land: another value waits, whatever answers show meanwhile."""

    async def scene() -> None:
        world = World()
        world.put("lance", name="A", owner=None)
        world.tell("crm", world.put("crm", name="A", owner=None), data={"links": {"lance": "1"}})
        await world.rest()
        hanging: list[Request] = []

        async def hangs(request: Request, wire: Wire) -> Answer:
            hanging.append(request)
            return await answers(500)(request, wire)

        world.tell("crm", world.put("crm", name="B"))
        world.wires["lance"].faults.append(hangs)
        await world.sync()
        for _ in range(3):
            world.wait(2)
            await world.sync()
        assert "B" == world.shown("lance").fields[Field.NAME]
        world.tell("crm", world.put("crm", name="C", owner="u1"))
        await world.sync()
        assert ("B", "u1") == tuple(world.shown("lance").fields[f] for f in (Field.NAME, Field.OWNER))
        await world.remotes["lance"].wire.exchange(hanging[0])
        await world.rest()
        assert ["C", "C"] == [world.shown(remote).fields[Field.NAME] for remote in ("crm", "lance")]

    run(scene)


def test_what_became_as_wanted_is_no_drift() -> None:
    """Writes whose answers were lost, and a person who was faster: nothing there has to be held or taken in."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"))
        await world.intake()
        world.put("lance", name="B")
        one = await world.scan("lance")
        assert (ScanState.COMPLETE, 0) == (one.state, one.drift)
        assert [] == world.patches("lance")

    run(scene)


def test_lists_that_are_known_to_be_gone_are_not_missed_again() -> None:
    """Else a release would be asked for after every scan, for ever."""

    async def scene() -> None:
        world = World()
        for number in range(20):
            world.put("crm", str(number), name=f"list {number}")
        await world.scan("crm")
        for number in range(15):
            del world.remotes["crm"].wire.lists[str(number)]
        world.wait(10)
        held = await world.scan("crm")
        assert (ScanState.HELD, 15) == (held.state, held.missing)
        world.memory.run_now(lambda tx: decide(tx, held.id, release=True))
        released = await world.scan("crm")
        assert (ScanState.COMPLETE, 15) == (released.state, released.gone)
        world.wait(10)
        again = await world.scan("crm")
        assert (ScanState.COMPLETE, 0, 0) == (again.state, again.missing, again.gone)

    run(scene)


def test_a_later_page_is_believed_and_not_an_earlier_one() -> None:
    """A person edits and takes it back while the pages are read; the listing shows the list twice."""

    async def scene() -> None:
        world = await linked(World(PLAIN), "crm", "instantly")
        world.put("instantly", name="B")
        connector = world.remotes["instantly"]
        connector.wire._page = 1
        world.put("instantly", "2", name="another")

        async def taken_back(_request: Request, wire: Wire) -> Answer:
            world.put("instantly", name="A")
            world.remotes["instantly"].wire._page = 5
            return await wire.exchange(Request(method="GET", path=LISTS))

        world.wires["instantly"].faults.extend([None, taken_back])
        await world.scan("instantly")
        await world.rest()
        assert ["A", "A"] == [world.shown(remote).fields[Field.NAME] for remote in ("crm", "instantly")]
        assert [] == world.patches("crm")

    run(scene)
