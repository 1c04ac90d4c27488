"""Known limits: what the simulation has found, and is not mended yet. Each function excuses one of them, as narrowly as
it can be told; docs/guarantees.md lists them with a seed. One that is mended is deleted here.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.lead_list import Standing
from worker.engine.rules import OnGone
from worker.simulation.faults import Fault
from worker.simulation.history import History


def revived(one: History, number: str) -> bool:
    """An event of a list that is taken in after that list was found to be gone makes it a new list, which is created
    where lists are created.
    """
    gone = any(remote.born[gone] == number for remote in one.remotes.values() for gone in remote.deleted)
    rules = one.rules.remotes.values()
    return gone and any(rule.creates or rule.on_gone is not OnGone.HOLD for rule in rules)


def created_twice(one: History) -> bool:
    """A list whose creates on two remotes were both of unknown outcome: when one is found, the other is forgotten."""
    creating = sum(rule.creates for rule in one.rules.remotes.values()) > 1
    if one.counts["creates that wait for each other"]:
        return True
    return creating and bool(one.counts[Fault.MAKES] or one.counts[Fault.DELETES])


def came_back_cut(one: History, now: object, edits: Mapping[str, object]) -> bool:
    """A name of which a remote keeps the beginning only, in a write of unknown outcome: what a read shows of it then
    is taken for a person's edit.
    """
    cut = any(remote.habits.spell is not None for remote in one.remotes.values())
    return cut and any(isinstance(now, str) and str(value).startswith(now) for value in edits.values())


def refused_there(one: History, number: str, edits: Mapping[str, object]) -> bool:
    """No limit of ours: where a list cannot be told what is wanted it goes on differing, so that an edit there meets
    that as a conflict, which authority decides.
    """
    whole = one.witness.lead_list(number)
    return whole is not None and any(
        copy.standing is Standing.PARKED and not copy.absent and copy.remote in edits for copy in whole.copies.values()
    )
