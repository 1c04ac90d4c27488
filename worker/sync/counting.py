"""Counting: where members are apart from their lists, whether a membership has to be read. Called by scan.

The cheap check comes first: as many rows as when it was last read, by one call a list. Who came while another went is
not seen by that, so each membership is read again after a while all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from models.lead_list import Copy, Field, LeadList, Tally, with_copy
from models.observation import Shown
from models.scan import Quiet
from models.values import replace
from worker.engine.rules import RemoteRules, Rules
from worker.errors import NotThere
from worker.ports import Connector, Tx
from worker.remotes.line import Line


def countable(tx: Tx, remote: str, items: Iterable[Shown], rules: Rules) -> list[str]:
    """Of these lists, those whose membership is apart and known; the others are read anyway."""
    remote_rules = rules.remotes[remote]
    if not (remote_rules.members_apart and remote_rules.direction(Field.MEMBERS).used):
        return []
    return tx.scans.countable(remote, [shown.remote_id for shown in items])


async def counted(ids: Sequence[str], connector: Connector, line: Callable[[], Line], most: int) -> dict[str, int]:
    """Rows of each membership, up to `most` calls at a time. Lists that are not there are left out."""
    rows = dict[str, int]()

    async def count(remote_id: str) -> None:
        with line() as send, suppress(NotThere):
            rows[remote_id] = await connector.count_members(send, remote_id)

    for start in range(0, len(ids), most):
        counts = [asyncio.ensure_future(count(one)) for one in ids[start : start + most]]
        try:
            await asyncio.gather(*counts)
        finally:  # after the first that failed none goes on
            for one in counts:
                one.cancel()
            await asyncio.gather(*counts, return_exceptions=True)
    return rows


def has_lost(copy: Copy, rows: int | None) -> bool:
    """Fewer rows than members that were seen there: some went, and many lists of which some went are a question for a
    person. More rows are none: one member may have several.
    """
    return rows is not None and copy.intent is None and is_less(copy.tally, rows)


def must_recount(tx: Tx, copy: Copy, rows: int | None, rules: Rules) -> bool:
    """It has another number of rows than when it was read, or that was long ago."""
    if copy.look_members or copy.intent is not None:
        return False
    return is_outdated(copy, rows, tx.now, rules.remotes[copy.remote])


def is_less(tally: Tally | None, rows: int) -> bool:
    """So many rows cannot be all of these members."""
    return tally is not None and rows < tally.count


def is_outdated(copy: Copy | Quiet, rows: int | None, now: datetime, rules: RemoteRules) -> bool:
    """Its membership has another number of rows than when it was read, or that was long ago."""
    if rows is None or copy.tally is None:
        return False
    read_at = copy.seen[Field.MEMBERS].stamp.time
    return rows != copy.tally.rows or (now - read_at).total_seconds() >= rules.members_every_s


def to_read(lead_list: LeadList, remote: str, *, members: bool = False) -> LeadList:
    """To be read there by itself, with its members if they are in question."""
    copy = lead_list.copies[remote]
    return with_copy(lead_list, replace(copy, look=True, look_members=copy.look_members or members))
