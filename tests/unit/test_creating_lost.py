"""Creating when answers are lost, late or refused: a list is made once, and found again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.lead_list import Field, Kind, Standing, Waiting
from models.ledger import ChangeKind
from tests.support.creating import (
    all_create,
    appears,
    creating,
    meanwhile,
    names,
    pending,
    posts,
    scanned,
    told,
    wait_out,
)
from tests.support.world import LATE_WRITE_S, answers, applied, lost, run
from worker.engine.rules import OnGone, Rules
from worker.errors import Unclear
from worker.remotes.base import Answer, Request, Wire
from worker.sync import operate


@pytest.mark.parametrize("remote", ["lance", "instantly"])
def test_a_create_that_was_applied_is_found_again(remote: str) -> None:
    """The next scan shows it, and it is never sent a second time."""

    async def scene() -> None:
        world = await scanned()
        world.wires[remote].faults.append(applied)
        await appears(world)
        await world.sync()
        assert pending(world, remote).waiting is Waiting.READ_BACK
        await world.scan(remote)
        world.wait(60)
        await world.rest()
        assert names(world, remote) == ["Berlin"]
        assert len(posts(world, remote)) == 1
        assert world.list_of().copies[remote].remote_id == "new-1"
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}
        assert told(world).count(ChangeKind.CREATED) == 2

    run(scene)


def test_a_create_that_was_not_applied_is_sent_again_only_when_that_is_sure() -> None:
    """Not at once, not after a scan that was begun while it could still arrive."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(lost)
        await appears(world)
        await world.sync()
        for seconds in (10, 50, LATE_WRITE_S - 70):
            await world.scan("lance")
            world.wait(seconds)
            await world.sync()
            assert len(posts(world, "lance")) == 1
        await wait_out(world, "lance")
        assert len(posts(world, "lance")) == 2
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_a_scan_is_asked_for_when_a_lost_create_needs_one() -> None:
    """Nobody waits for the schedule."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(lost)
        await appears(world)
        await world.sync()
        world.wait(LATE_WRITE_S + 61)
        await world.push("lance")
        latest = world.memory.run_now(lambda tx: tx.scans.latest("lance"))
        assert latest is not None
        assert latest.started_at == world.now

    run(scene)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_fails_leaves_a_create_unclear(status: int) -> None:
    """A 5xx proves nothing."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(answers(status))
        await appears(world)
        await world.sync()
        assert len(posts(world, "lance")) == 1
        await wait_out(world, "lance")
        assert (len(posts(world, "lance")), names(world, "lance")) == (2, ["Berlin"])

    run(scene)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"name":"Berlin"}', b"[]"])
def test_an_answer_that_shows_no_list_is_looked_for(body: bytes) -> None:
    """It was made, but nobody knows by which id."""

    async def scene() -> None:
        world = await scanned()

        async def spoiled(request: Request, wire: Wire) -> Answer:
            return replace(await wire.exchange(request), body=body)

        world.wires["lance"].faults.append(spoiled)
        await appears(world)
        await world.sync()
        await world.scan("lance")
        world.wait(60)
        await world.sync()
        assert (len(posts(world, "lance")), names(world, "lance")) == (1, ["Berlin"])
        assert world.list_of().copies["lance"].remote_id == "new-1"

    run(scene)


def test_a_refused_create_is_parked_until_something_changes() -> None:
    """With the remote's own words; another name is another chance."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(answers(422, {"error": {"message": "name is too short"}}))
        await appears(world, name="B")
        await world.sync()
        parked = pending(world, "lance").parked
        assert parked is not None
        assert "name is too short" in parked.cause
        assert f"leadsync unlink lance:pending:{world.list_of().id}" in parked.next_step
        world.tell("crm", world.put("crm", name="Berlin"))
        await world.sync()
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_a_create_parked_for_its_kind_goes_on_when_the_kind_is_known() -> None:
    """The patch is the same, but the list is not."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(answers(400))
        await appears(world)
        await world.sync()
        assert pending(world, "lance").standing is Standing.PARKED
        shown = world.put("crm")
        world.tell("crm", shown, data={"fields": {"name": "Berlin", "kind": "person"}})
        await world.sync()
        assert names(world, "lance") == ["Berlin"]
        assert posts(world, "lance")[-1] == {"name": "Berlin", "kind": Kind.PERSON}

    run(scene)


@pytest.mark.parametrize(("status", "paused"), [(401, True), (429, False)])
def test_a_create_that_was_surely_not_done_is_sent_again(status: int, paused: bool) -> None:  # noqa: FBT001 - a case
    """Lost access and rate limits leave nothing behind."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(answers(status))
        await appears(world)
        await world.push("lance")
        if paused:
            await operate.resume(world.store, world.rules, "lance")
        world.wait(60)
        await world.sync()
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_a_worker_killed_before_it_sent_leaves_no_doubt_behind() -> None:
    """Its intent was committed, so the create is looked for before it is sent by another."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)

        async def killed(_request: Request, _wire: Wire) -> Answer:
            raise asyncio.CancelledError

        world.wires["lance"].faults.append(killed)
        flight = asyncio.ensure_future(world.push("lance"))
        await asyncio.wait([flight])
        assert pending(world, "lance").intent is not None
        world.wait(60)
        await world.sync()
        assert len(posts(world, "lance")) == 1
        await wait_out(world, "lance")
        assert (len(posts(world, "lance")), names(world, "lance")) == (2, ["Berlin"])

    run(scene)


@pytest.mark.parametrize("rules", [creating(), all_create()], ids=["two create", "all create"])
def test_a_scan_may_meet_the_list_before_its_answer_comes(rules: Rules) -> None:
    """What it took for a new list is the one that was created; nothing is made of it anywhere."""

    async def scene() -> None:
        world = await scanned(rules)

        async def scan() -> None:
            await world.scan("lance")
            await world.push("crm")
            await world.push("instantly")

        world.wires["lance"].faults.append(meanwhile(scan))
        await appears(world)
        await world.sync()
        world.wait(60)
        await world.rest()
        assert [names(world, remote) for remote in world.remotes] == [["Berlin"]] * 3
        assert len(world.memory.tables.lists) == 1
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}

    run(scene)


@pytest.mark.parametrize("scanning", [False, True])
def test_a_list_renamed_while_it_is_created_keeps_its_new_name(scanning: bool) -> None:  # noqa: FBT001 - a case
    """Even where the remote that shows the old name outranks the one where it was renamed."""

    async def scene() -> None:
        world = await scanned()
        world.tell("instantly", None, "i1")
        world.put("instantly", "i1", name="Berlin")

        async def rename() -> None:
            world.put("instantly", "i1", name="Berlin 2026")
            world.tell("instantly", None, "i1")
            await world.intake()
            await world.push("instantly")
            if scanning:
                await world.scan("lance")

        world.wires["lance"].faults.append(meanwhile(rename))
        await world.intake()
        await world.rest()
        assert names(world, "lance") == names(world, "instantly") == ["Berlin 2026"]

    run(scene)


def test_a_lost_create_renamed_meanwhile_is_found_by_its_old_name() -> None:
    """Then it gets the new one."""

    async def scene() -> None:
        world = await scanned(all_create())
        world.wires["lance"].faults.append(applied)
        await appears(world)
        await world.sync()
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await world.sync()
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert [names(world, remote) for remote in world.remotes] == [["Berlin 2026"]] * 3
        assert len(posts(world, "lance")) == 1

    run(scene)


def test_an_edit_made_there_before_the_lost_list_was_found_is_an_edit() -> None:
    """Only what it was made with is ours."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(applied)
        await appears(world, owner="u1")
        await world.sync()
        world.put("lance", "new-1", owner="u2")
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert world.shown("crm").fields[Field.OWNER] == "u2"

    run(scene)


def test_two_lists_of_one_name_are_created_one_after_the_other() -> None:
    """So a lost answer leaves no doubt which is whose."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(applied)
        world.tell("crm", world.put("crm", "1", name="Berlin"))
        world.tell("crm", world.put("crm", "2", name="Berlin"))
        await world.sync()
        assert len(posts(world, "lance")) == 1
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert names(world, "lance") == names(world, "instantly") == ["Berlin", "Berlin"]
        assert len(posts(world, "lance")) == 2
        assert (
            world.list_of("crm", "1").copies["lance"].remote_id != world.list_of("crm", "2").copies["lance"].remote_id
        )

    run(scene)


def test_a_list_that_is_gone_is_held_while_its_create_elsewhere_may_have_landed() -> None:
    """It may be there: whether it is to go from there too, a person decides."""

    async def scene() -> None:
        world = await scanned(creating(on_gone=OnGone.HOLD))
        for remote in ("lance", "instantly"):
            world.wires[remote].faults.append(applied)
        await appears(world)
        await world.sync()
        world.remotes["crm"].wire.lists.clear()
        world.put("crm", "2", name="Rome")
        world.wait(10)
        await world.scan("crm")
        copy = world.list_of().copies["crm"]
        assert (copy.standing, world.rules.remotes["crm"].on_gone) == (Standing.PARKED, OnGone.HOLD)
        assert pending(world, "lance").abandoned

    run(scene)


def test_what_a_lost_create_could_not_set_is_told_again() -> None:
    """The new list shows no owner, as if the remote had not taken it: that is nobody's edit, and nobody loses one."""

    async def scene() -> None:
        world = await scanned()

        async def forgets_owner(request: Request, wire: Wire) -> Answer:
            await wire.exchange(replace(request, body={**request.body, "owner": None}))
            raise Unclear("no answer in time")

        world.wires["lance"].faults.append(forgets_owner)
        await appears(world, owner="u1")
        await world.sync()
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert world.wanted()["owner"] == "u1"
        assert world.shown("lance", "new-1").fields[Field.OWNER] == "u1"

    run(scene)
