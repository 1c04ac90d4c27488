"""Scan news: what one look of a scan tells that was not known. Called by scan only.

Most lists are as they were. Those are told from one small row each, without loading them; of the others `observe` says
what is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from models.lead_list import Copy, Field, LeadList
from models.observation import Evidence, Observation, Shown
from models.scan import Quiet, Scan
from models.values import replace
from worker.engine.drift import alike_there, is_old_news
from worker.engine.missing import returned
from worker.engine.observe import Observed, observe
from worker.engine.rules import Rules
from worker.ports import Tx
from worker.sync.counting import is_less, is_outdated
from worker.sync.membership import are_old_news


def as_seen(scan: Scan, shown: Shown, asked_at: datetime, rules: Rules) -> Observation:
    """The look as news. Members that settings leave out are none of it."""
    if not rules.remotes[scan.remote].direction(Field.MEMBERS).used:
        shown = replace(shown, members=None)
    return shown.on(scan.remote, evidence=Evidence.READ, asked_at=asked_at, cause=f"scan {scan.id}")


def some_news(tx: Tx, remote: str, items: Sequence[Shown], rows: Mapping[str, int], rules: Rules) -> list[Shown]:
    """Those that may tell something new; `rows` of their memberships, where those were counted."""
    quiet = tx.scans.quiet(remote, [shown.remote_id for shown in items])

    def is_old(shown: Shown) -> bool:
        copy = quiet.get(shown.remote_id)
        if copy is None or not is_old_news(copy, shown, rules.remotes[remote]):
            return False
        as_many = _has_as_many(tx, remote, copy, rows.get(shown.remote_id), rules)
        return as_many and are_old_news(tx, remote, copy, shown, rules)

    return [shown for shown in items if not is_old(shown)]


def news_of(before: LeadList, seen: Observation, rules: Rules) -> Observed | None:
    """What the look makes of a known list; None when it says nothing new."""
    remote = seen.remote
    back = returned(before, remote)
    observed = observe(back, seen, rules)
    if rules.remotes[remote].versioned:
        return None if observed.lead_list == before else observed
    # Without versions its stamp is the moment of the look, which alone is no news.
    return None if back is before and alike_there(before, observed.lead_list, remote) else observed


def is_overtaken(copy: Copy, seen: Observation, asked_at: datetime, rules: Rules) -> bool:
    """Design rule 4: a call of ours was under way, or has ended, since the page was asked for. Versions tell by
    themselves which of two looks is older; without them, or with the same one twice, the list is read again.
    """
    repeated = any(shown.stamp.same_as(seen.stamp) for shown in copy.seen.values())
    if rules.remotes[copy.remote].versioned and not repeated:
        return False
    return copy.intent is not None or copy.look or (copy.landed_at is not None and copy.landed_at >= asked_at)


def _has_as_many(tx: Tx, remote: str, copy: Quiet, rows: int | None, rules: Rules) -> bool:
    """As when its membership was read, and that is not long ago."""
    if rows is None:
        return True
    return not (is_less(copy.tally, rows) or is_outdated(copy, rows, tx.now, rules.remotes[remote]))
