"""Between frozen values and the documents in the tables. Used by the SQL store only.

Documents are small arrays, not objects with names: a batch reads thousands of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from models.lead_list import (
    Abandoned,
    Absence,
    Copy,
    Field,
    Hold,
    Intent,
    Kind,
    LeadList,
    Member,
    Parked,
    Presence,
    Replaced,
    Seen,
    Spelling,
    Stamp,
    Standing,
    Tally,
    Value,
    Waiting,
    Wanted,
)
from models.observation import Shown
from models.patch import Patch
from models.scan import Finding, Quiet, Scan, ScanState, Trigger
from worker.engine.observe import bare

Document = dict[str, Any]

_FIELD = {field.value: field for field in Field}
_WORD = {field: field.value for field in Field}
_STANDING = {standing.value: standing for standing in Standing}
_WAITING: dict[str | None, Waiting | None] = {waiting.value: waiting for waiting in Waiting} | {None: None}
_moment = datetime.fromisoformat


# Fields that were said together share their stamp, and lists that are read were written not long ago.
@lru_cache(4_096)
def _stamp(time: str, sequence: str | None) -> Stamp:
    return Stamp(_moment(time), sequence if sequence is None else int(sequence))


@lru_cache(4_096)
def _text(time: datetime) -> str:
    return time.isoformat()


def _digits(stamp: Stamp) -> str | None:
    """As text: a sequence may have more digits than numbers in JSON can carry."""
    return None if stamp.sequence is None else str(stamp.sequence)


def list_row(lead_list: LeadList) -> Document:
    """All columns of one list's own row that change, under the names of the statement that changes them."""
    holds = {remote: [hold.who, hold.since.isoformat()] for remote, hold in lead_list.holds.items()}
    kind, apart = lead_list.kind and lead_list.kind.value, sorted(lead_list.apart)
    return {"list_id": lead_list.id, "to_kind": kind, "to_apart": apart or None, "to_holds": holds or None}


def read_holds(document: Document | None) -> dict[str, Hold]:
    """The way back; nothing for SQL NULL."""
    return {remote: Hold(who, _moment(since)) for remote, (who, since) in document.items()} if document else {}


def wanted_document(wanted: Mapping[Field, Wanted]) -> Document:
    """{field: [value, time, sequence, origin]}"""
    return {_WORD[f]: [w.value, _text(w.stamp.time), _digits(w.stamp), w.origin] for f, w in wanted.items()}


def wanted_row(list_id: int, wanted: Mapping[Field, Wanted]) -> Document:
    """All columns of one list's row."""
    name = wanted.get(Field.NAME)
    key = None if name is None or name.value is None else name_key(name.value)
    return {"list_id": list_id, "fields": wanted_document(wanted), "name_key": key}


def read_wanted(document: Document) -> dict[Field, Wanted]:
    """The way back."""
    return {_FIELD[f]: Wanted(value, _stamp(t, s), origin) for f, (value, t, s, origin) in document.items()}


def seen_document(seen: Mapping[Field, Seen]) -> Document:
    """{field: [value, time, sequence]}"""
    return {_WORD[f]: [s.value, _text(s.stamp.time), _digits(s.stamp)] for f, s in seen.items()}


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
    return [one.value, one.until.isoformat(), sorted(one.add), sorted(one.remove), one.times]


def _read_abandoned(value: Value, until: str, add: list[str], remove: list[str], times: int = 1) -> Abandoned:
    return Abandoned(value, _moment(until), frozenset(add), frozenset(remove), times)


def name_key(name: Value) -> str:
    """The same for names that differ only in case and spacing, or beyond what is kept."""
    return bare(str(name))[:100]


def key_of(copy: Copy) -> str | None:
    """By which a list is found by its name: that which it shows, or that which a create under way gives it."""
    if Field.NAME in copy.seen:
        return name_key(copy.seen[Field.NAME].value)
    if copy.pending and copy.intent is not None and Field.NAME in copy.intent.patch.fields:
        return name_key(copy.intent.patch.fields[Field.NAME])
    if copy.pending and Field.NAME in copy.abandoned:
        return name_key(copy.abandoned[Field.NAME].value)
    return None


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
        "landed_at": copy.landed_at,
        "absent": sorted(copy.absent) or None,
        "look_members": copy.look_members,
        "tally": copy.tally and [copy.tally.count, copy.tally.digest, copy.tally.rows],
        "excluded": copy.excluded,
        "replaced": copy.replaced and [copy.replaced.read.isoformat(), copy.replaced.landed.isoformat()],
        "approved": copy.approved or None,
        "name_key": key_of(copy),
    }


def read_copy(row: Any, remote_id: str) -> Copy:
    """The way back, from a row with these columns as attributes."""
    return Copy(
        remote=row.remote,
        remote_id=remote_id,
        seen=read_seen(row.seen),
        hidden=_fields(row.hidden),
        spelling={_FIELD[f]: Spelling(*s) for f, s in row.spelling.items()} if row.spelling else {},
        held=read_seen(row.held),
        abandoned={_FIELD[f]: _read_abandoned(*a) for f, a in row.abandoned.items()} if row.abandoned else {},
        look=row.look,
        standing=_STANDING[row.standing],
        waiting=_WAITING[row.waiting],
        due_at=row.due_at,
        since=row.since,
        tries=row.tries,
        parked=Parked(**row.parked) if row.parked else None,
        fence=row.fence,
        lease_until=row.lease_until,
        landed_at=row.landed_at,
        absent=frozenset(map(Absence, row.absent or ())),
        look_members=row.look_members,
        tally=Tally(*row.tally) if row.tally else None,
        excluded=row.excluded,
        replaced=Replaced(*map(_moment, row.replaced)) if row.replaced else None,
        approved=row.approved or "",
        intent=_read_intent(row.intent),
    )


def read_quiet(row: Any) -> Quiet:
    """From a row with what a look is compared with."""
    return Quiet(
        kind=Kind(row.kind) if row.kind else None,
        seen=read_seen(row.seen),
        hidden=_fields(row.hidden),
        tally=Tally(*row.tally) if row.tally else None,
        wanted=frozenset(map(_FIELD.__getitem__, row.fields)),
    )


def _fields(words: list[str] | None) -> frozenset[Field]:
    return frozenset(map(_FIELD.__getitem__, words)) if words else frozenset()


def member_row(list_id: int, name: str, member: Member) -> Document:
    """All columns of one member's row."""
    return {
        "list_id": list_id,
        "member": name,
        "wanted": member.wanted,
        "differs": member.differs,
        "seen": {remote: [p.present, p.stamp.time.isoformat(), _digits(p.stamp)] for remote, p in member.seen.items()},
    }


def read_member(row: Any, excluded: Mapping[str, str]) -> Member:
    """The way back, with the remotes that cannot be told of it."""
    seen = {remote: Presence(present, _stamp(t, s)) for remote, (present, t, s) in row.seen.items()}
    return Member(row.wanted, seen, row.differs, excluded)


def scan_row(scan: Scan) -> Document:
    """All columns of one scan."""
    row = {field.name: getattr(scan, field.name) for field in dataclasses.fields(scan)}
    return row | {"trigger": scan.trigger.value, "state": scan.state.value, "note": scan.note[:600]}


def read_scan(row: Mapping[str, Any]) -> Scan:
    """The way back."""
    return Scan(**{**row, "trigger": Trigger(row["trigger"]), "state": ScanState(row["state"])})


def finding_row(number: int, finding: Finding) -> Document:
    """All columns of one finding."""
    shown = finding.shown
    document = {
        "kind": shown.kind,
        "fields": {field.value: value for field, value in shown.fields.items()},
        "members": None if shown.members is None else sorted(shown.members),
        "rows": shown.rows,
        "version": shown.version and shown.version.isoformat(),
    }
    return {"scan_id": number, "remote_id": shown.remote_id, "asked_at": finding.asked_at, "shown": document}


def read_finding(row: Any) -> Finding:
    """The way back."""
    kind, members, version = row.shown["kind"], row.shown["members"], row.shown["version"]
    shown = Shown(
        remote_id=row.remote_id,
        kind=Kind(kind) if kind else None,
        fields={_FIELD[f]: value for f, value in row.shown["fields"].items()},
        members=None if members is None else frozenset(members),
        rows=row.shown["rows"],
        version=_moment(version) if version else None,
    )
    return Finding(shown, row.asked_at)
