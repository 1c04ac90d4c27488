"""Intake: entries of the stream become state. One transaction a batch, acknowledged after its commit (design rule 1).

Called by the Celery task, the CLI and the simulation. Nothing is sent from here: the answer names the
remotes that have something due now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from models.event import BadEvent, Event, parse_event
from models.lead_list import PENDING
from worker.engine.rules import Rules
from worker.errors import LeadsyncError, RedisAway
from worker.ports import Entry, Reject, Store, Stream, Tx
from worker.sync.batch import Batch, keys_of_lists, learn_people
from worker.sync.traces import Causes, taking_in

log = structlog.get_logger(__name__)

#: An entry that is tried alone, and from which so many workers never came back, is not tried any more.
MAX_DEATHS = 2

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


@dataclass(frozen=True, slots=True)
class _Told:
    """Entries as they were read, and what they tell."""

    entries: Sequence[Entry]
    events: Sequence[Event]
    #: Those that cannot be understood.
    rejects: Sequence[Reject]


async def drain(
    stream: Stream,
    store: Store,
    rules: Rules,
    *,
    batch: int,
    takeover_s: float,
    announce: Callable[[Taken], None] = lambda _taken: None,
) -> Taken:
    """Take in what killed workers left, then everything that is new. Ends when the stream has nothing more.

    After each batch `announce` hears of it, so that pushing need not wait for the end.
    """
    taken = Taken()
    # One by one: the entry that killed its worker must not take its neighbours along, nor make them look guilty.
    while left := await stream.unfinished(1) or await stream.take_over(1, takeover_s):
        taken += await _alone(left[0], stream, store, rules)
    announce(taken)
    told = _told(await _next_batch(stream, batch), rules)
    while told.entries:
        # The next one is read and understood while the database works, where there is surely more.
        ahead = asyncio.ensure_future(_read_ahead(stream, batch, rules)) if len(told.entries) == batch else None
        try:
            batch_taken = await _take_in(told, stream, store, rules)
            announce(batch_taken)
        except BaseException:
            await _give_up(ahead)
            raise
        taken += batch_taken
        told = await (ahead or _read_ahead(stream, batch, rules))
    return taken


async def _read_ahead(stream: Stream, batch: int, rules: Rules) -> _Told:
    return _told(await _next_batch(stream, batch), rules)


async def _give_up(ahead: asyncio.Future[_Told] | None) -> None:
    """What was read ahead is not taken in: whoever comes next finds it unfinished, and not its fault."""
    if ahead is not None:
        with suppress(RedisAway):
            await ahead


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


async def _alone(entry: Entry, stream: Stream, store: Store, rules: Rules) -> Taken:
    """Noted before: that nobody comes back from it is how an entry is known that kills its worker. A database that is
    away is not its fault, nor is Redis that is away when we come back: the same worker says so when it tries again.
    """
    died = await stream.alone(entry)
    try:
        taken = await _take_in(_told([entry], rules, died=died), stream, store, rules)
    except LeadsyncError:
        await _come_back(entry, stream)
        raise
    await _come_back(entry, stream)
    return taken


async def _come_back(entry: Entry, stream: Stream) -> None:
    with suppress(RedisAway):
        await stream.came_back(entry)


async def take_in(entries: Sequence[Entry], stream: Stream, store: Store, rules: Rules) -> Taken:
    """One batch: effect and duplicate check in one transaction, then the acknowledgement."""
    return await _take_in(_told(entries, rules), stream, store, rules)


async def _take_in(told: _Told, stream: Stream, store: Store, rules: Rules) -> Taken:
    entries = told.entries
    try:
        with taking_in(told.events) as causes:
            taken = await store.run(lambda tx: _take(tx, told, rules, causes))
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


def _told(entries: Sequence[Entry], rules: Rules, *, died: int = 0) -> _Told:
    """`died`: how many never came back from them."""
    rejects, events = list[Reject](), list[Event]()
    for entry in entries:
        try:
            events.append(_read(entry, rules, died))
        except BadEvent as error:
            rejects.append(_reject(entry, str(error)))
        except Exception:
            log.exception("entry_not_read", entry_id=entry.id)
            rejects.append(_reject(entry, "leadsync cannot read this event; please report it"))
    return _Told(entries, events, rejects)


def _take(tx: Tx, told: _Told, rules: Rules, causes: Causes) -> Taken:
    rejects, entries = list(told.rejects), told.entries
    due = learn_people(tx, told.events, rules)
    batch = Batch(tx, told.events, rules, causes)
    try:
        for event in told.events:
            batch.take(event)
        due |= batch.save()
    except BadEvent as error:
        if len(entries) > 1:
            raise  # half of its effects may be in the batch: taken again one by one
        rejects.append(_reject(entries[0], str(error)))
    tx.reject(rejects)
    return Taken(len(entries), len(rejects), due)


def _read(entry: Entry, rules: Rules, died: int) -> Event:
    if died >= MAX_DEATHS:
        raise BadEvent(f"event: its worker died {died} times while taking it in; it is not tried again by itself")
    if entry.event is None:
        raise BadEvent("event: expected one field named event, holding a CloudEvent in JSON")
    event = parse_event(entry.event)
    named = {"source": event.source} | {f"data.links.{name}": name for name in (event.data.links if event.data else ())}
    for attribute, remote in named.items():
        if remote not in rules.remotes:
            known = ", ".join(sorted(rules.remotes)) or "none"
            raise BadEvent(f"{attribute}: expected a configured remote (known: {known}), got {remote[:80]!r}")
    if any(remote_id.startswith(PENDING) for _, remote_id in keys_of_lists(event)):
        raise BadEvent(f"subject, data.links: expected an id of the remote's own; {PENDING} marks one that is to come")
    return event


def _reject(entry: Entry, reason: str) -> Reject:
    return Reject(entry_id=entry.id, reason=reason, event=(entry.event or b"").decode("utf-8", "replace"))
