"""A world whose remotes name members differently: the CRM by key, Lance by ids of its own, Instantly by e-mail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.lead_list import Field, LeadList
from models.person import Naming
from tests.support.heart import remote_rules, rules_of
from tests.support.world import World, linked
from worker.engine.rules import Rules
from worker.engine.tally import tally_of


def strangers() -> Rules:
    """Three remotes that know nobody by the same id."""
    lance, instantly = remote_rules(1), remote_rules(2)
    return rules_of(lance=replace(lance, naming=Naming.ID), instantly=replace(instantly, naming=Naming.EMAIL))


async def linked_strangers(*remotes: str) -> World:
    """One list on each of these remotes, without members."""
    return await linked(World(strangers()), *(remotes or ("crm", "lance", "instantly")))


def person(number: int, **more: Any) -> dict[str, Any]:
    """A member as the CRM's events tell it: known everywhere."""
    known = {"id": f"p{number}", "email": f"Fake{number}@Example.com ", "ids": {"lance": f"l{number}"}}
    return known | more


async def told(world: World, source: str = "crm", /, *, added: Any = (), removed: Any = ()) -> None:
    """People edit the membership on one side, and its event comes and is taken in."""
    ids = [[one if isinstance(one, str) else one["id"] for one in some] for some in (added, removed)]
    before = world.shown(source)
    world._set_clocks()
    members = ((before.members or frozenset()) | frozenset(ids[0])) - frozenset(ids[1])
    after = world.remotes[source].wire.put(replace(before, members=members))
    data = {"members_added": list(added), "members_removed": list(removed)}
    world.tell(source, after, data={"fields": {}, **data})
    await world.intake()


def there(world: World, remote: str) -> set[str]:
    """Ids of the members that one remote holds."""
    return set(world.shown(remote).members or ())


def excluded(world: World, remote: str) -> dict[str, str]:
    """Members that one remote cannot be told of, and why."""
    members = world.list_of().members
    return {key: one.excluded[remote] for key, one in members.items() if remote in one.excluded}


def adds_up(lead_list: LeadList) -> None:
    """What each copy keeps about its members is what their rows say."""
    for remote, copy in lead_list.copies.items():
        shown = tally_of(key for key, one in lead_list.members.items() if one.shown_by(remote))
        assert copy.tally is None or (shown.count, shown.digest) == (copy.tally.count, copy.tally.digest)
        assert sum(remote in one.excluded for one in lead_list.members.values()) == copy.excluded
        assert copy.tally is not None or Field.MEMBERS not in copy.seen
