"""Holding: a person wants nothing written to a list, or to one copy of it, until it is released. CLI and web call it.

What is seen there is taken in as ever, so wanted moves on and the copy is read where that is needed. A call that is in
flight is let finish. A hold stays with its list: a copy that comes to a list which is held as a whole is held too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from models.audit import Action
from models.lead_list import WHOLE, Copy, Hold, LeadList, Stamp, Waiting
from models.ledger import Change, ChangeKind
from models.values import replace
from worker.engine.rules import Rules
from worker.errors import NotPossible
from worker.ports import RemoteKey, Store, Tx
from worker.sync.operate import Moved, chunks, not_known
from worker.sync.stand import due_now, stand

#: Where nobody said who acts.
_SOMEBODY: Final = "somebody"

#: The list after it, or None when it is so already. May raise `NotPossible`.
_Step = Callable[[Tx, LeadList, RemoteKey], LeadList | None]


async def hold(store: Store, rules: Rules, keys: Sequence[RemoteKey], *, alone: bool = False) -> Moved:
    """Hold the lists of these copies; `alone`, only the copies themselves. Raises `NotKnown`, and has done nothing.

    What is held already stays as it was held. Answers with how many were not.
    """
    return await _each(store, rules, keys, partial(_hold, alone=alone))


async def release(store: Store, rules: Rules, keys: Sequence[RemoteKey], *, alone: bool = False) -> Moved:
    """Release the lists of these copies, with all their copies; `alone`, only the copies themselves. They are due at
    once. Raises `NotKnown`; and `NotPossible` for one copy of a list that is held as a whole.
    """
    return await _each(store, rules, keys, partial(_release, alone=alone))


def told(scope: str, lead_list: LeadList) -> str:
    """What is held, in words."""
    copy = lead_list.copies.get(scope)
    return "the whole list" if scope == WHOLE else f"{scope}:{copy.remote_id}" if copy else scope


async def _each(store: Store, rules: Rules, keys: Sequence[RemoteKey], step: _Step) -> Moved:
    keys = tuple(dict.fromkeys(keys))
    known = await store.run(lambda tx: tx.find(keys))
    for key in keys:
        if key not in known:
            raise not_known(key)
    moved = Moved()
    for some in chunks(keys):
        moved += await store.run(partial(_some, rules=rules, keys=some, step=step))
    return moved


def _some(tx: Tx, rules: Rules, keys: Sequence[RemoteKey], step: _Step) -> Moved:
    numbers = tx.find(keys)
    before = tx.load(set(numbers.values()))
    after, moved = dict(before), 0
    for key in keys:
        one = after.get(numbers.get(key, 0))
        changed = None if one is None else step(tx, one, key)
        if changed is not None:
            after[changed.id] = changed
            moved += 1
    stood = stand(tx, [(before[one.id], one) for one in after.values() if one is not before[one.id]], rules)
    tx.save(stood)
    return Moved(moved, due_now(tx, [one for _, one in stood]))


def _hold(tx: Tx, lead_list: LeadList, key: RemoteKey, *, alone: bool) -> LeadList | None:
    scope = key[0] if alone else WHOLE
    if scope in lead_list.holds or (alone and WHOLE in lead_list.holds):
        return None
    new, what = Hold(tx.audit.who or _SOMEBODY, tx.now), told(scope, lead_list)
    tx.note(lead_list.id, [_change(ChangeKind.ON_HOLD, key, new=what, by=new.who, now=tx.now)])
    tx.audit.note(Action.HOLD, ":".join(key), {"list_id": lead_list.id}, {"on_hold": what})
    return replace(lead_list, holds={**lead_list.holds, scope: new})


def _release(tx: Tx, lead_list: LeadList, key: RemoteKey, *, alone: bool) -> LeadList | None:
    if alone and WHOLE in lead_list.holds:
        raise NotPossible(f"the whole list of {':'.join(key)} is held, not this copy alone; release the list")
    gone = [key[0]] if alone and key[0] in lead_list.holds else [] if alone else list(lead_list.holds)
    if not gone:
        return None
    by = tx.audit.who or _SOMEBODY
    for scope in gone:
        was, what = lead_list.holds[scope], told(scope, lead_list)
        tx.note(lead_list.id, [_change(ChangeKind.RELEASED, key, old=what, by=by, now=tx.now)])
        since = {"on_hold": what, "held_by": was.who, "since": was.since.isoformat(timespec="seconds")}
        tx.audit.note(Action.LET_GO, ":".join(key), {"list_id": lead_list.id, **since}, {})
    holds = {scope: one for scope, one in lead_list.holds.items() if scope not in gone}
    return _due(replace(lead_list, holds=holds), tx.now)


def _due(lead_list: LeadList, now: datetime) -> LeadList:
    """What waited for this is due at once, and late from now on: until now nobody wanted it to be sent."""
    copies: Mapping[str, Copy] = {
        name: replace(copy, due_at=None, since=now)
        if copy.waiting is Waiting.HOLD and lead_list.hold_on(name) is None
        else copy
        for name, copy in lead_list.copies.items()
    }
    return replace(lead_list, copies=copies)


def _change(kind: ChangeKind, key: RemoteKey, *, by: str, now: datetime, old: Any = None, new: Any = None) -> Change:
    return Change(kind=kind, field=None, old=old, new=new, origin=key[0], stamp=Stamp(now), cause=by)
