"""Upkeep: forget what is old, and look whether the numbers add up. Called by the task of that name every minute.

The check goes through all lead lists, some hundred at a time. What is stored must be what the engine makes of the
list's state now: whatever is not would be counted wrongly, and might never be pushed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from models.lead_list import Copy, LeadList, Member, Tally
from models.values import replace
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.engine.tally import counted as with_rows
from worker.engine.tally import tally_of
from worker.parts import Kept
from worker.ports import Clock, Every, Store, Tx
from worker.sync.stand import stand

log = structlog.get_logger(__name__)

#: Rows that one transaction looks at, so that it holds up nobody.
_OLDEST = 2_000
#: Between two such transactions others get their turn: SQLite has one writer.
_PAUSE_S = 0.05
#: Seconds that one minute's forgetting may take.
_FORGETTING_S = 20.0

#: Lists that one transaction locks.
_BATCH = 50
#: Lists of one look: some hundred; and thousands where new settings let each list stand differently.
_FEW, _MANY = 500, 5_000
#: A list with more members is checked with those only that differ anywhere.
_MEMBERS = 1_000


async def forget(store: Store, clock: Clock, *, keep_days: int | None) -> int:
    """Forget rows of the ledger, certificates and plans that are older, the oldest first. Not by default."""
    if keep_days is None:
        return 0
    until, gone = clock.monotonic() + _FORGETTING_S, 0
    age = timedelta(days=keep_days)
    for kept in Kept:
        while clock.monotonic() < until:
            went = await store.run(partial(_forget, kept=kept, age=age))
            if not went:
                break
            gone += went
            await clock.sleep(_PAUSE_S)
    return gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one look at some lists came to."""

    #: Where the next look begins; 0 when all lists have been looked at.
    after: int
    #: Without those that were being pushed.
    lists: int = 0
    #: Copies, and marks of members, that were not what they had to be. All are mended.
    mismatches: int = 0
    #: Lists with so many members that only those were looked at that differ.
    large: frozenset[int] = frozenset()


async def check(store: Store, rules: Rules, clock: Clock, *, after: int, settled: bool) -> Checked:
    """Look at the lists that follow the one with this number.

    Not `settled`: the lists may stand as former settings would have them. They are mended, and nobody is alarmed.
    """
    lists = mismatches = 0
    for _ in range((_FEW if settled else _MANY) // _BATCH):
        found = await store.run(partial(_check, rules=rules, after=after, settled=settled))
        lists, mismatches, after = lists + found.lists, mismatches + found.mismatches, found.after
        # Under former settings members may be marked wrongly that no look at what differs would find.
        for number in () if settled else found.large:
            mismatches += (await store.run(partial(_check_large, rules=rules, number=number))).mismatches
        if not after:
            break
        await clock.sleep(0)
    return Checked(after=after, lists=lists, mismatches=mismatches)


def _forget(tx: Tx, kept: Kept, age: timedelta) -> int:
    return tx.upkeep.forget(kept, tx.now - age, _OLDEST)


def _check(tx: Tx, rules: Rules, after: int, *, settled: bool) -> Checked:
    numbers = tx.upkeep.lists(after, _BATCH)
    last = numbers[-1] if len(numbers) == _BATCH else 0
    astray = tx.upkeep.mend(after, last or None)
    small = tx.upkeep.small(numbers, _MEMBERS)
    lists, wrong = _looked_at(tx, rules, numbers, whole=small)
    told = {number: words if settled else {} for number, words in wrong.items()}
    for one in astray:
        told.setdefault(one.list_id, {})[one.remote] = one.found
    _tell(told)
    mismatches, large = sum(map(len, told.values())), frozenset(numbers) - small
    return Checked(after=last, lists=lists, mismatches=mismatches, large=large)


def _check_large(tx: Tx, rules: Rules, number: int) -> Checked:
    """One list with all its members, under new settings."""
    lists, wrong = _looked_at(tx, rules, [number], whole={number})
    _tell({one: {} for one in wrong})
    return Checked(after=number, lists=lists)


def _looked_at(
    tx: Tx, rules: Rules, numbers: Collection[int], *, whole: Collection[int]
) -> tuple[int, dict[int, dict[str, str]]]:
    """How many were looked at, the `whole` ones with all members; and what was wrong with some, which is mended."""
    loaded = tx.load(numbers, dict.fromkeys(whole, Every.MEMBER))
    lists = [one for one in loaded.values() if not _in_flight(one.copies.values(), tx.now)]
    counted = {one.id: _recounted(one) if one.id in whole else one for one in lists}
    wrong = {
        one.id: found for one in lists if (found := _mismatches(one, rules, tx.now) | _miscounted(one, counted[one.id]))
    }
    stood = stand(tx, [(counted[number], counted[number]) for number in wrong], rules)
    tx.save([(loaded[after.id], after) for _, after in stood])
    return len(lists), wrong


def _tell(wrong: Mapping[int, Mapping[str, str]]) -> None:
    for number, words in wrong.items():
        if words:
            log.error("numbers_do_not_add_up", list_id=number, found=words)
        else:
            log.info("stands_anew_under_new_settings", list_id=number)


def _recounted(lead_list: LeadList) -> LeadList:
    """With what copies keep about their members as the rows tell it, all of which are loaded."""
    members = lead_list.members
    copies = {
        remote: replace(
            copy,
            tally=copy.tally and with_rows(_tally(members, remote), copy.tally.rows),
            excluded=sum(remote in member.excluded for member in members.values()),
        )
        for remote, copy in lead_list.copies.items()
    }
    return replace(lead_list, copies=copies)


def _tally(members: Mapping[str, Member], remote: str) -> Tally:
    return tally_of(key for key, member in members.items() if member.shown_by(remote))


def _miscounted(lead_list: LeadList, right: LeadList) -> dict[str, str]:
    return {
        remote: "its members are counted wrongly"
        for remote, copy in lead_list.copies.items()
        if copy != right.copies[remote]
    }


def _in_flight(copies: Iterable[Copy], now: datetime) -> bool:
    return any(copy.lease_until is not None and copy.lease_until > now for copy in copies)


def _mismatches(lead_list: LeadList, rules: Rules, now: datetime) -> dict[str, str]:
    """By remote, how its copy stands and how it should; and how many members are marked wrongly."""
    right = restand(lead_list, rules, now)
    earlier = [restand(lead_list, rules, moment) for moment in _before_expiry(lead_list.copies.values(), now)]
    words = {
        name: f"{copy.standing} is {right.copies[name].standing}"
        for name, copy in lead_list.copies.items()
        if all(_shape(copy) != _shape(one.copies[name]) for one in (right, *earlier))
    }
    marked = _wrongly_marked(lead_list, right.members)
    return words | {"members": f"{marked} marked wrongly"} if marked else words


def _before_expiry(copies: Iterable[Copy], now: datetime) -> list[datetime]:
    """A write that can no longer land changes how a copy stands once somebody touches its list: nothing is wrong
    with a copy that still stands as it did a moment before.
    """
    ends = {one.until for copy in copies for one in copy.abandoned.values() if one.until <= now}
    return [end - timedelta(microseconds=1) for end in ends]


def _shape(copy: Copy) -> tuple[object, ...]:
    """What must not depend on when it was computed: due times do, but not whether there is one."""
    return copy.standing, copy.due_at is None, copy.since is None


def _wrongly_marked(lead_list: LeadList, right: Mapping[str, object]) -> int:
    return sum(right[name] != member for name, member in lead_list.members.items())
