"""Scan: every list of a remote is read and observed, by the same code as an event, and ends in a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from models.lead_list import Field, Standing
from models.ledger import ChangeKind
from models.scan import ScanState, Trigger
from tests.support.heart import remote_rules, rules_of
from tests.support.world import TestClock, World, answers, edited, linked, run
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.memory import MemoryWire, _object
from worker.sync import operate
from worker.sync.scan import scan
from worker.sync.schedule import begin

UNVERSIONED = rules_of(instantly=remote_rules(2, versioned=False))


def test_an_edit_that_no_event_told_of_is_found_and_pushed() -> None:
    """A person edits on Instantly; after its next scan the others show the same."""

    async def scene() -> None:
        world = await linked(World(UNVERSIONED), "crm", "lance", "instantly")
        world.wait(10)
        world.put("instantly", name="B")
        certificate = await world.scan("instantly")
        await world.rest()
        assert (certificate.state, certificate.drift, certificate.repaired) == (ScanState.COMPLETE, 1, 1)
        assert [world.shown(remote).fields[Field.NAME] for remote in world.remotes] == ["B", "B", "B"]
        assert [len(world.patches(remote)) for remote in world.remotes] == [1, 1, 0]

    run(scene)


def test_a_scan_that_finds_nothing_writes_nothing() -> None:
    """No drift, no row, no call but its pages."""

    async def scene() -> None:
        world = await linked(World(UNVERSIONED), "crm", "lance", "instantly")
        before = dict(world.memory.tables.lists)
        for remote in world.remotes:
            world.wait(10)
            certificate = await world.scan(remote)
            assert (certificate.state, certificate.lists, certificate.drift) == (ScanState.COMPLETE, 1, 0)
            assert [request.method for request in world.wires[remote].sent] == ["GET"]
        assert world.memory.tables.lists == before

    run(scene)


def test_lists_that_nobody_knew_are_taken_in() -> None:
    """All pages are read, and each list is known afterwards."""

    async def scene() -> None:
        world = World()
        for number in range(250):
            world.put("crm", str(number), name=f"list {number}")
        certificate = await world.scan("crm")
        assert (certificate.pages, certificate.lists, certificate.new) == (3, 250, 250)
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}

    run(scene)


def test_absence_alone_is_not_deletion() -> None:
    """A list that a page drops, but that answers by id, stays as it is."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.wait(10)
        world.put("crm", "2", name="another")
        await world.scan("crm")
        lists = world.remotes["crm"].wire.lists
        hidden = lists.pop("1")

        async def back(request: Request, wire: Wire) -> Answer:
            lists["1"] = hidden
            return await wire.exchange(request)

        world.wires["crm"].faults.extend([None, back])
        certificate = await world.scan("crm")
        assert (certificate.missing, certificate.gone, certificate.state) == (1, 0, ScanState.COMPLETE)
        assert world.copy("crm").standing is Standing.IN_SYNC

    run(scene)


def test_a_list_that_is_gone_is_parked() -> None:
    """A complete scan did not show it, and its id is answered with 404."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.put("crm", "2", name="another")
        await world.scan("crm")
        del world.remotes["crm"].wire.lists["1"]
        certificate = await world.scan("crm")
        assert (certificate.missing, certificate.gone, certificate.state) == (1, 1, ScanState.COMPLETE)
        assert world.copy("crm").standing is Standing.PARKED
        assert world.shown("lance").fields[Field.NAME] == "A"

    run(scene)


def test_an_emptied_remote_is_held() -> None:
    """It shows no list at all: nothing is marked, nothing read by id."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.wait(10)
        world.remotes["crm"].wire.lists.clear()
        certificate = await world.scan("crm")
        assert certificate.state is ScanState.HELD
        assert world.copy("crm").standing is Standing.IN_SYNC

    run(scene)


@pytest.mark.parametrize(
    ("deleted", "edited", "held"),
    [
        (11, 0, "11 are no longer shown"),
        (0, 11, "11 were changed there"),
        (6, 5, "6 are no longer shown and 5 were changed there"),
        (5, 5, ""),
    ],
)
def test_what_is_not_shown_and_what_was_changed_count_together(deleted: int, edited: int, held: str) -> None:
    """The brake is for all that a scan would change; it says how many of each, and ten are never too many."""

    async def scene() -> None:
        world = World()
        for number in range(30):
            world.put("crm", str(number), name=f"list {number}")
        await world.scan("crm")
        world.wait(10)
        for number in range(deleted):
            del world.remotes["crm"].wire.lists[str(number)]
        for number in range(deleted, deleted + edited):
            world.put("crm", str(number), name="edited")
        certificate = await world.scan("crm")
        assert (deleted, edited) == (certificate.missing, certificate.drift)
        ended = (ScanState.HELD, f"of 30 known lists, {held}") if held else (ScanState.COMPLETE, "")
        assert ended == (certificate.state, certificate.note)

    run(scene)


def test_a_failed_page_is_read_again() -> None:
    """A scan goes on where it stood."""

    async def scene() -> None:
        world = World()
        for number in range(250):
            world.put("crm", str(number), name=f"list {number}")
        world.wires["crm"].faults.extend([None, answers(503), None])
        certificate = await world.scan("crm")
        assert (certificate.pages, certificate.lists, certificate.state) == (3, 250, ScanState.COMPLETE)
        assert len(world.wires["crm"].sent) == 4

    run(scene)


def test_what_was_edited_there_is_not_written_over_while_the_scan_is_not_believed_yet() -> None:
    """Our write was due when a page showed an edit: the list is read first, and the conflict is told."""

    async def scene() -> None:
        world = await linked(World(UNVERSIONED), "crm", "instantly")
        world.wait(10)
        world.put("instantly", name="theirs")
        await edited(world, "crm", name="ours")
        await world.store.run(lambda tx: begin(tx, "instantly", Trigger.PERSON))
        await scan(world.door("instantly"), world.store, world.rules, TestClock(), for_s=60)
        await world.rest()
        kinds = [change.kind for _, change in world.memory.tables.changes]
        assert ChangeKind.CONFLICT in kinds
        assert world.shown("instantly").fields[Field.NAME] == "ours"

    run(scene)


def test_a_scan_leaves_a_remote_alone_that_is_paused_meanwhile() -> None:
    """It stops before the next page, and goes on from there."""

    async def scene() -> None:
        world = World()
        for number in range(250):
            world.put("crm", str(number), name=f"list {number}")

        async def paused(request: Request, wire: Wire) -> Answer:
            await operate.pause(world.store, world.rules, "crm")
            return await wire.exchange(request)

        world.wires["crm"].faults.append(paused)
        stopped = await world.scan("crm")
        assert (stopped.state, stopped.pages, len(world.wires["crm"].sent)) == (ScanState.READING, 1, 1)
        await operate.resume(world.store, world.rules, "crm")
        certificate = await world.scan("crm")
        assert (certificate.state, certificate.pages, len(world.wires["crm"].sent)) == (ScanState.COMPLETE, 3, 3)

    run(scene)


class Timed(MemoryWire):
    """Pages by time stamp, as Instantly's: lists of one moment at the edge of a page are left out, or come twice."""

    def __init__(self, moments: dict[str, int], *, repeats: bool) -> None:
        super().__init__([])
        self._moments, self._repeats = moments, repeats

    def _page_of(self, query: Mapping[str, str | int]) -> dict[str, Any]:
        after = int(query.get("cursor", -1))
        left = [one for one in self._moments if self._moments[one] > after - self._repeats]
        shown = left[:2]
        told = str(self._moments[shown[-1]]) if len(left) > 2 else None
        return {"items": [_object(self.lists[one]) for one in shown], "next_cursor": told}


@pytest.mark.parametrize(
    ("repeats", "moments", "pages"),
    [(False, {"1": 0, "2": 1, "3": 1, "4": 2}, 2), (True, {"1": 0, "2": 1, "3": 2, "4": 3}, 3)],
    ids=["skips", "repeats"],
)
def test_cursors_that_are_time_stamps(repeats: bool, moments: dict[str, int], pages: int) -> None:  # noqa: FBT001 - a case
    """A list that the edge of a page swallowed is read by id and stays; one that comes twice is one list."""

    async def scene() -> None:
        world = World()
        for number in moments:
            world.tell("crm", world.put("crm", number, name=f"list {number}"))
        await world.rest()
        world.wait(10)
        timed = Timed(moments, repeats=repeats)
        timed.lists = world.remotes["crm"].wire.lists
        world.wires["crm"]._wire = timed
        certificate = await world.scan("crm")
        assert (certificate.state, certificate.pages) == (ScanState.COMPLETE, pages)
        assert (certificate.lists + certificate.missing, certificate.gone) == (4, 0)
        assert [copy.standing for copy in world.copies()] == [Standing.IN_SYNC] * 4

    run(scene)
