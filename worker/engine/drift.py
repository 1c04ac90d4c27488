"""Drift: whether a look at a known list shows something else than was last seen there. Pure, for scan."""

from __future__ import annotations

from datetime import UTC, datetime

from models.lead_list import Copy, Field, LeadList, Seen, Stamp, with_copy
from models.values import replace
from worker.engine.observe import Observed, as_shown
from worker.engine.rules import NoMapping, RemoteRules, Rules

_ANY = Stamp(datetime.min.replace(tzinfo=UTC))


def is_drift(before: LeadList, observed: Observed, remote: str, rules: Rules) -> bool:
    """Something that was seen there is no longer as it was, and not because it has become what is wanted."""
    was, now = before.copies[remote], observed.lead_list.copies[remote]
    moved = [field for field, seen in now.seen.items() if field in was.seen and was.seen[field].value != seen.value]
    if any(not _is_wanted(before, now, field, rules.remotes[remote]) for field in moved):
        return True
    return Field.MEMBERS in was.seen and any(change.field is Field.MEMBERS for change in observed.changes)


def _is_wanted(lead_list: LeadList, copy: Copy, field: Field, rules: RemoteRules) -> bool:
    wanted = lead_list.wanted.get(field)
    try:
        return wanted is not None and copy.seen[field].value == as_shown(copy, field, wanted.value, rules)
    except NoMapping:
        return False


def alike_there(before: LeadList, after: LeadList, remote: str) -> bool:
    """Equal but for the stamps on what `remote` showed."""

    def timeless(lead_list: LeadList) -> LeadList:
        copy = lead_list.copies[remote]
        return with_copy(
            lead_list, replace(copy, seen={field: Seen(one.value, _ANY) for field, one in copy.seen.items()})
        )

    return timeless(before) == timeless(after)
