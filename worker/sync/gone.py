"""Gone: what becomes of a copy whose id is answered with 404. Called by settle.

One proof alone only parks it (design rule 8); the second one is a complete scan that did not show the list.
"""

from __future__ import annotations

from datetime import datetime

from models.lead_list import GONE, Absence, Copy, LeadList, Parked, Stamp, with_copy
from models.ledger import Change, ChangeKind
from models.values import replace
from worker.engine.missing import is_only_meant, let_go, nameable, pending_copy, without
from worker.engine.rules import OnGone, Rules


def not_found(lead_list: LeadList, copy: Copy, rules: Rules, now: datetime) -> tuple[LeadList, tuple[Change, ...], str]:
    """404 by id. Together with a complete scan that did not show it, the list is gone (design rule 8)."""
    name, remote = f"{copy.remote}:{copy.remote_id}", copy.remote
    known, copy = copy.absent == GONE, replace(copy, absent=copy.absent | {Absence.NOT_FOUND})
    if copy.absent != GONE:
        cause = f"{remote} has no list {copy.remote_id} (404); the next complete scan tells whether it is gone"
        step = (
            f"if it was deleted: leadsync unlink {name}; "
            f"if we lost access to it: restore that, then leadsync parked retry {name}"
        )
        return with_copy(lead_list, replace(copy, parked=Parked(cause, step, ""))), (), "parked"
    told = Change(
        kind=ChangeKind.GONE, field=None, old=name, new=None, origin=remote, stamp=Stamp(now), cause="a scan and a 404"
    )
    if all(is_only_meant(one) for on, one in lead_list.copies.items() if on != remote):
        return without(lead_list, remote), (told,), "gone"  # nobody else has it: there is nothing to decide
    match rules.remotes[remote].on_gone:
        case OnGone.UNLINK:
            return let_go(lead_list, remote), (told,), "gone"
        case OnGone.RECREATE if nameable(lead_list, rules, remote):
            return with_copy(without(lead_list, remote), pending_copy(lead_list, remote)), (told,), "gone"
        case _:
            held = with_copy(lead_list, replace(copy, parked=_gone(copy)))
            return (held, (), "parked") if known else (held, (told,), "gone")


def _gone(copy: Copy) -> Parked:
    name = f"{copy.remote}:{copy.remote_id}"
    cause = f"the list is gone from {copy.remote}: a complete scan did not show it, and its id is answered with 404"
    return Parked(cause, f"leadsync unlink {name}; or restore it there, then: leadsync parked retry {name}", "")
