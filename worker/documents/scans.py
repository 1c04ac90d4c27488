"""The documents of `leadsync scan` and `leadsync scans`: the certificate of a scan, and what a person is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from models.scan import UNDER_WAY, Scan, ScanState
from worker.documents.lists import PageDocument, as_page, cursor_number
from worker.store.views import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanDocument:
    """One scan: what it has counted so far, or its certificate when it has ended."""

    id: int
    remote: str
    state: str
    #: What began it: schedule, nudge or person.
    trigger: str
    started_at: datetime
    ended_at: datetime | None
    pages: int
    #: Digest of their cursors, in order.
    chain: str
    lists: int
    #: Lists that nobody knew.
    new: int
    #: Known lists that showed other values than they last had; `repaired` of them were taken in.
    drift: int
    repaired: int
    #: Lists that our own calls moved meanwhile, and that are read again.
    moved: int
    #: Known lists that were not shown; `gone` of them were answered 404 by id.
    missing: int
    gone: int
    #: Why it is held, ended early, or waits.
    note: str
    #: What a person can do, when there is something.
    next_step: str | None

    @property
    def ended(self) -> bool:
        """It goes on no more, unless a person lets it."""
        return ScanState(self.state) not in UNDER_WAY

    @property
    def needs_a_person(self) -> bool:
        """Somebody should look: it found the remote otherwise than it should be, or did not see all of it."""
        return self.ended and (self.state != ScanState.COMPLETE or self.drift + self.gone > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldScan:
    """A scan that waits for a person."""

    id: int
    reason: str
    next_step: str


def scan_document(scan: Scan) -> ScanDocument:
    """What people see of a scan."""
    return ScanDocument(
        id=scan.id,
        remote=scan.remote,
        state=scan.state.value,
        trigger=scan.trigger.value,
        started_at=scan.started_at,
        ended_at=scan.ended_at,
        pages=scan.pages,
        chain=scan.chain,
        lists=scan.lists,
        new=scan.new,
        drift=scan.drift,
        repaired=scan.repaired,
        moved=scan.moved,
        missing=scan.missing,
        gone=scan.gone,
        note=scan.note,
        next_step=_next_step(scan),
    )


def held_scan(scan: Scan | None) -> HeldScan | None:
    """What `status` shows of it."""
    return None if scan is None else HeldScan(id=scan.id, reason=scan.note, next_step=_decide(scan))


def question(scan: Scan, *, release: bool) -> str:
    """What a decision would do, counted."""
    what = f"scan {scan.id} of {scan.remote}: {scan.drift} lists"
    if release:
        return f"{what} will change to what it showed, {scan.missing} that it did not show will be looked for by id"
    return f"{what} that it found changed and {scan.missing} that it did not show will stay as they are known"


async def scans(views: Views, remote: str | None, *, limit: int, after: str | None) -> PageDocument[ScanDocument]:
    """The newest first."""
    before = cursor_number(after) or None
    found = await asyncio.to_thread(views.look, lambda view: view.scans.newest(remote, limit, before))
    return as_page(found, limit, scan_document, lambda scan: str(scan.id))


def _next_step(scan: Scan) -> str | None:
    if scan.state is ScanState.HELD:
        return _decide(scan)
    if scan.state is ScanState.INCOMPLETE:
        return f"leadsync status says whether {scan.remote} is paused; then: leadsync scan {scan.remote} --wait"
    if scan.gone:
        return f"what is gone is parked, unless on_gone says otherwise: leadsync parked list --remote {scan.remote}"
    return None


def _decide(scan: Scan) -> str:
    return (
        f"see whether {scan.remote} is as it should be; "
        f"then leadsync scans release {scan.id}, or leadsync scans refuse {scan.id}"
    )
