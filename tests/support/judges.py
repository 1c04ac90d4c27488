"""What every history must have come to, whatever happened in it. Called with a simulation that has come to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from models.lead_list import GONE, SCALARS, Field, Standing
from models.ledger import ChangeKind
from models.scan import ScanState
from tests.support.simulation import Simulation


def complaints(one: Simulation) -> list[str]:
    """Everything that is wrong, in sentences; empty for a history that ended well."""
    return [complaint for judge in JUDGES for complaint in judge(one)]


def all_are_equal(one: Simulation) -> Iterator[str]:
    """Every remote that still has a list shows what is wanted."""
    for number in one.numbers:
        whole = one.lead_list(number)
        if whole is None:
            yield f"list {number} is not known any more"
        elif not one.equal(number, whole):
            wanted = {field.value: wanted.value for field, wanted in whole.wanted.items()}
            shown = {name: remote.lists.get(number) for name, remote in one.remotes.items()}
            yield f"list {number} is not equal everywhere: wanted {wanted}, shown {shown}"


def no_edit_is_lost(one: Simulation) -> Iterator[str]:
    """What only one side touched since the list was quiet is what it set there; else it is what one of them set."""
    for (number, what), edits in one.touched.items():
        whole = one.lead_list(number)
        if (number, what) in one.excused:
            continue
        if whole is None or any(number in one.remotes[remote].deleted for remote in edits):
            continue
        if isinstance(what, Field):
            now = whole.wanted[what].value
        else:
            now = what in whole.members and whole.members[what].wanted
        if now not in edits.values():
            yield f"{what} of list {number} is {now!r} in the end, but people set it to {edits}"


def gone_is_gone(one: Simulation) -> Iterator[str]:
    """A list was deleted there, or nothing says so; and in the end all that was deleted is known to be gone."""
    deleted = {f"{name}:{number}" for name, remote in one.remotes.items() for number in remote.deleted}
    said = {str(c.old) for _, c in one.store.tables.changes if c.kind is ChangeKind.GONE}
    for name in said - deleted:
        yield f"{name} was never deleted, but is said to be gone"
    for name in deleted - said:
        yield f"{name} was deleted, and nobody noticed"
    for _, change in one.store.tables.changes:
        if change.kind is ChangeKind.UNLINKED:
            yield f"{change.old} was unlinked"


def standings(one: Simulation) -> Iterator[str]:
    """In sync, or parked because it is gone; nothing else is left anywhere."""
    for whole in one.store.tables.lists.values():
        for copy in whole.copies.values():
            name, deleted = f"{copy.remote}:{copy.remote_id}", copy.remote_id in one.remotes[copy.remote].deleted
            if copy.standing is not (Standing.PARKED if deleted else Standing.IN_SYNC):
                yield f"{name} stands at {copy.standing} ({copy.parked})"
            if not deleted and (copy.look or copy.intent or copy.absent or one.unsettled(whole, copy)):
                left = f"look {copy.look}, intent {copy.intent}, abandoned {copy.abandoned}, absent {copy.absent}"
                yield f"{name} has not come to rest: {left}"
            if deleted and copy.absent != GONE:
                yield f"{name} is deleted, but {copy.absent} is all that is known of it"


def no_idle_writes(one: Simulation) -> Iterator[str]:
    """A write that changes nothing is only sent after one whose outcome was unclear, or when a person was faster."""
    for name, remote in one.remotes.items():
        for written in remote.writes:
            if written.idle and not written.unclear and not one.faster(name, written):
                yield f"{name}: {written.body} changed nothing at {written.at}"


def nothing_echoes(one: Simulation) -> Iterator[str]:
    """Once all is at rest, news of it makes no write."""
    for written in one.echoes:
        yield f"{written.body} was written when nothing was left to do"


def writes_are_explained(one: Simulation) -> Iterator[str]:
    """Every value that was sent was wanted at some time, as the ledger says, and the attempt is in the ledger."""
    fields = [(number, change) for number, change in one.store.tables.changes if change.field in SCALARS]
    wanted = {(number, change.field, change.new) for number, change in fields}
    links, attempts = one.store.tables.links, one.store.tables.attempts
    sent = {(attempt.list_id, attempt.remote, str(attempt.sent)) for attempt in attempts if attempt.action == "patch"}
    for name, remote in one.remotes.items():
        for written in remote.writes:
            number = links[name, written.remote_id]
            for field, value in written.body.items():
                if field in tuple(Field) and (number, Field(field), value) not in wanted:
                    yield f"{name}:{written.remote_id}: {field} = {value!r} was written, but never wanted"
            if not one.killed and (number, name, str(written.body)) not in sent:
                yield f"{name}:{written.remote_id}: {written.body} was written, but no attempt tells of it"


def brakes_held(one: Simulation) -> Iterator[str]:
    """No scan took in more than the brake lets pass, unless a person released it."""
    for scan in one.store.tables.scans.values():
        if scan.state is not ScanState.COMPLETE or scan.id in one.released:
            continue
        moved = max(scan.drift, scan.missing)
        if (moved > 10 and moved > 0.3 * len(one.numbers)) or not scan.lists:
            yield f"scan {scan.id} of {scan.remote} took in too much: {scan}"


def nothing_leaks(one: Simulation) -> Iterator[str]:
    """Every ticket came back, every event was taken in, and no two calls of ours for one list overlapped."""
    if one.store.tables.rejects or one.log.pending:
        yield f"events are left: {one.store.tables.rejects} {one.log.pending}"
    for name, tickets in one.tickets.items():
        if tickets.out:
            yield f"{name}: tickets were never given back: {tickets.out}"
    if one.store.tables.findings:
        yield f"findings are left: {sorted(one.store.tables.findings)}"


JUDGES: tuple[Callable[[Simulation], Iterator[str]], ...] = (
    all_are_equal,
    no_edit_is_lost,
    gone_is_gone,
    standings,
    no_idle_writes,
    nothing_echoes,
    writes_are_explained,
    brakes_held,
    nothing_leaks,
)
