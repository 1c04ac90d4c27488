"""Intake: entries of the stream become state. One transaction a batch, acknowledged after its commit (design rule 1).

Called by the Celery task, the CLI and the simulation. Nothing is sent from here: the answer names the
remotes that have something due now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, timedelta

import structlog

from models.event import BadEvent, Event, EventType, parse_event
from models.lead_list import PENDING, Copy, Field, LeadList, Stamp, Standing, Value, with_copy
from models.ledger import Change, ChangeKind
from models.observation import Evidence, MembersSeen, Observation
from worker.engine.join import CannotJoin, join
from worker.engine.missing import returned, with_missing, without_pending
from worker.engine.observe import observe
from worker.engine.plan import restand
from worker.engine.rules import FEW, Rules
from worker.errors import LeadsyncError, RedisAway
from worker.ports import Entry, Every, Reject, RemoteKey, Store, Stream, Tx

log = structlog.get_logger(__name__)

#: An entry that killed its worker twice is parked at its third delivery, before it is tried.
MAX_DELIVERIES = 3

#: How often lists are looked up that others keep joining.
_LOOKS = 3

#: A sender's clock may be ahead of ours by this much.
_CLOCK_SKEW = timedelta(minutes=5)

#: Entries of a batch that are read first, and how much more at a time the next reads may ask for.
_FIRST_READ, _GROWTH = 10, 4

#: A batch ends when its events have so many bytes: one event may be as large as thousands of others.
_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Taken:
    """What one or more batches did."""

    entries: int = 0
    rejected: int = 0
    #: Remotes that have a copy due now.
    due: frozenset[str] = frozenset()

    def __add__(self, other: Taken) -> Taken:
        return Taken(self.entries + other.entries, self.rejected + other.rejected, self.due | other.due)


async def drain(
    stream: Stream,
    store: Store,
    rules: Rules,
    *,
    batch: int,
    takeover_s: float,
    announce: Callable[[frozenset[str]], None] = lambda _remotes: None,
) -> Taken:
    """Take in what killed workers left, then everything that is new. Ends when the stream has nothing more.

    After each batch `announce` hears which remotes have something due, so that pushing need not wait for the end.
    """
    taken = Taken()
    # One by one: the entry that killed its worker must not take its neighbours along, nor make them look guilty.
    while left := await stream.unfinished(1) or await stream.take_over(1, takeover_s):
        taken += await _take_in_or_forgive(left, stream, store, rules)
    announce(taken.due)
    while entries := await _next_batch(stream, batch):
        batch_taken = await _take_in_or_forgive(entries, stream, store, rules)
        announce(batch_taken.due)
        taken += batch_taken
    return taken


async def _next_batch(stream: Stream, batch: int) -> list[Entry]:
    """Up to `batch` new entries, read piece by piece, so that their size is known before there are too many."""
    entries, asked = list[Entry](), min(batch, _FIRST_READ)
    while asked > 0:
        try:
            read = await stream.read(asked)
        except RedisAway:
            if not entries:
                raise
            return entries  # they are ours now, and must not wait for a restart
        entries += read
        if len(read) < asked:
            return entries
        size = sum(len(entry.event or b"") for entry in entries)
        room = (_BATCH_BYTES - size) * len(entries) // max(size, 1)  # for entries like these
        asked = min(batch - len(entries), len(entries) * _GROWTH, room)
    return entries


async def _take_in_or_forgive(entries: Sequence[Entry], stream: Stream, store: Store, rules: Rules) -> Taken:
    try:
        return await take_in(entries, stream, store, rules)
    except LeadsyncError:
        # The database failed, not the entries: they must not be taken for ones that kill their worker.
        with suppress(RedisAway):
            await stream.forgive(entries)
        raise


async def take_in(entries: Sequence[Entry], stream: Stream, store: Store, rules: Rules) -> Taken:
    """One batch: effect and duplicate check in one transaction, then the acknowledgement."""
    try:
        taken = await store.run(lambda tx: _take(tx, entries, rules))
    except LeadsyncError:
        raise  # the database is away: nothing is acknowledged, everything comes again
    except Exception as error:
        if len(entries) > 1:
            return await _one_by_one(entries, stream, store, rules)
        log.exception("entry_not_taken_in", entry_id=entries[0].id)
        reason = f"leadsync cannot take this event in ({type(error).__name__}); please report it with this event"
        await store.run(lambda tx: tx.reject([_reject(entries[0], reason)]))
        taken = Taken(entries=1, rejected=1)
    await stream.ack([entry.id for entry in entries])
    return taken


async def _one_by_one(entries: Sequence[Entry], stream: Stream, store: Store, rules: Rules) -> Taken:
    taken = Taken()
    for entry in entries:
        taken += await take_in([entry], stream, store, rules)
    return taken


def _take(tx: Tx, entries: Sequence[Entry], rules: Rules) -> Taken:
    rejects: list[Reject] = []
    events: list[tuple[Entry, Event]] = []
    for entry in entries:
        try:
            events.append((entry, _read(entry, rules)))
        except BadEvent as error:
            rejects.append(_reject(entry, str(error)))
    batch = _Batch(tx, [event for _, event in events], rules)
    due: frozenset[str] = frozenset()
    try:
        for _, event in events:
            batch.take(event)
        due = batch.save()
    except BadEvent as error:
        if len(entries) > 1:
            raise  # half of its effects may be in the batch: taken again one by one
        rejects.append(_reject(entries[0], str(error)))
    tx.reject(rejects)
    return Taken(len(entries), len(rejects), due)


def _read(entry: Entry, rules: Rules) -> Event:
    if entry.deliveries >= MAX_DELIVERIES:
        died = f"its worker died {entry.deliveries - 1} times while taking it in"
        raise BadEvent(f"event: {died}; it is not tried again by itself")
    if entry.event is None:
        raise BadEvent("event: expected one field named event, holding a CloudEvent in JSON")
    event = parse_event(entry.event)
    named = {"source": event.source} | {f"data.links.{name}": name for name in (event.data.links if event.data else ())}
    for attribute, remote in named.items():
        if remote not in rules.remotes:
            known = ", ".join(sorted(rules.remotes)) or "none"
            raise BadEvent(f"{attribute}: expected a configured remote (known: {known}), got {remote[:80]!r}")
    if any(remote_id.startswith(PENDING) for _, remote_id in _keys(event)):
        raise BadEvent(f"subject, data.links: expected an id of the remote's own; {PENDING} marks one that is to come")
    return event


def _reject(entry: Entry, reason: str) -> Reject:
    return Reject(entry_id=entry.id, reason=reason, event=(entry.event or b"").decode("utf-8", "replace"))


class _Batch:
    """The lists that a batch touches: loaded once, changed in memory event by event, saved once."""

    def __init__(self, tx: Tx, events: Sequence[Event], rules: Rules) -> None:
        self._tx, self._rules = tx, rules
        self._numbers, self._before = _known(tx, events, rules)
        self._lists: dict[int, LeadList] = dict(self._before)
        self._changes: dict[int, list[Change]] = {}
        self._joined: list[tuple[int, int]] = []
        self._new = 0

    def take(self, event: Event) -> None:
        """One event. Raises `BadEvent` when it contradicts what is known."""
        number = self._number(event)
        if number is None:
            return  # a list we never knew is said to be gone
        lead_list = self._lists[number]
        kind = event.data.fields.kind if event.data else None
        if kind and lead_list.kind and kind is not lead_list.kind:
            raise BadEvent(f"data.fields.kind: expected {lead_list.kind}; a list never changes its kind")
        if event.data:
            lead_list = self._linked(lead_list, event)
            number = lead_list.id
        copy = lead_list.copies[event.source]
        if not self._believed(event):
            hinted = replace(copy, look=True)
            self._lists[number] = with_copy(lead_list, hinted)
            return
        observed = observe(returned(lead_list, event.source), _observation(event), self._rules)
        self._lists[number] = observed.lead_list
        self._changes.setdefault(number, []).extend(observed.changes)

    def save(self) -> frozenset[str]:
        """Write what changed. Answers with the remotes that have something due now."""
        touched = {n: one for n, one in self._lists.items() if one is not self._before.get(n)}
        real = self._give_numbers(touched)
        numbered = [one if number > 0 else replace(one, id=real[number]) for number, one in touched.items()]
        after = [restand(with_missing(one, self._rules), self._rules, self._tx.now) for one in numbered]
        for old, into in self._joined:
            self._tx.drop(old, into)
        self._tx.save([(self._before.get(one.id), one) for one in after])
        for number, changes in self._changes.items():
            if changes:
                self._tx.note(real.get(number, number), changes)
        return frozenset(
            copy.remote
            for one in after
            for copy in one.copies.values()
            if copy.standing is Standing.DUE and copy.due_at is not None and copy.due_at <= self._tx.now
        )

    def _give_numbers(self, touched: dict[int, LeadList]) -> dict[int, int]:
        """New lists have negative numbers until now."""
        new = [number for number in touched if number < 0]
        made = self._tx.create([touched[number].kind for number in new])
        return {number: number for number in touched} | dict(zip(new, made, strict=True))

    def _believed(self, event: Event) -> bool:
        """Whether the payload is taken as it is. Otherwise the event is a hint: read the list."""
        data = event.data
        if event.type is EventType.DELETED or data is None or not self._rules.remotes[event.source].versioned:
            return False
        if event.time > self._tx.now + _CLOCK_SKEW:
            return False  # believed, it would make everything that really happens look late
        return bool(data.fields.model_fields_set or data.members_added or data.members_removed)

    def _number(self, event: Event) -> int | None:
        """The lead list that the event speaks of; a new one when its list was never seen."""
        source: RemoteKey = (event.source, event.subject)
        known = self._numbers.get(source)
        if known is not None:
            return known
        if event.type is EventType.DELETED:
            return None
        self._new -= 1
        self._numbers[source] = self._new
        copy = Copy(remote=event.source, remote_id=event.subject)
        self._lists[self._new] = LeadList(id=self._new, copies={event.source: copy})
        return self._new

    def _linked(self, lead_list: LeadList, event: Event) -> LeadList:
        """With the copies that `data.links` ties to it. One that was never seen is read before anything is sent."""
        for remote, remote_id in event.data.links.items() if event.data else ():
            lead_list = without_pending(lead_list, remote)
            own = lead_list.copies.get(remote)
            if own is not None and own.remote_id == remote_id:
                continue
            if own is not None and own.pending:
                raise BadEvent(f"data.links.{remote}: a list is being created there just now; retry it afterwards")
            if own is not None:
                tied = f"expected {own.remote_id}, to which it is tied; unlink that first"
                raise BadEvent(f"data.links.{remote}: {tied}")
            other = self._numbers.get((remote, remote_id))
            if other is None:
                copy = Copy(remote=remote, remote_id=remote_id, look=True)
                copies = {**lead_list.copies, remote: copy}
                lead_list = replace(lead_list, copies=copies, apart=lead_list.apart - {remote})
            else:
                lead_list = self._join(lead_list, other, remote)
            self._numbers[remote, remote_id] = lead_list.id
            self._changes.setdefault(lead_list.id, []).append(_link_change(event, remote, remote_id))
        self._lists[lead_list.id] = lead_list
        return lead_list

    def _join(self, lead_list: LeadList, other: int, remote: str) -> LeadList:
        kept, gone = lead_list, self._lists[other]
        if kept.id < 0 < gone.id:
            kept, gone = gone, kept  # a list that the database knows keeps its number
        try:
            joined = join(kept, gone, self._rules)
        except CannotJoin as error:
            raise BadEvent(f"data.links.{remote}: {error}") from None
        del self._lists[gone.id]
        for key, number in self._numbers.items():
            if number == gone.id:
                self._numbers[key] = kept.id
        self._changes.setdefault(kept.id, []).extend([*self._changes.pop(gone.id, []), *joined.changes])
        if gone.id in self._before:
            self._joined.append((gone.id, kept.id))
        return joined.lead_list


def _keys(event: Event) -> list[RemoteKey]:
    return [(event.source, event.subject), *(event.data.links.items() if event.data else ())]


def _known(tx: Tx, events: Sequence[Event], rules: Rules) -> tuple[dict[RemoteKey, int], dict[int, LeadList]]:
    """The lists that the events speak of, locked. Another transaction may have joined or unlinked some between
    our look and our lock; then we look again.
    """
    keys = {key for event in events for key in _keys(event)}
    for _ in range(_LOOKS):
        numbers = tx.find(keys)
        lists = tx.load(set(numbers.values()), _members_needed(events, numbers, rules))
        if all(_holds(lists.get(number), key) for key, number in numbers.items()):
            return numbers, lists
    raise LookupError("links and copies contradict each other")


def _holds(lead_list: LeadList | None, key: RemoteKey) -> bool:
    remote, remote_id = key
    copy = lead_list.copies.get(remote) if lead_list else None
    return copy is not None and copy.remote_id == remote_id


def _members_needed(
    events: Sequence[Event], numbers: dict[RemoteKey, int], rules: Rules
) -> dict[int, set[str] | Every]:
    """A delta needs the elements it names; a whole set, a join and a new copy need them all."""
    needed: dict[int, set[str] | Every] = {}
    for event in events:
        known = {numbers[key] for key in _keys(event) if key in numbers}
        data = event.data
        links_more = any(key not in numbers for key in _keys(event)) or len(known) > 1
        # The brake asks which share of the list goes, or would be taken away again; a few may always go.
        takes = rules.remotes[event.source].direction(Field.MEMBERS).takes
        many = data is not None and len(data.members_removed if takes else data.members_added) > FEW
        whole = data is not None and (data.members is not None or links_more or many)
        for number in known:
            before = needed.get(number, set())
            if whole or before is Every.MEMBER:
                needed[number] = Every.MEMBER
            elif data is not None and isinstance(before, set):
                needed[number] = before.union(data.members_added, data.members_removed)
    return needed


def _observation(event: Event) -> Observation:
    data = event.data
    assert data is not None  # noqa: S101 - `_believed` asked; mypy cannot know
    said = data.fields.model_fields_set
    fields: dict[Field, Value] = {}
    if "name" in said:
        fields[Field.NAME] = data.fields.name
    if "owner" in said:
        fields[Field.OWNER] = data.fields.owner
    if "enrichment" in said:
        fields[Field.ENRICHMENT] = data.fields.enrichment
    return Observation(
        remote=event.source,
        remote_id=event.subject,
        stamp=_stamp(event),
        evidence=Evidence.EVENT,
        cause=f"event {event.id}",
        kind=data.fields.kind,
        fields=fields,
        members=_members(event),
    )


def _members(event: Event) -> MembersSeen | None:
    data = event.data
    if data is None:
        return None
    if data.members is not None:
        return MembersSeen(whole=True, added=frozenset(data.members))
    if data.members_added or data.members_removed:
        return MembersSeen(whole=False, added=frozenset(data.members_added), removed=frozenset(data.members_removed))
    return None


def _stamp(event: Event) -> Stamp:
    return Stamp(event.time.astimezone(UTC), int(event.sequence) if event.sequence else None)


def _link_change(event: Event, remote: str, remote_id: str) -> Change:
    return Change(
        kind=ChangeKind.LINKED,
        field=None,
        old=None,
        new=f"{remote}:{remote_id}",
        origin=event.source,
        stamp=_stamp(event),
        cause=f"event {event.id}",
    )
