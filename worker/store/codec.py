"""Between frozen values and the documents in the tables. Used by the SQL store only.

Documents are small arrays, not objects with names: a batch reads thousands of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from models.lead_list import (
    Abandoned,
    Copy,
    Field,
    Intent,
    Member,
    Parked,
    Presence,
    Seen,
    Spelling,
    Stamp,
    Standing,
    Value,
    Waiting,
    Wanted,
)
from models.patch import Patch

Document = dict[str, Any]

_FIELD = {field.value: field for field in Field}
_STANDING = {standing.value: standing for standing in Standing}
_WAITING: dict[str | None, Waiting | None] = {waiting.value: waiting for waiting in Waiting} | {None: None}
_moment = datetime.fromisoformat


def _stamp(time: str, sequence: str | None) -> Stamp:
    return Stamp(_moment(time), sequence if sequence is None else int(sequence))


def _digits(stamp: Stamp) -> str | None:
    """As text: a sequence may have more digits than numbers in JSON can carry."""
    return None if stamp.sequence is None else str(stamp.sequence)


def wanted_document(wanted: Mapping[Field, Wanted]) -> Document:
    """{field: [value, time, sequence, origin]}"""
    return {f.value: [w.value, w.stamp.time.isoformat(), _digits(w.stamp), w.origin] for f, w in wanted.items()}


def read_wanted(document: Document) -> dict[Field, Wanted]:
    """The way back."""
    return {_FIELD[f]: Wanted(value, _stamp(t, s), origin) for f, (value, t, s, origin) in document.items()}


def seen_document(seen: Mapping[Field, Seen]) -> Document:
    """{field: [value, time, sequence]}"""
    return {f.value: [s.value, s.stamp.time.isoformat(), _digits(s.stamp)] for f, s in seen.items()}


def read_seen(document: Document | None) -> dict[Field, Seen]:
    """The way back; nothing for SQL NULL."""
    if not document:
        return {}
    return {_FIELD[f]: Seen(value, _stamp(t, s)) for f, (value, t, s) in document.items()}


def _intent_document(intent: Intent | None) -> Document | None:
    if intent is None:
        return None
    patch = intent.patch
    fields: dict[str, Value] = {f.value: value for f, value in patch.fields.items()}
    return {
        "fields": fields,
        "add": sorted(patch.add),
        "remove": sorted(patch.remove),
        "sent_at": intent.sent_at.isoformat(),
    }


def _read_intent(document: Document | None) -> Intent | None:
    if document is None:
        return None
    fields = {_FIELD[f]: value for f, value in document["fields"].items()}
    patch = Patch(fields, frozenset(document["add"]), frozenset(document["remove"]))
    return Intent(patch, _moment(document["sent_at"]))


def _abandoned_document(one: Abandoned) -> list[Any]:
    return [one.value, one.until.isoformat(), sorted(one.add), sorted(one.remove)]


def _read_abandoned(value: Value, until: str, add: list[str], remove: list[str]) -> Abandoned:
    return Abandoned(value, _moment(until), frozenset(add), frozenset(remove))


def copy_row(list_id: int, copy: Copy) -> Document:
    """All columns of one copy's row."""
    parked = copy.parked
    return {
        "list_id": list_id,
        "remote": copy.remote,
        "seen": seen_document(copy.seen),
        "hidden": sorted(copy.hidden) or None,
        "spelling": {f.value: [s.wanted, s.shown, s.sure] for f, s in copy.spelling.items()} or None,
        "held": seen_document(copy.held) or None,
        "abandoned": {f.value: _abandoned_document(a) for f, a in copy.abandoned.items()} or None,
        "intent": _intent_document(copy.intent),
        "parked": parked and {"cause": parked.cause, "next_step": parked.next_step, "digest": parked.digest},
        "look": copy.look,
        "standing": copy.standing.value,
        "waiting": copy.waiting and copy.waiting.value,
        "due_at": copy.due_at,
        "since": copy.since,
        "tries": copy.tries,
        "fence": copy.fence,
        "lease_until": copy.lease_until,
    }


def read_copy(row: Any, remote_id: str) -> Copy:
    """The way back, from a row with these columns as attributes."""
    return Copy(
        remote=row.remote,
        remote_id=remote_id,
        seen=read_seen(row.seen),
        hidden=frozenset(_FIELD[f] for f in row.hidden or ()),
        spelling={_FIELD[f]: Spelling(*s) for f, s in row.spelling.items()} if row.spelling else {},
        held=read_seen(row.held),
        abandoned={_FIELD[f]: _read_abandoned(*a) for f, a in (row.abandoned or {}).items()},
        look=row.look,
        standing=_STANDING[row.standing],
        waiting=_WAITING[row.waiting],
        due_at=row.due_at,
        since=row.since,
        tries=row.tries,
        parked=Parked(**row.parked) if row.parked else None,
        fence=row.fence,
        lease_until=row.lease_until,
        intent=_read_intent(row.intent),
    )


def member_row(list_id: int, name: str, member: Member) -> Document:
    """All columns of one member's row."""
    return {
        "list_id": list_id,
        "member": name,
        "wanted": member.wanted,
        "differs": member.differs,
        "seen": {remote: [p.present, p.stamp.time.isoformat(), _digits(p.stamp)] for remote, p in member.seen.items()},
    }


def read_member(row: Any) -> Member:
    """The way back."""
    seen = {remote: Presence(present, _stamp(t, s)) for remote, (present, t, s) in row.seen.items()}
    return Member(row.wanted, seen, row.differs)
