"""Join: two lead lists turn out to be one. Called by intake (`data.links`) and by `leadsync link`. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from models.lead_list import LeadList, Member, Wanted
from models.ledger import Change, ChangeKind
from models.values import replace
from worker.engine.conflict import Winner, by_authority
from worker.engine.missing import without_pending
from worker.engine.observe import Observed
from worker.engine.rules import Rules


class CannotJoin(ValueError):
    """Why the two cannot be one list, as a sentence."""


def join(kept: LeadList, other: LeadList, rules: Rules) -> Observed:
    """`kept` with the copies, wanted values and members of `other`. Where both want something, authority decides.

    Nothing is removed by it: members become a union. Both must hold all their members. Raises `CannotJoin`.
    """
    for remote in kept.copies.keys() & other.copies.keys():
        kept, other = _one_pending(kept, other, remote)
    for remote in kept.copies.keys() & other.copies.keys():
        raise CannotJoin(
            f"both lists have a copy on {remote} ({kept.copies[remote].remote_id} and "
            f"{other.copies[remote].remote_id}); unlink one of them first"
        )
    if kept.kind and other.kind and kept.kind is not other.kind:
        raise CannotJoin(f"one is a {kept.kind} list, the other a {other.kind} list, and a list never changes its kind")
    gained = {f: w for f, w in other.wanted.items() if f not in kept.wanted or _wins(w, kept.wanted[f], rules)}
    changes = [
        Change(
            kind=ChangeKind.WANTED,
            field=field,
            old=kept.wanted[field].value,
            new=theirs.value,
            origin=theirs.origin,
            stamp=theirs.stamp,
            cause="link",
        )
        for field, theirs in gained.items()
        if field in kept.wanted and kept.wanted[field].value != theirs.value
    ]
    return Observed(
        replace(
            kept,
            kind=kept.kind or other.kind,
            apart=(kept.apart | other.apart) - kept.copies.keys() - other.copies.keys(),
            holds={**other.holds, **kept.holds},
            wanted={**kept.wanted, **gained},
            copies={**kept.copies, **other.copies},
            members=_members(kept.members, other.members),
        ),
        tuple(changes),
    )


def _one_pending(kept: LeadList, other: LeadList, remote: str) -> tuple[LeadList, LeadList]:
    """Both have a copy there. A list that exists makes one needless that is to be created; of two that are to be, the
    one stays whose create may have been answered by nobody, or it would be made twice.
    """
    ours, theirs = kept.copies[remote], other.copies[remote]
    if ours.pending and (not theirs.pending or (theirs.abandoned and not ours.abandoned)):
        return without_pending(kept, remote), other
    return kept, without_pending(other, remote)


def _wins(theirs: Wanted, ours: Wanted, rules: Rules) -> bool:
    return by_authority(ours, theirs.origin, rules) is Winner.COPY


def _members(kept: Mapping[str, Member], other: Mapping[str, Member]) -> dict[str, Member]:
    union = dict(kept)
    for name, theirs in other.items():
        union[name] = union_of(kept.get(name, Member(wanted=False)), theirs)
    return union


def union_of(ours: Member, theirs: Member) -> Member:
    """One member out of two that are the same one: wanted where either is, shown where either is."""
    seen = {**ours.seen, **theirs.seen}
    for remote in ours.seen.keys() & theirs.seen.keys():
        one, other = ours.seen[remote], theirs.seen[remote]
        newer = other if one.stamp.older_than(other.stamp) else one
        seen[remote] = replace(newer, present=one.present or other.present)
    excluded = {**ours.excluded, **theirs.excluded}
    return Member(ours.wanted or theirs.wanted, seen, ours.differs or theirs.differs, excluded)
