"""Hurry: a person wants one list pushed now, without waiting for the end of a backoff. Called by the web.

Nothing else is overtaken: a write of unknown outcome is waited out, the rate budget and the breaker hold, and what a
person has to decide stays undecided.
"""

from __future__ import annotations

from models.audit import Action
from models.lead_list import WHOLE, Copy, Standing, Waiting
from models.values import replace
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.errors import NotPossible
from worker.ports import RemoteKey, Store, Tx
from worker.sync.operate import Moved, not_known
from worker.sync.stand import due_now


async def push_now(store: Store, rules: Rules, key: RemoteKey) -> Moved:
    """All copies of the list that has this one: parked ones are due again, and backoffs end. Raises `NotKnown`; and
    `NotPossible` for a list that somebody holds.
    """

    def work(tx: Tx) -> Moved:
        lists = tx.load(tx.find([key]).values())
        if not lists:
            raise not_known(key)
        [before] = lists.values()
        if WHOLE in before.holds:
            raise NotPossible(f"this list is held by {before.holds[WHOLE].who}: release it first")
        hurried = {name: _hurried(copy, tx) for name, copy in before.copies.items() if name in rules.remotes}
        moved = {name: copy for name, copy in hurried.items() if copy is not before.copies[name]}
        after = restand(replace(before, copies={**before.copies, **moved}), rules, tx.now)
        for name in moved:
            stood, stands = before.copies[name], after.copies[name]
            was = {"list_id": before.id, "standing": stood.standing, "waiting": stood.waiting}
            tx.audit.note(Action.PUSH, f"{name}:{stood.remote_id}", was, {"standing": stands.standing})
        tx.save([(before, after)])
        return Moved(len(moved), due_now(tx, [after]))

    return await store.run(work)


def _hurried(copy: Copy, tx: Tx) -> Copy:
    if copy.standing is Standing.PARKED:
        return replace(copy, parked=None, look=True, tries=0)
    if copy.waiting is Waiting.BACKOFF and copy.intent is None:
        return replace(copy, due_at=tx.now, waiting=Waiting.TURN, tries=0)
    return copy
