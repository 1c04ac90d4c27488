"""A world in which missing lists are created, and short ways to look at it: for the tests of creating."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from models.lead_list import Copy, Field
from models.ledger import ChangeKind
from tests.support.heart import remote_rules, rules_of
from tests.support.world import LATE_WRITE_S, Fault, World
from worker.engine.rules import Rules
from worker.remotes.base import Answer, Request, Wire

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


def meanwhile(work: Callable[[], Any]) -> Fault:
    """The list is made, and before its answer arrives something else happens."""

    async def fault(request: Request, wire: Wire) -> Answer:
        answer = await wire.exchange(request)
        await work()
        return answer

    return fault
