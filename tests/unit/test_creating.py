"""Creating missing lists: exactly one on each remote, whatever happens to the calls, the scans and the events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.lead_list import Copy, Field, Kind, Standing, Waiting
from models.ledger import ChangeKind
from models.observation import Shown
from tests.support.heart import remote_rules, rules_of
from tests.support.world import LATE_WRITE_S, Fault, World, answers, applied, lost, reasons, run
from worker.engine.rules import OnGone, Rules
from worker.errors import NotPossible
from worker.remotes.base import Answer, Request, Wire
from worker.sync import operate

NAME = Field.NAME


def creating(**more: Any) -> Rules:
    """New lists are created on Lance and Instantly."""
    lance = replace(remote_rules(1), creates=True, **more)
    return rules_of(lance=lance, instantly=replace(remote_rules(2, versioned=False), creates=True))


def all_create(**more: Any) -> Rules:
    """New lists are created everywhere."""
    rules = creating(**more)
    return replace(rules, remotes={name: replace(one, creates=True) for name, one in rules.remotes.items()})


async def scanned(rules: Rules | None = None) -> World:
    """A world whose remotes were all scanned once."""
    world = World(rules or creating())
    for remote in world.remotes:
        await world.scan(remote)
    world.wait(10)
    return world


async def appears(world: World, remote_id: str = "1", /, name: str = "Berlin", **fields: Any) -> None:
    """A new list in the CRM, and its event."""
    world.tell("crm", world.put("crm", remote_id, name=name, **fields))
    await world.intake()


def posts(world: World, remote: str) -> list[Any]:
    """Bodies of all POSTs."""
    return [request.body for request in world.wires[remote].sent if request.method == "POST"]


def names(world: World, remote: str) -> list[str]:
    """What is there."""
    return sorted(str(shown.fields[NAME]) for shown in world.remotes[remote].wire.lists.values())


def pending(world: World, remote: str, crm_id: str = "1") -> Copy:
    """The copy on `remote` of a list of the CRM."""
    return world.list_of("crm", crm_id).copies[remote]


def told(world: World) -> list[ChangeKind]:
    """Words of the ledger."""
    return [change.kind for _, change in world.memory.tables.changes]


async def wait_out(world: World, remote: str) -> None:
    """Until a lost write can no longer arrive, with a scan begun after that."""
    world.wait(LATE_WRITE_S + 1)
    await world.scan(remote)
    world.wait(60)
    await world.sync()


def test_a_new_list_appears_on_the_others_exactly_once() -> None:
    """One POST each, and its echo writes nothing."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        for remote in ("lance", "instantly"):
            assert names(world, remote) == ["Berlin"]
            assert len(posts(world, remote)) == 1
            await world.scan(remote)
            world.wait(60)
        await world.rest()
        assert [len(world.wires[remote].patches) for remote in world.remotes] == [0, 1, 1]
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}
        assert told(world).count(ChangeKind.CREATED) == 2

    run(scene)


def test_the_attempt_says_create() -> None:
    """The ledger of calls tells a POST from a PATCH."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        made = [one for one in world.memory.tables.attempts if one.action == "create"]
        assert [(one.remote, one.sent, one.outcome) for one in made] == [
            ("lance", {"name": "Berlin"}, "done"),
            ("instantly", {"name": "Berlin"}, "done"),
        ]

    run(scene)


def test_members_are_told_after_the_list_is_there() -> None:
    """The list is made without them, and gets them by the next patch."""

    async def scene() -> None:
        world = await scanned()
        await appears(world, members=["p1", "p2"])
        await world.rest()
        assert world.wires["lance"].patches == [{"name": "Berlin"}, {"members_added": ["p1", "p2"]}]
        assert world.shown("lance", "new-1").members == frozenset({"p1", "p2"})

    run(scene)


def test_before_the_first_complete_scan_it_waits() -> None:
    """Nobody knows yet what is there already."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        await world.sync()
        assert (pending(world, "lance").standing, pending(world, "lance").waiting) == (
            Standing.DUE,
            Waiting.FIRST_SCAN,
        )
        assert posts(world, "lance") == []
        await world.scan("lance")
        world.wait(60)
        await world.sync()
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_who_waits_for_long_is_looked_at_seldom() -> None:
    """Thousands of lists that wait for a first scan must not keep the workers busy."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        world.wait(3600)
        await world.push("lance")
        assert pending(world, "lance").due_at == world.now + timedelta(seconds=60)

    run(scene)


def test_a_list_without_a_name_is_not_created() -> None:
    """Nobody has said one."""

    async def scene() -> None:
        world = await scanned()
        shown = world.put("crm", name="x")
        world.tell("crm", shown, data={"fields": {"enrichment": True}})
        await world.intake()
        assert set(world.list_of().copies) == {"crm"}

    run(scene)


def test_what_only_a_read_told_is_created_too() -> None:
    """A hint leads to a read, and the read to the list."""

    async def scene() -> None:
        world = await scanned()
        world.put("instantly", "i1", name="Berlin")
        world.tell("instantly", None, "i1")
        await world.sync()
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_a_setting_taken_back_creates_nothing_any_more() -> None:
    """What was waiting goes."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        await world.sync()
        world.rules = rules_of()
        await world.scan("lance")
        world.wait(60)
        await world.sync()
        assert set(world.list_of().copies) == {"crm"}
        assert posts(world, "lance") == []

    run(scene)


# -- a list of the same name is there already


async def taken() -> World:
    """Lance has a list of that name, in another spelling, that leadsync cannot tell from the new one."""
    world = World(creating())
    world.put("lance", "old", name=" berlin ")
    for remote in world.remotes:
        await world.scan(remote)
    world.wait(10)
    await world.rest()
    for wire in world.wires.values():
        wire.sent.clear()
    await appears(world)
    await world.sync()
    return world


def step_of(world: World) -> str:
    """What a person is told to do."""
    copy = pending(world, "lance")
    assert copy.standing is Standing.PARKED
    assert copy.parked is not None
    assert copy.parked.cause == "lance has a list of this name already: lance:old"
    assert posts(world, "lance") == []
    return copy.parked.next_step


def test_a_list_of_the_same_name_is_a_question_for_a_person() -> None:
    """First way out: it is the same one, and is linked."""

    async def scene() -> None:
        world = await taken()
        assert "leadsync link crm:1 lance:old" in step_of(world)
        await operate.link(world.store, world.rules, [("crm", "1"), ("lance", "old")])
        await world.rest()
        assert world.list_of("lance", "old").id == world.list_of().id
        assert names(world, "lance") == names(world, "crm") == ["Berlin"]
        assert posts(world, "lance") == []

    run(scene)


def test_or_it_is_another_one_and_is_renamed() -> None:
    """Second way out: one of the two gets another name."""

    async def scene() -> None:
        world = await taken()
        number = world.list_of().id
        assert f"rename one of the two, then leadsync parked retry lance:pending:{number}" in step_of(world)
        world.tell("lance", world.put("lance", "old", name="Berlin 2024"))
        await world.intake()
        await operate.retry_parked(world.store, world.rules, [("lance", f"pending:{number}")])
        await world.rest()
        assert names(world, "lance") == ["Berlin", "Berlin 2024"]
        assert world.list_of().id != world.list_of("lance", "old").id

    run(scene)


def test_renaming_the_new_one_is_enough() -> None:
    """Another name is another patch, so the copy goes on by itself."""

    async def scene() -> None:
        world = await taken()
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await world.sync()
        assert names(world, "lance") == [" berlin ", "Berlin 2026"]

    run(scene)


def test_or_it_is_not_to_be_there() -> None:
    """Third way out: the copy is let go, for good."""

    async def scene() -> None:
        world = await taken()
        number = world.list_of().id
        assert f"leadsync unlink lance:pending:{number}" in step_of(world)
        await operate.unlink(world.store, world.rules, ("lance", f"pending:{number}"))
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await world.sync()
        await world.scan("lance")
        await world.sync()
        assert names(world, "lance") == [" berlin "]
        assert world.list_of().apart == {"lance"}

    run(scene)


def test_a_retry_without_a_change_asks_again() -> None:
    """Nothing is read under an id that is none, and nothing is created."""

    async def scene() -> None:
        world = await taken()
        before = step_of(world)
        await operate.retry_parked(world.store, world.rules, [("lance", f"pending:{world.list_of().id}")])
        await world.sync()
        assert before == step_of(world)
        assert world.wires["lance"].sent == []

    run(scene)


def test_a_list_that_is_surely_another_one_does_not_count() -> None:
    """Two lists of one name in the CRM are two lists on the others."""

    async def scene() -> None:
        world = await scanned()
        await appears(world, "1")
        await world.rest()
        await appears(world, "2")
        await world.rest()
        assert names(world, "lance") == names(world, "instantly") == ["Berlin", "Berlin"]

    run(scene)


# -- the answer of a create is lost


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


def meanwhile(work: Callable[[], Any]) -> Fault:
    """The list is made, and before its answer arrives something else happens."""

    async def fault(request: Request, wire: Wire) -> Answer:
        answer = await wire.exchange(request)
        await work()
        return answer

    return fault


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


# -- links and events


def test_a_link_event_before_the_create_takes_its_place() -> None:
    """The sender knows the list there."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        world.put("lance", "l1", name="Berlin")
        world.tell("crm", world.put("crm"), data={"links": {"lance": "l1"}})
        await world.intake()
        for remote in world.remotes:
            await world.scan(remote)
        world.wait(60)
        await world.rest()
        assert posts(world, "lance") == []
        assert world.list_of("lance", "l1").id == world.list_of().id

    run(scene)


def test_a_link_event_after_a_lost_create_settles_it() -> None:
    """It says which one it is, before any scan does."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(applied)
        await appears(world)
        await world.sync()
        world.tell("crm", world.put("crm"), data={"links": {"lance": "new-1"}})
        await world.rest()
        assert (len(posts(world, "lance")), names(world, "lance")) == (1, ["Berlin"])
        assert pending(world, "lance").remote_id == "new-1"

    run(scene)


def test_a_link_while_the_create_is_in_flight_is_not_taken() -> None:
    """It would be the second one; the event is kept, and the command says why."""

    async def scene() -> None:
        world = await scanned()

        async def link() -> None:
            world.tell("crm", world.put("crm"), data={"links": {"lance": "other"}})
            await world.intake()
            with pytest.raises(NotPossible, match="being created on lance"):
                await operate.link(world.store, world.rules, [("crm", "1"), ("lance", "other")])
            with pytest.raises(NotPossible, match="being created on lance"):
                await operate.unlink(world.store, world.rules, ("lance", f"pending:{world.list_of().id}"))

        world.wires["lance"].faults.append(meanwhile(link))
        await appears(world)
        await world.rest()
        assert reasons(world) == ["data.links.lance: a list is being created there just now; retry it afterwards"]
        assert pending(world, "lance").remote_id == "new-1"

    run(scene)


@pytest.mark.parametrize("early", [True, False])
def test_events_of_the_new_list_are_news_of_it(early: bool) -> None:  # noqa: FBT001 - a case
    """Before the answer of the create, or right after it: one list, and edits there count."""

    async def scene() -> None:
        world = await scanned(all_create())

        async def event() -> None:
            world.tell("lance", world.shown("lance", "new-1"))
            await world.intake()
            await world.push("crm")
            await world.push("instantly")

        if early:
            world.wires["lance"].faults.append(meanwhile(event))
        await appears(world)
        await world.rest()
        world.tell("lance", world.put("lance", "new-1", name="Berlin CTOs"))
        await world.rest()
        assert [names(world, remote) for remote in world.remotes] == [["Berlin CTOs"]] * 3
        assert len(world.memory.tables.lists) == 1

    run(scene)


def test_an_id_that_looks_pending_is_refused() -> None:
    """Nobody may speak for a list that is not there yet."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        number = world.list_of().id
        world.tell("lance", Shown(remote_id=f"pending:{number}", fields={NAME: "x"}, version=world.now))
        await world.intake()
        assert "expected an id of the remote's own" in reasons(world)[0]
        with pytest.raises(NotPossible, match="not there yet"):
            await operate.link(world.store, world.rules, [("crm", "1"), ("lance", f"pending:{number}")])

    run(scene)


def test_unlinking_the_only_real_copy_ends_what_was_to_be_created() -> None:
    """A list that is nowhere is created nowhere."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        await operate.unlink(world.store, world.rules, ("crm", "1"))
        assert [copy.remote_id for copy in world.copies()] == ["1"]
        await world.scan("crm")
        await world.rest()
        assert [copy.remote_id for copy in world.copies()] == ["1"]

    run(scene)


def test_a_list_that_was_unlinked_is_brought_back_nowhere() -> None:
    """The next scan meets it again, on a remote whose lists are created elsewhere; both go on by themselves."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        before = {remote: set(world.remotes[remote].wire.lists) for remote in world.remotes}
        await operate.unlink(world.store, world.rules, ("crm", "1"))
        for remote in world.remotes:
            world.wait(10)
            await world.scan(remote)
            await world.rest()
        assert {remote: set(world.remotes[remote].wire.lists) for remote in world.remotes} == before
        assert set(world.list_of("crm", "1").copies) == {"crm"}

    run(scene)


def test_what_was_unlinked_is_not_created_again_until_it_is_linked() -> None:
    """Neither by an event nor by a scan."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        await operate.unlink(world.store, world.rules, ("lance", "new-1"))
        world.tell("crm", world.put("crm", enrichment=True))
        await world.rest()
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert names(world, "lance") == names(world, "instantly") == ["Berlin"]
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await operate.link(world.store, world.rules, [("crm", "1"), ("lance", "new-1")])
        await world.rest()
        assert names(world, "lance") == ["Berlin 2026"]
        assert world.list_of().apart == frozenset()

    run(scene)


# -- anything at any time

FAULTS: list[Fault | None] = [None, None, None, lost, applied, answers(500), answers(503), answers(429)]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_list_is_at_most_once_on_each_remote(seed: int) -> None:
    """Lists appear and are renamed, calls fail, scans come in between; afterwards everything is there, once."""

    async def scene() -> None:
        chance = random.Random(seed)
        world = await scanned(all_create(on_gone=OnGone.HOLD))
        for number in range(8):
            for wire in world.wires.values():
                wire.faults.extend(chance.choices(FAULTS, k=3))
            await appears(world, str(number), name=f"list {number % 6}")
            await world.push(chance.choice(list(world.remotes)))
            if chance.random() < 0.5:
                await world.scan(chance.choice(list(world.remotes)))
            if chance.random() < 0.3:
                world.tell("crm", world.put("crm", str(number), name=f"renamed {number}"))
                await world.intake()
            world.wait(chance.choice([1, 10, 100]))
            _at_most_once(world)
        for wire in world.wires.values():
            wire.faults.clear()
        for _ in range(4):
            for remote in world.remotes:
                await wait_out(world, remote)
            _at_most_once(world)
        await world.rest()
        stuck = {copy.parked.cause for copy in world.copies() if copy.parked}
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}, stuck
        assert names(world, "crm") == names(world, "lance") == names(world, "instantly")

    run(scene)


def _at_most_once(world: World) -> None:
    """As many lists as the CRM has, or fewer; each of them known as one."""
    for remote in ("lance", "instantly"):
        assert len(world.remotes[remote].wire.lists) <= len(world.remotes["crm"].wire.lists), remote
