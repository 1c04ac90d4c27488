"""Short ways to say lead lists, copies, rules and observations: for tests of engine, use cases and stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from models.lead_list import Copy, Field, LeadList, Member, Presence, Seen, Stamp, Value, Wanted
from models.observation import Evidence, MembersSeen, Observation
from worker.engine.rules import Direction, Policy, RemoteRules, Rules, same

#: The moment at which all these tests begin.
NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

BOTH = dict.fromkeys(Field, Direction.BOTH)


def at(seconds: float, sequence: int | None = None) -> Stamp:
    """A stamp that many seconds after noon."""
    return Stamp(NOON + timedelta(seconds=seconds), sequence)


def later(seconds: float) -> datetime:
    """A moment that many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def remote_rules(
    rank: int = 0,
    *,
    directions: Mapping[Field, Direction] | None = None,
    spell: Callable[[Field, Value], Value] = same,
    versioned: bool = True,
    review: bool = False,
) -> RemoteRules:
    """One remote that holds every field both ways, unless told otherwise."""
    fields = {**BOTH, **(directions or {})}
    return RemoteRules(rank=rank, directions=fields, spell=spell, versioned=versioned, review=review)


def rules_of(
    policies: Mapping[Field, Policy] | None = None, /, *, versioned: bool = True, **remotes: RemoteRules
) -> Rules:
    """Rules for `crm` (highest), `lance` and `instantly`, each replaceable by name."""
    known = {name: remote_rules(rank, versioned=versioned) for rank, name in enumerate(("crm", "lance", "instantly"))}
    return Rules(remotes={**known, **remotes}, policies=policies or {})


def observation(
    remote: str,
    seconds: float,
    fields: Mapping[Field, Value] | None = None,
    *,
    members: MembersSeen | None = None,
    evidence: Evidence = Evidence.EVENT,
    sequence: int | None = None,
) -> Observation:
    """`remote` showed these fields that many seconds after noon."""
    return Observation(
        remote=remote,
        remote_id=f"{remote}-1",
        stamp=at(seconds, sequence),
        evidence=evidence,
        cause="test",
        fields=fields or {},
        members=members,
    )


def whole(*names: str) -> MembersSeen:
    """The whole membership."""
    return MembersSeen(whole=True, added=frozenset(names))


def delta(added: Iterable[str] = (), removed: Iterable[str] = ()) -> MembersSeen:
    """What was added and removed."""
    return MembersSeen(whole=False, added=frozenset(added), removed=frozenset(removed))


def copy_of(remote: str, seen: Mapping[Field, Value] | None = None, seconds: float = 0) -> Copy:
    """A copy that showed these values."""
    fields = {field: Seen(value, at(seconds)) for field, value in (seen or {}).items()}
    return Copy(remote=remote, remote_id=f"{remote}-1", seen=fields)


def list_of(
    *copies: Copy, wanted: Mapping[Field, Value] | None = None, origin: str = "crm", seconds: float = 0
) -> LeadList:
    """A lead list with these copies and these wanted values."""
    agreed = {field: Wanted(value, at(seconds), origin) for field, value in (wanted or {}).items()}
    return LeadList(id=1, wanted=agreed, copies={copy.remote: copy for copy in copies})


def agreed_list(*remotes: str, **fields: Value) -> LeadList:
    """All copies show what is wanted."""
    values = {Field(name): value for name, value in fields.items()}
    return list_of(*(copy_of(remote, values) for remote in remotes), wanted=values)


def with_members(lead_list: LeadList, *names: str, shown_by: Iterable[str]) -> LeadList:
    """With these members wanted, and shown by those remotes, whose whole set was seen at noon."""
    seen = {remote: Presence(True, at(0)) for remote in shown_by}
    floor = Seen(None, at(0))
    copies = {
        name: replace(copy, seen={**copy.seen, Field.MEMBERS: floor}) if name in seen else copy
        for name, copy in lead_list.copies.items()
    }
    return replace(lead_list, copies=copies, members={name: Member(True, seen) for name in names})


def shown_set(members: Mapping[str, Member], remote: str) -> frozenset[str]:
    """The members that `remote` last showed."""
    return frozenset(name for name, member in members.items() if member.shown_by(remote))
