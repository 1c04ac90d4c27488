"""Removes members from an Instantly list: looks up their rows, then deletes these by id. Used by its connector."""

from __future__ import annotations

from collections.abc import Collection

from worker.errors import BadAnswer, Refused
from worker.remotes.base import Request, Send
from worker.remotes.instantly import leads
from worker.remotes.instantly.done import Done
from worker.remotes.instantly.paths import LEADS, lead_list
from worker.remotes.reading import Item, document


async def remove(send: Send, list_id: str, members: Collection[str], done: Done) -> None:
    """Delete every row of them.

    A look may leave somebody out, and a delete may delete less than it was told: whoever is not surely gone is left
    in doubt, until all rows were read and counted.

    As many at a time as one call deletes: to look up all of them first could take longer than there is time, each time.
    """
    for some in leads.batches(sorted(members), leads.MOST):
        await _remove(send, list_id, frozenset(some), done)


async def _remove(send: Send, list_id: str, members: frozenset[str], done: Done) -> None:
    rows = await leads.find(send, list_id, members)
    if not rows:
        # A list that is not there has no rows either, and that is not to be taken for "removed".
        await send(Request(method="GET", path=lead_list(list_id)))
    done.doubtful |= rows.keys() != members
    gone: set[str] = set()
    try:
        for batch in leads.batches(sorted(set().union(*rows.values())), leads.MOST):
            if await _delete(send, list_id, batch):
                gone.update(batch)
            else:
                done.doubtful = True
    finally:
        done.removed.update(member for member, ids in rows.items() if ids <= gone)


def deletion(list_id: str, ids: Collection[str]) -> Request:
    """The only request that deletes leads. Raises `Refused` without ids: it would empty the whole list."""
    if not list_id or isinstance(ids, str) or not 0 < len(ids) <= leads.MOST or not all(ids):
        raise Refused(f"not sent: leads are deleted by their ids, 1 to {leads.MOST} at a time")
    return Request(method="DELETE", path=LEADS, body={"list_id": list_id, "ids": list(ids)})


async def _delete(send: Send, list_id: str, ids: Collection[str]) -> bool:
    """Whether the answer says that all of them went. It may say nothing."""
    answer = Item(document(await send(deletion(list_id, ids))), "an answer to a bulk delete")
    if answer.get("count") is None:
        return False
    if (count := answer.count("count")) > len(ids):
        raise BadAnswer("expected at most as many leads deleted as were named, got more")
    return count == len(ids)
