"""Push: bring the due copies of one remote to wanted, by the fewest calls, many in flight at once.

Called by the Celery task, the CLI and the simulation. A round waits for what has ended and for tickets of the
rate budget, then settles and claims in one transaction and sends what was claimed. Each claimed copy makes one
step: it is read, or it is patched.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from models.lead_list import Copy, Field, Intent, LeadList, Standing, with_copy
from models.observation import Evidence, Shown
from models.outcome import Done, Outcome
from models.patch import Patch
from models.values import replace
from worker.engine.plan import is_parked, let_through, plan, restand
from worker.engine.rules import RemoteRules, Rules
from worker.errors import RedisAway
from worker.limits.base import Ending, Grant, Report
from worker.ports import Clock, Connector, DueCount, Lane, Store, Tx
from worker.remotes.base import Wire
from worker.remotes.line import Line, Tickets
from worker.sync import creating
from worker.sync.creating import Prepared
from worker.sync.identity import in_ids
from worker.sync.outcomes import Claim, Flown, outcome_of
from worker.sync.settle import abandon, land
from worker.sync.stand import stand
from worker.sync.traces import flight, with_causes

log = structlog.get_logger(__name__)

#: All pages of one membership that is apart. Below the time limit of tasks, beyond which their worker is killed.
_READING_S = 400.0
#: Within which an outcome is written; the lease ends after that.
_WRITING_S = 5.0
#: While a membership is being read, others wait this long for a ticket.
_PATIENCE_S = 5.0

#: Answers that arrive within this time share a transaction.
_GATHER_S = 0.004


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One remote and all that is needed to call it. One per process and remote."""

    connector: Connector
    wire: Wire
    tickets: Tickets
    max_in_flight: int
    timeout_s: float
    late_write_s: float

    @property
    def deadline_s(self) -> float:
        """All requests of one claim together, waiting for a second ticket included."""
        return 2 * self.timeout_s

    @property
    def lease_s(self) -> float:
        """Longer than the deadline, by what writing the outcome may take."""
        return self.deadline_s + _WRITING_S


@dataclass(slots=True)
class Pushed:
    """What a push did, for the log and for deciding whether to come back."""

    calls: int = 0
    patched: int = 0
    #: What is left, as of the last look.
    due: DueCount = field(default_factory=DueCount)


async def push(
    door: Door,
    store: Store,
    rules: Rules,
    clock: Clock,
    *,
    for_s: float,
    spread: Callable[[], float] = random.random,
    expects: int = 0,
) -> Pushed:
    """Push until nothing of this remote is due, or `for_s` seconds are over; then wait for what is in flight.

    Who knows that so many copies are due says what it `expects`, and spares the first look: places in the budget are
    asked for at once, in the lane of live changes, and given back if there is nothing to say after all.
    """
    return await _Push(door, store, rules, clock, clock.monotonic() + for_s, spread, expects).run()


class _Push:
    def __init__(
        self,
        door: Door,
        store: Store,
        rules: Rules,
        clock: Clock,
        until: float,
        spread: Callable[[], float],
        expects: int,
    ) -> None:
        self._door, self._store, self._rules, self._clock = door, store, rules, clock
        self._until, self._spread = until, spread
        self._flights: set[asyncio.Task[Flown]] = set()
        #: Those of them that may take minutes, for which nobody else should wait.
        self._reading: set[asyncio.Task[Flown]] = set()
        self._stopped = False
        self._asking: asyncio.Task[Grant] | None = None
        self._away: RedisAway | None = None
        self._done = Pushed(due=DueCount(live=expects))
        self._guessed = expects > 0

    async def run(self) -> Pushed:
        try:
            if not self._guessed:
                await self._round([], ())
            while self._flights or self._more():
                self._ask()
                await self._something_happened()
                landed = self._landed()
                # With the new room, so that settling and claiming share a transaction.
                self._ask()
                await self._round(landed, await self._granted())
        finally:
            await self._stop_asking()
            if self._flights:  # the database went away: their leases end by themselves, and they are looked at first
                await asyncio.wait(self._flights)
            await self._door.tickets.flush()
        if self._away is not None:
            raise self._away
        return self._done

    def _more(self) -> bool:
        due, goes_on = self._done.due, self._clock.monotonic() < self._until or bool(self._reading)
        return goes_on and not self._stopped and due.live + due.retry > 0

    def _ask(self) -> None:
        """Keep one request for tickets open while there is something to send and room to send it."""
        room, due = self._door.max_in_flight - len(self._flights), self._done.due
        if self._asking is None and room > 0 and self._more():
            lane, want = (Lane.LIVE, due.live) if due.live else (Lane.RETRY, due.retry)
            left_s, least_s = self._until - self._clock.monotonic(), _PATIENCE_S if self._reading else 0.0
            asking = self._door.tickets.take(lane, min(room, want), patience_s=max(left_s, least_s))
            self._asking = asyncio.ensure_future(asking)

    async def _something_happened(self) -> None:
        waiting: set[asyncio.Task[Flown] | asyncio.Task[Grant]] = {*self._flights}
        if self._asking:
            waiting.add(self._asking)
        if not waiting:
            return
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if done.isdisjoint({self._asking}) and self._flights - done:
            await self._clock.sleep(_GATHER_S)

    def _landed(self) -> list[Flown]:
        ended = {flight for flight in self._flights if flight.done()}
        self._flights -= ended
        self._reading -= ended
        return [flight.result() for flight in ended]

    async def _granted(self) -> tuple[str, ...]:
        if self._asking is None:
            return ()
        await asyncio.wait({self._asking}, timeout=_GATHER_S)
        if not self._asking.done():
            return ()
        asking, self._asking = self._asking, None
        try:
            grant = asking.result()
        except RedisAway as error:
            # Nothing new goes out. What is in flight still lands, and then the error is raised.
            self._away, self._stopped = error, True
            return ()
        if not grant.tickets:
            # Spent, backing off or broken for longer than this push goes on: the copies stay due.
            self._stopped = True
        return grant.tickets

    async def _round(self, landed: list[Flown], tickets: tuple[str, ...]) -> None:
        claims: list[Claim] = []
        try:
            claims = await self._store.run(lambda tx: self._settle_and_claim(tx, landed, len(tickets)))
        finally:
            self._unused(tickets[len(claims) :])
        for claim, ticket in zip(claims, tickets, strict=False):
            flight = asyncio.ensure_future(self._fly(claim, ticket))
            self._flights.add(flight)
            if claim.members:
                self._reading.add(flight)
        self._done.calls += len(claims)
        self._done.patched += sum(isinstance(one.outcome, Done) and one.claim.patch is not None for one in landed)

    def _settle_and_claim(self, tx: Tx, landed: list[Flown], tickets: int) -> list[Claim]:
        door = self._door
        if landed:
            land(tx, landed, self._rules, late_write_s=door.late_write_s)
        if tx.remote_state(door.connector.name).paused:
            self._done.due = DueCount()
            return []
        claims, touched = claim(tx, door, self._rules, tickets) if tickets else ([], 0)
        guessed, self._guessed = self._guessed, False
        if tickets and not touched and not guessed:
            self._done.due = DueCount()  # another worker has them in hand; asking again would only spin
        else:
            self._done.due = tx.count_due(door.connector.name, door.max_in_flight)
        return with_causes(tx, claims)

    async def _fly(self, claim: Claim, ticket: str) -> Flown:
        """One call for one copy. Never raises: what went wrong is an outcome."""
        door, begun = self._door, self._clock.monotonic()
        line = Line(
            door.wire,
            door.tickets,
            claim.lane,
            door.connector.error,
            held=(ticket,),
            patience_s=door.timeout_s,
            now=self._clock.monotonic,
        )
        outcome: Outcome
        with flight(claim) as span, line:
            try:
                async with asyncio.timeout(_READING_S if claim.members else door.deadline_s):
                    outcome = await self._call(line, claim)
            except Exception as error:  # noqa: BLE001 - `outcome_of` decides, bugs included
                outcome = outcome_of(error, claim, spread=self._spread(), wrote=line.wrote)
            status, traceparent = line.last.status if line.last else None, span.traceparent
            span.note(status=status, outcome=type(outcome).__name__.lower())
        if line.window_s is not None:  # what others changed there meanwhile is overwritten (design rule 7)
            window_ms = round(line.window_s * 1000)
            log.info("members_replaced", remote=claim.copy.remote, list_id=claim.list_id, window_ms=window_ms)
        took_s = self._clock.monotonic() - begun
        return Flown(claim=claim, outcome=outcome, status=status, duration_s=took_s, traceparent=traceparent)

    async def _call(self, line: Line, claim: Claim) -> Done:
        connector, copy = self._door.connector, claim.copy
        if claim.patch is None:
            read = connector.members if claim.members else connector.get
            return _done(claim, await read(line, copy.remote_id), Evidence.READ)
        told = claim.told or claim.patch
        if claim.creates:
            return _done(claim, await connector.create(line, claim.kind, told, claim.at), Evidence.ANSWER)
        answer = await connector.patch(line, copy.remote_id, claim.kind, told)
        return Done(None) if answer is None else _done(claim, answer, Evidence.ANSWER)

    async def _stop_asking(self) -> None:
        """Tickets that were granted in this very moment go back too."""
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.cancel()
            with suppress(asyncio.CancelledError, RedisAway):
                self._unused((await asking).tickets)

    def _unused(self, tickets: Iterable[str]) -> None:
        for ticket in tickets:
            self._door.tickets.give_back(Report(ticket=ticket, ending=Ending.UNSENT))


def _done(claim: Claim, shown: Shown, evidence: Evidence) -> Done:
    remote, at, before = claim.copy.remote, claim.at, shown.before
    return Done(
        shown.on(remote, evidence=evidence, asked_at=at, cause=evidence.value),
        before.on(remote, evidence=Evidence.READ, asked_at=at, cause="read") if before else None,
        shown.refused,
    )


def claim(tx: Tx, door: Door, rules: Rules, limit: int) -> tuple[list[Claim], int]:
    """Take up to `limit` due copies for ourselves: lease, fence and the intent of each write are committed
    before anything is sent (design rules 3 and 5). Answers with the claims, and how many copies were touched:
    some turn out to need no call.
    """
    remote = door.connector.name
    lists = tx.load(tx.due(remote, limit))
    claims, touched, changed, absorbed = [], 0, list[tuple[LeadList, LeadList]](), set[int | None]()
    # Creates first: one of the other lists may turn out to be what was created.
    for lead_list in sorted(lists.values(), key=lambda one: not _creates(one, remote)):
        copy = lead_list.copies.get(remote)
        if copy is None or lead_list.id in absorbed or not _free(copy, tx.now):
            continue  # claimed by another between our look and our lock
        copy = abandon(copy, door.late_write_s)
        prepared = Prepared(with_copy(lead_list, copy), ready=True)
        if copy.pending:
            prepared = creating.prepared(tx, prepared.lead_list, copy, rules)
            absorbed.add(prepared.absorbed)
        after, claimed = _claim(tx, prepared, lead_list, door, rules)
        changed.append((lead_list, after))
        if claimed:
            claims.append(claimed)
        touched += 1
        if copy.pending:  # at once: the next list may have the same name
            tx.save(changed)
            changed.clear()
    tx.save(changed)
    return claims, touched


def _creates(lead_list: LeadList, remote: str) -> bool:
    return remote in lead_list.copies and lead_list.copies[remote].pending


def _free(copy: Copy, now: datetime) -> bool:
    if copy.standing is not Standing.DUE or copy.due_at is None or copy.due_at > now:
        return False
    return copy.lease_until is None or copy.lease_until <= now


def _claim(tx: Tx, prepared: Prepared, before: LeadList, door: Door, rules: Rules) -> tuple[LeadList, Claim | None]:
    lead_list, now = prepared.lead_list, tx.now
    if not prepared.ready:
        [(_, stood)] = stand(tx, [(before, lead_list)], rules)
        return stood, None
    copy, remote_rules = lead_list.copies[door.connector.name], rules.remotes[door.connector.name]
    planned = plan(lead_list, copy, remote_rules, now)
    patch = None if copy.look else planned.patch
    failed = patch is not None and is_parked(lead_list, copy, patch)
    held = lead_list.hold_on(copy.remote) is not None
    if patch is not None and (failed or held or not (patch and let_through(copy, patch, remote_rules))):
        # Nothing to say after all, or not yet: its standing is computed afresh.
        return restand(lead_list, rules, now), None
    patch = patch and _part(patch, None if copy.approved else remote_rules.members_at_once)
    reads_members = patch is None and _reads_members(copy, remote_rules)
    lease_s = _READING_S + _WRITING_S if reads_members else door.lease_s
    lease, intent = now + timedelta(seconds=lease_s), Intent(patch or Patch(), now)
    leased = replace(copy, fence=copy.fence + 1, lease_until=lease, intent=intent, look=False)
    claimed = Claim(
        list_id=lead_list.id,
        kind=lead_list.kind,
        copy=copy,
        fence=leased.fence,
        patch=patch,
        part_of=planned.patch,
        told=patch and replace(in_ids(tx, copy.remote, patch, rules), base=_base(copy, remote_rules)),
        at=now,
        members=reads_members,
    )
    return with_copy(lead_list, leased), claimed


def _base(copy: Copy, rules: RemoteRules) -> datetime | None:
    seen = copy.seen.get(Field.MEMBERS)
    return seen.stamp.time if seen and rules.versioned else None


def _part(patch: Patch, most: int | None) -> Patch:
    """As much of it as one claim may take; the rest differs still, and is due at once."""
    if most is None or len(patch.add) + len(patch.remove) <= most:
        return patch
    add = frozenset(sorted(patch.add)[:most])
    return replace(patch, add=add, remove=frozenset(sorted(patch.remove)[: most - len(add)]))


def _reads_members(copy: Copy, rules: RemoteRules) -> bool:
    """They take calls of their own, and something about them is not known."""
    if not (rules.members_apart and rules.direction(Field.MEMBERS).used):
        return False
    return copy.look_members or Field.MEMBERS not in copy.seen or Field.MEMBERS in copy.abandoned
