"""`leadsync scan` and `leadsync scans list | release | refuse`: reading a whole remote, and what a person decides."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.asking import Yes, confirm
from worker.cli.lists import After, Limit, next_page
from worker.cli.output import Json, say
from worker.cli.render import cell, line, show, table

if TYPE_CHECKING:
    from models.scan import Scan
    from worker.cli.opening import Desk
    from worker.documents.lists import PageDocument
    from worker.documents.scans import ScanDocument
    from worker.ports import RemoteState

scans = typer.Typer(help="Scans and their certificates.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="ID", min=1, max=2**62)]

#: How often a scan that is waited for is looked at, and after how long without a worker that is said.
_LOOK_S = 0.2
_PATIENCE_S = 10.0


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(scan)
    app.add_typer(scans, name="scans")


def scan(
    remote: Annotated[str, typer.Argument()],
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended; prints its certificate.")] = False,
    json: Json = False,
) -> None:
    """Read every list of a remote now, and take in what no event told of. Joins the scan that is under way."""
    from worker.cli.opening import at_desk, ring_scan
    from worker.documents.scans import scan_document
    from worker.sync.operate import known
    from worker.sync.schedule import ask

    with at_desk() as desk:
        runtime = desk.runtime
        known(remote, runtime.registry.rules)
        asked = runtime.run(desk.store.run(lambda tx: ask(tx, remote)))
        ring_scan(runtime, remote)
        found = scan_document(_followed(desk, asked) if wait else asked)
    show(found, _certificate if wait else _begun, json=json, look=wait and found.needs_a_person)


@scans.command(name="list")
def list_scans(
    *,
    remote: Annotated[str | None, typer.Option(help="Those of this remote.")] = None,
    limit: Limit = 50,
    after: After = None,
    json: Json = False,
) -> None:
    """Each with what it found, the newest first."""
    from worker.cli.opening import at_desk
    from worker.documents import scans as documents

    with at_desk() as desk:
        page = desk.runtime.run(documents.scans(desk.views, remote, limit=limit, after=after))
        held = desk.views.look(lambda view: view.scans.held())
    show(page, _lines, json=json, look=any(remote in (None, one) for one in held))


@scans.command()
def release(number: Number, *, yes: Yes = False, json: Json = False) -> None:
    """Let a held scan go on: what it found is taken in."""
    _decide(number, release=True, yes=yes, json=json)


@scans.command()
def refuse(number: Number, *, yes: Yes = False, json: Json = False) -> None:
    """Take nothing in of what a held scan found. The next scan looks again."""
    _decide(number, release=False, yes=yes, json=json)


def _decide(number: int, *, release: bool, yes: bool, json: bool) -> None:
    from worker.cli.opening import at_desk, ring_scan
    from worker.documents.scans import question, scan_document
    from worker.sync.schedule import decide, held

    with at_desk() as desk:
        runtime = desk.runtime
        waiting = runtime.store.run_now(lambda tx: held(tx, number))
        confirm(question(waiting, release=release), waiting.drift + waiting.missing, yes=yes)
        decided = runtime.run(desk.store.run(lambda tx: decide(tx, number, release=release)))
        if release:
            ring_scan(runtime, decided.remote)
    word = "goes on" if release else "is refused"
    show(scan_document(decided), lambda one: line(f"scan {one.id} of {one.remote} {word}"), json=json)


def _followed(desk: Desk, asked: Scan) -> Scan:
    """The same scan when it has ended. Says on stderr how it goes on, and why it does not."""
    from models.scan import UNDER_WAY
    from worker.errors import NotPossible

    follower, now = _Follower(asked), asked
    while now.state in UNDER_WAY:
        state = desk.views.look(lambda view: view.remote_states()).get(now.remote)
        follower.look(now, state)
        time.sleep(_LOOK_S)
        found = desk.views.look(lambda view: view.scans.get(asked.id))
        if found is None:
            raise NotPossible(f"scan {asked.id} is no longer there; was the database replaced?")
        now = found
    return now


class _Follower:
    """Says each thing once."""

    def __init__(self, asked: Scan) -> None:
        self._asked, self._until = asked, time.monotonic() + _PATIENCE_S
        #: Nobody has it in hand, nor had since we look.
        self._alone = asked.lease_until is None
        self._told: set[str] = set()

    def look(self, now: Scan, remote: RemoteState | None) -> None:
        """How the scan stands, and its remote."""
        note = f"; {now.note}" if now.note else ""
        self._say(f"scan {now.id} of {now.remote} is {now.state}: {now.pages} pages, {now.new} new lists{note}")
        self._alone = self._alone and now.fence == self._asked.fence
        if remote is not None and remote.paused:
            self._say(f"{now.remote} is paused: {remote.cause}; its scan goes on after: leadsync resume {now.remote}")
        elif self._alone and time.monotonic() > self._until:
            self._say(f"no worker takes scan {now.id} up: is one running? leadsync up starts all; waiting goes on")

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            say(f"leadsync: {text}")


def _begun(found: ScanDocument) -> None:
    line(f"scan {found.id} of {found.remote} is under way; leadsync scan {found.remote} --wait follows it")


def _certificate(found: ScanDocument) -> None:
    line(f"scan {found.id} of {found.remote}: {found.state}{f', {found.note}' if found.note else ''}")
    counts = ("lists", "new", "drift", "repaired", "moved", "missing", "gone")
    for name in ("pages", "chain", *counts, "started_at", "ended_at"):
        line(f"    {name.removesuffix('_at'):9}{cell(getattr(found, name))}")
    if found.next_step:
        line(f"    next: {found.next_step}")


def _lines(page: PageDocument[ScanDocument]) -> None:
    counts = ("pages", "lists", "new", "drift", "repaired", "missing", "gone")
    table(
        ["id", "remote", "state", "trigger", "started", *counts, "note"],
        [
            [o.id, o.remote, o.state, o.trigger, o.started_at, *(getattr(o, name) for name in counts), o.note or None]
            for o in page.items
        ],
    )
    for one in page.items:
        if one.state == "held":
            line(f"scan {one.id}: {one.next_step}")
    next_page(page.next)
