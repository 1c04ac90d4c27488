"""Scan: read every list of a remote, observe each, end with a certificate. Events are hints; this is the proof.

Called by the Celery task, the CLI and the simulation. A scan goes through its states in steps, each one transaction,
so that another worker can go on at any of them:

| state    | step                                                                                           |
| -------- | ---------------------------------------------------------------------------------------------- |
| reading  | one page: new lists are taken in; what differs from what was seen is kept as a finding         |
| (judged) | after the last page: too many findings, or too many lists not shown, and a person decides      |
| taking   | findings are observed, like any news; lists that were not shown are to be read by id           |
| checking | until each of them has answered: 404 means gone, anything else means that it is still there    |
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from models.lead_list import Copy, LeadList, Standing
from models.ledger import Change
from models.observation import Shown
from models.scan import UNDER_WAY, Finding, Scan, ScanState, chained
from models.values import replace
from worker.engine import backoff
from worker.engine.drift import is_drift
from worker.engine.missing import doubted, returned
from worker.engine.observe import observe
from worker.engine.rules import Rules
from worker.errors import AccessLost, LeadsyncError, RateLimited, RedisAway, Transient
from worker.ports import Clock, Lane, RemoteKey, Store, Tx
from worker.remotes.base import Page
from worker.remotes.line import Line
from worker.sync.counting import countable, counted, has_lost, must_recount, to_read
from worker.sync.membership import Looked, in_full, looked_at
from worker.sync.outcomes import access_lost
from worker.sync.push import Door
from worker.sync.scan_news import as_seen, is_overtaken, news_of, some_news
from worker.sync.settle import pause_remote
from worker.sync.stand import due_now, stand, take_in_people

log = structlog.get_logger(__name__)

#: Failed calls in a row after which a scan gives up. The next one begins anew.
MAX_TRIES = 8
#: Lists that share a transaction.
_BATCH = 100
#: How often a scan looks whether lists that it did not show have answered, and how many times.
_CHECK_S = 1.0
_CHECKS = 600


@dataclass(frozen=True, slots=True)
class Scanned:
    """Where the scan stands now, which remotes have something due, and whether there is more to do at once."""

    scan: Scan
    due: frozenset[str] = frozenset()
    more: bool = False


@dataclass(frozen=True, slots=True)
class _Compared:
    """How many lists are known and were shown by all pages; and the ids, in order, of known ones that were not."""

    known: int
    shown: int
    missing: Sequence[str]


class _Lost(Exception):
    """Another worker has taken the scan up, or it has ended."""


async def scan(
    door: Door,
    store: Store,
    rules: Rules,
    clock: Clock,
    *,
    for_s: float,
    spread: Callable[[], float] = random.random,
) -> Scanned | None:
    """Go on with the scan that is under way on this remote, for `for_s` seconds at most. None when there is none,
    or another worker has it in hand.
    """
    return await _Scanner(door, store, rules, clock, clock.monotonic() + for_s, spread).run()


#: What one step makes of the scan, in its transaction.
_Step = Callable[[Tx, Scan], Scan]


class _Scanner:
    def __init__(
        self, door: Door, store: Store, rules: Rules, clock: Clock, until: float, spread: Callable[[], float]
    ) -> None:
        self._door, self._store, self._rules, self._clock = door, store, rules, clock
        self._until, self._spread = until, spread
        self._remote = door.connector.name
        self._due = frozenset[str]()
        #: Kept, as all lists are gone through for it. What becomes of one of them meanwhile is seen when it is loaded.
        self._compared: _Compared | None = None

    async def run(self) -> Scanned | None:
        scan = await self._store.run(self._take_up)
        try:
            while scan is not None and scan.lease_until is not None:
                if self._clock.monotonic() >= self._until:
                    scan = await self._step(scan, self._put_down)
                    return Scanned(scan, self._due, more=True)
                match scan.state:
                    case ScanState.READING:
                        scan = await self._read(scan)
                    case ScanState.TAKING:
                        scan = await self._step(scan, self._take)
                    case _:
                        scan = await self._step(scan, self._check)
        except _Lost:
            return None
        return Scanned(scan, self._due) if scan else None

    async def _step(self, scan: Scan, work: _Step) -> Scan:
        """One transaction, which counts only while the scan is ours."""

        def guarded(tx: Tx) -> tuple[Scan, frozenset[str]]:
            now = tx.scans.get(scan.id)
            if now is None or now.fence != scan.fence or now.state not in UNDER_WAY:
                raise _Lost
            self._rung = frozenset[str]()
            after = work(tx, now)
            if after.lease_until is not None:
                after = replace(after, lease_until=self._lease(tx))
            tx.scans.save(after)
            return after, self._rung

        after, rung = await self._store.run(guarded)
        self._due |= rung
        return after

    def _take_up(self, tx: Tx) -> Scan | None:
        scan = tx.scans.latest(self._remote)
        if scan is None or scan.state not in UNDER_WAY or scan.due_at > tx.now or tx.remote_state(self._remote).paused:
            return None
        if scan.lease_until is not None and scan.lease_until > tx.now:
            return None
        ours = replace(scan, fence=scan.fence + 1, lease_until=self._lease(tx))
        tx.scans.save(ours)
        return ours

    def _put_down(self, tx: Tx, scan: Scan) -> Scan:
        """For whoever takes it up next."""
        return replace(scan, lease_until=None, due_at=tx.now)

    def _lease(self, tx: Tx) -> datetime:
        return tx.now + timedelta(seconds=self._door.lease_s)

    # -- reading

    async def _read(self, scan: Scan) -> Scan:
        door, (asked_at, paused) = self._door, await self._store.run(self._before_a_page)
        if paused:
            return await self._step(scan, self._put_down)
        patience_s = max(1.0, self._until - self._clock.monotonic())
        try:
            with self._line(patience_s) as line:
                page = await door.connector.page(line, scan.cursor)
            rows = await self._count(page, patience_s)
        except LeadsyncError as error:
            return await self._step(scan, partial(self._failed, error=error))
        except Exception as error:  # a bug must not make a scan begin the same page for ever
            log.exception("scan_bug", remote=self._remote, scan=scan.id)
            bug = Transient(f"a bug in leadsync ({type(error).__name__}); see the log")
            return await self._step(scan, partial(self._failed, error=bug))
        # A page that repeats a list says the same of it twice.
        items = list({shown.remote_id: shown for shown in page.items}.values())
        *firsts, last = _chunks(items) or [()]
        for some in firsts:
            scan = await self._step(scan, partial(self._observe, items=some, asked_at=asked_at, rows=rows))
        return await self._step(scan, partial(self._turn, page=page, items=last, asked_at=asked_at, rows=rows))

    def _line(self, patience_s: float) -> Line:
        door = self._door
        return Line(
            door.wire,
            door.tickets,
            Lane.SCAN,
            door.connector.error,
            patience_s=patience_s,
            now=self._clock.monotonic,
        )

    async def _count(self, page: Page, patience_s: float) -> Mapping[str, int]:
        ids = await self._store.run(lambda tx: countable(tx, self._remote, page.items, self._rules))
        return await counted(ids, self._door.connector, partial(self._line, patience_s), self._door.max_in_flight)

    def _before_a_page(self, tx: Tx) -> tuple[datetime, bool]:
        return tx.now, tx.remote_state(self._remote).paused

    def _failed(self, tx: Tx, scan: Scan, error: LeadsyncError) -> Scan:
        """Go on at the same page later, or give up: lost access, and what does not pass, end the scan."""
        if isinstance(error, AccessLost):
            pause_remote(tx, self._remote, access_lost(error, self._remote))
            return self._end(tx, scan, ScanState.INCOMPLETE, f"access was lost: {error}")
        spent = isinstance(error, RateLimited | RedisAway)
        tries = scan.tries if spent else scan.tries + 1
        if tries >= MAX_TRIES:
            return self._end(tx, scan, ScanState.INCOMPLETE, f"given up after {tries} failed calls: {error}")
        wait_s = backoff.delay_s(max(1, tries), self._spread(), asked_for_s=getattr(error, "retry_after_s", None))
        due_at = tx.now + timedelta(seconds=wait_s)
        return replace(scan, lease_until=None, tries=tries, due_at=due_at, note=str(error))

    def _turn(
        self, tx: Tx, scan: Scan, page: Page, items: Sequence[Shown], asked_at: datetime, rows: Mapping[str, int]
    ) -> Scan:
        """With its last lists the page is taken in: turn to the next one, or judge what was found."""
        scan = self._observe(tx, scan, items, asked_at, rows)
        tx.scans.add_page(scan, [shown.remote_id for shown in page.items])
        chain = chained(scan.chain, scan.cursor)
        scan = replace(scan, pages=scan.pages + 1, chain=chain, cursor=page.next, tries=0, note="")
        if page.next is None:
            return self._judge(tx, scan)
        if tx.scans.was_read(scan.id, page.next):
            note = f"page {scan.pages} leads back to a page that was read before"
            return self._end(tx, scan, ScanState.INCOMPLETE, note)
        return scan

    def _judge(self, tx: Tx, scan: Scan) -> Scan:
        """All pages are read. Is it believed, or does a person decide? (design rule 8)"""
        seen = self._compare(tx, scan)
        missing, drift = len(seen.missing), tx.scans.count_findings(scan.id)
        scan = replace(scan, lists=seen.shown, missing=missing, drift=drift)
        tx.scans.supersede(self._remote)
        if seen.known and not seen.shown:
            return self._hold(tx, scan, f"{self._remote} shows no list at all; {seen.known} are known there")
        if self._rules.too_many(missing + drift, seen.known):
            told = (missing, "are no longer shown"), (drift, "were changed there")
            what = " and ".join(f"{count} {said}" for count, said in told if count)
            return self._hold(tx, scan, f"of {seen.known} known lists, {what}")
        return replace(scan, state=ScanState.TAKING)

    def _compare(self, tx: Tx, scan: Scan) -> _Compared:
        shown, known = tx.scans.shown(scan.id), tx.scans.linked(self._remote, scan.started_at)
        self._compared = _Compared(len(known), len(shown), [one for one in known if one not in shown])
        return self._compared

    def _hold(self, tx: Tx, scan: Scan, why: str) -> Scan:
        log.error("scan_held", remote=self._remote, scan=scan.id, why=why)
        return replace(scan, state=ScanState.HELD, note=why, ended_at=tx.now, lease_until=None)

    def _end(self, tx: Tx, scan: Scan, state: ScanState, note: str = "") -> Scan:
        tx.scans.forget(scan.id)
        tell = log.info if state is ScanState.COMPLETE else log.warning
        tell("scan_ended", remote=self._remote, scan=scan.id, state=state.value, note=note)
        return replace(scan, state=state, note=note, ended_at=tx.now, lease_until=None)

    # -- observing

    def _observe(self, tx: Tx, scan: Scan, items: Sequence[Shown], asked_at: datetime, rows: Mapping[str, int]) -> Scan:
        """Some lists of a page. What moves a known one is only noted, until the whole scan is believed."""
        # What an earlier page showed of these lists is out of date, whatever it was.
        tx.scans.taken(scan.id, [shown.remote_id for shown in items])
        self._meet(tx, items)
        items = some_news(tx, self._remote, items, rows, self._rules)
        looked = self._looked(tx, scan, [Finding(shown, asked_at) for shown in items])
        known = tx.find(self._keys(items))
        new = self._not_gone(tx, [shown for shown in items if (self._remote, shown.remote_id) not in known], asked_at)
        self._welcome(tx, scan, new, asked_at)
        found, changed, moved = list[Finding](), list[_Changed](), 0
        for shown in items:
            if shown.remote_id not in looked:
                continue
            before, seen = looked[shown.remote_id]
            copy, there = before.copies[self._remote], rows.get(shown.remote_id)
            after, recount = news_of(before, seen, self._rules), must_recount(tx, copy, there, self._rules)
            lost = has_lost(copy, there)
            if after is None and not lost:
                changed += [(before, to_read(before, self._remote, members=True), ())] if recount else []
                continue
            drift = after is not None and is_drift(before, after, self._remote, self._rules)
            # A finding waits until the scan is believed; a push that is due would meanwhile write over what it found.
            if is_overtaken(copy, seen, asked_at, self._rules) or (drift and copy.standing is Standing.DUE):
                moved += 1
                changed.append((before, to_read(returned(before, self._remote), self._remote, members=recount), ()))
            elif drift or lost:
                found.append(Finding(replace(shown, rows=there) if lost else shown, asked_at))
            elif after is not None:
                counted = to_read(after.lead_list, self._remote, members=True) if recount else after.lead_list
                changed.append((before, counted, after.changes))
        self._save(tx, changed)
        tx.scans.find(scan.id, found)
        return replace(scan, new=scan.new + len(new), moved=scan.moved + moved)

    def _not_gone(self, tx: Tx, items: Sequence[Shown], asked_at: datetime) -> list[Shown]:
        """Without lists that were found to be gone since the page was asked for."""
        gone = tx.scans.gone_since(self._keys(items)) if items else {}
        return [shown for shown in items if gone.get((self._remote, shown.remote_id), asked_at) <= asked_at]

    def _welcome(self, tx: Tx, scan: Scan, items: Sequence[Shown], asked_at: datetime) -> None:
        """Lists that nobody knew."""
        changed = list[_Changed]()
        for number, shown in zip(tx.create([shown.kind for shown in items]), items, strict=True):
            empty = LeadList(id=number, kind=shown.kind)
            copy = Copy(remote=self._remote, remote_id=shown.remote_id)
            seen = in_full(tx, as_seen(scan, shown, asked_at, self._rules), self._rules)
            observed = observe(replace(empty, copies={self._remote: copy}), seen, self._rules)
            changed.append((empty, observed.lead_list, observed.changes))
        self._save(tx, changed)

    def _keys(self, items: Iterable[Shown]) -> list[RemoteKey]:
        return [(self._remote, shown.remote_id) for shown in items]

    def _meet(self, tx: Tx, items: Iterable[Shown]) -> None:
        """Who members are, before anything is said of them."""
        people = [person for shown in items for person in shown.people]
        self._rung |= due_now(tx, take_in_people(tx, self._remote, people, self._rules))

    def _looked(self, tx: Tx, scan: Scan, findings: Sequence[Finding]) -> Looked:
        seen = {one.shown.remote_id: as_seen(scan, one.shown, one.asked_at, self._rules) for one in findings}
        return looked_at(tx, self._remote, seen, self._rules)

    def _save(self, tx: Tx, changed: Sequence[_Changed]) -> None:
        stood = stand(tx, [(before, after) for before, after, _ in changed], self._rules)
        tx.save(stood)
        for before, _, changes in changed:
            tx.note(before.id, changes)
        self._rung |= due_now(tx, [one for _, one in stood])

    # -- taking

    def _take(self, tx: Tx, scan: Scan) -> Scan:
        """Some findings; after the last one, lists that were not shown."""
        findings = tx.scans.findings(scan.id, _BATCH)
        if not findings:
            return self._doubt(tx, scan)
        self._meet(tx, [finding.shown for finding in findings])
        looked = self._looked(tx, scan, findings)
        changed, moved = list[_Changed](), 0
        for finding in findings:
            if finding.shown.remote_id not in looked:
                continue
            before, seen = looked[finding.shown.remote_id]
            read = partial(to_read, remote=self._remote, members=finding.shown.rows is not None)
            if is_overtaken(before.copies[self._remote], seen, finding.asked_at, self._rules):
                moved += 1
                changed.append((before, read(returned(before, self._remote)), ()))
                continue
            observed = observe(returned(before, self._remote), seen, self._rules)
            after = observed.lead_list if finding.shown.rows is None else read(observed.lead_list)
            changed.append((before, after, observed.changes))
        self._save(tx, changed)
        tx.scans.taken(scan.id, [finding.shown.remote_id for finding in findings])
        repaired = scan.repaired + len(changed) - moved
        return replace(scan, repaired=repaired, moved=scan.moved + moved)

    def _doubt(self, tx: Tx, scan: Scan) -> Scan:
        """Known lists that were not shown are read by id: absence is not deletion (design rule 8)."""
        missing = (self._compared or self._compare(tx, scan)).missing
        begin = bisect_right(missing, scan.cursor or "")
        undoubted = missing[begin : begin + _BATCH]
        if not undoubted:
            return replace(scan, state=ScanState.CHECKING, cursor=None)
        lists = tx.load(set(tx.find([(self._remote, one) for one in undoubted]).values()))
        self._save(tx, [(one, doubted(one, self._remote), ()) for one in lists.values()])
        return replace(scan, cursor=undoubted[-1])

    # -- checking

    def _check(self, tx: Tx, scan: Scan) -> Scan:
        """Complete once every list that was not shown has answered for itself."""
        if not tx.scans.count_doubted(self._remote):
            lacking = self._create(tx, scan)
            if lacking:
                return replace(scan, cursor=str(lacking[-1]))
            return self._end(tx, scan, ScanState.COMPLETE, scan.note)
        if scan.tries >= _CHECKS:
            note = "not every list that was not shown could be read by id in time"
            return self._end(tx, scan, ScanState.INCOMPLETE, note)
        return replace(scan, lease_until=None, tries=scan.tries + 1, due_at=tx.now + timedelta(seconds=_CHECK_S))

    def _create(self, tx: Tx, scan: Scan) -> list[int]:
        """What exists elsewhere is created here, where settings say so: some lists, until there are no more."""
        if not self._rules.remotes[self._remote].creates:
            return []
        lacking = tx.scans.lacking(self._remote, int(scan.cursor or 0), _BATCH)
        self._save(tx, [(one, one, ()) for one in tx.load(lacking).values()])
        return lacking


#: A list before, after, and what the ledger says of it.
_Changed = tuple[LeadList, LeadList, Sequence[Change]]


def _chunks(items: Sequence[Shown]) -> list[Sequence[Shown]]:
    return [items[start : start + _BATCH] for start in range(0, len(items), _BATCH)]
