"""Drift: whether a look at a known list shows something else than was last seen there. Pure, for scan."""

from __future__ import annotations

from datetime import UTC, datetime

from models.lead_list import SCALARS, Copy, Field, LeadList, Seen, Stamp, Value, with_copy
from models.observation import Shown
from models.scan import Quiet
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


def is_old_news(copy: Quiet, shown: Shown, rules: RemoteRules) -> bool:
    """Whether `observe` would surely make nothing of it, so that the list need not be loaded: the very fields that were
    seen before, with the same values; and the same version, where there are versions. Members are asked for apart.
    """
    if shown.kind is not None and copy.kind is None:
        return False
    return all(
        _is_old(copy, name, value, shown, rules)
        for name, value in shown.fields.items()
        if name in SCALARS and rules.direction(name).used
    )


def has_same_version(seen: Seen, shown: Shown, rules: RemoteRules) -> bool:
    """Without versions, one look is as good as another."""
    if not rules.versioned:
        return True
    return shown.version is not None and seen.stamp.same_as(Stamp(shown.version))


def _is_old(copy: Quiet, name: Field, value: Value, shown: Shown, rules: RemoteRules) -> bool:
    seen = copy.seen.get(name)
    if seen is None or seen.value != value or name in copy.hidden:
        return False
    # What nobody has said a value for is taken from the first copy whose direction, by now, says so.
    heard = name in copy.wanted or not rules.direction(name).takes
    return heard and has_same_version(seen, shown, rules)
