"""What every history must have come to, whatever happened in it. Called with one that has come to rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from models.lead_list import GONE, SCALARS, Copy, Field, LeadList, Standing, Value
from models.ledger import Change, ChangeKind
from models.scan import ScanState
from worker.engine.rules import Direction, OnGone, Policy
from worker.simulation import member_judges
from worker.simulation.faults import Fault
from worker.simulation.history import History
from worker.simulation.remote import SimulatedRemote, Written, contradict, parts

#: Calls that a history may make for each list and each edit, in good times and bad; see `work_is_bounded`.
_CALLS_EACH, _CALLS_A_SECOND = 150, 8.0
#: What settings say, told apart from how the engine reads it.
_WRITTEN = frozenset({Direction.BOTH, Direction.PUSH})
_TAKEN = frozenset({Direction.BOTH, Direction.PULL})
#: Writes that one list may take on one remote: so many, and so many more for each edit of the history.
_WRITES, _WRITES_EACH = 12, 3


def complaints(one: History) -> list[str]:
    """Everything that is wrong, in sentences; empty for a history that ended well."""
    return [f"{judge.__name__.replace('_', ' ')}: {complaint}" for judge in JUDGES for complaint in judge(one)]


def all_are_equal(one: History) -> Iterator[str]:
    """Every remote that has a list and is written shows what is wanted."""
    for number in one.people.numbers:
        whole = one.witness.lead_list(number)
        if whole is None:
            if not _all_deleted(one, number):
                yield f"list {number} is not known any more"
            continue
        for difference in one.witness.differences(number, whole) if number not in one.witness.mistaken else ():
            yield f"list {number}: {difference}"


def no_edit_is_lost(one: History) -> Iterator[str]:
    """What only one side touched since the list was quiet is what it set there; else it is what one of them set."""
    for (number, what), edits in one.witness.touched.items():
        whole = one.witness.lead_list(number)
        if number in one.witness.mistaken or (number, what) in one.witness.excused:
            continue
        if whole is None or _was_deleted(one, number, edits):
            continue
        if isinstance(what, Field):
            now = whole.wanted[what].value
        else:
            now = what in whole.members and whole.members[what].wanted
        if now not in edits.values() and not _is_shown_so(one, what, now, edits):
            yield f"{what} of list {number} is {now!r} in the end, but people set it to {edits}"


def lists_are_there_once(one: History) -> Iterator[str]:
    """Nothing is created twice, nothing is left out where lists are created, and one list is one list everywhere."""
    tables = one.store.tables
    for number in one.people.numbers:
        if number in one.witness.mistaken:
            continue
        linked = set()
        for name, remote in one.remotes.items():
            there = remote.of(number)
            if len(there) > 1:
                yield f"list {number} is there {len(there)} times on {name}"
            linked |= {tables.links.get((name, shown.remote_id)) for shown in there}
            if not there and _is_missed(one, number, remote):
                yield f"list {number} was not created on {name}"
        if len(linked) > 1 and not one.counts[Fault.DELETES]:
            yield f"the copies of list {number} belong to different lists: {sorted(map(str, linked))}"


def names_are_their_own(one: History) -> Iterator[str]:
    """No list was ever given a value of another one."""
    for name, remote in one.remotes.items():
        for written in remote.writes:
            number = remote.born[written.remote_id]
            if "name" in written.body and str(written.body["name"]).split(maxsplit=1)[0] != number:
                yield f"{name}:{number} was told the name {written.body['name']!r}"


def gone_is_gone(one: History) -> Iterator[str]:
    """A list was deleted there, or nothing says so; and in the end all that was deleted is known to be gone."""
    deleted = {f"{name}:{remote_id}" for name, remote in one.remotes.items() for remote_id in remote.deleted}
    told = [change for _, change in one.store.tables.changes]
    said = {str(change.old) for change in told if change.kind is ChangeKind.GONE}
    for name in sorted(said - deleted):
        yield f"{name} was never deleted, but is said to be gone"
    known_there = {f"{remote}:{remote_id}" for remote, remote_id in one.store.tables.links}
    for name in sorted((deleted & known_there) - said):
        yield f"{name} was deleted, and nobody noticed"
    for name, remote in one.remotes.items():
        for remote_id in sorted(remote.deleted):
            held = one.rules.remotes[name].on_gone is OnGone.HOLD and f"{name}:{remote_id}" in said
            number = remote.born[remote_id]
            if number in one.witness.mistaken or _all_deleted(one, number):
                continue
            if held and f"{name}:{remote_id}" not in known_there:
                yield f"{name}:{remote_id} was let go, but is to be held"
    for change in told:
        if change.kind is ChangeKind.UNLINKED:
            yield f"{change.old} was unlinked, which nobody did"


def standings(one: History) -> Iterator[str]:
    """In sync, or parked for a reason; nothing else is left anywhere."""
    for whole in one.store.tables.lists.values():
        for copy in whole.copies.values():
            remote = one.remotes[copy.remote]
            name, expected = f"{copy.remote}:{copy.remote_id}", _standings(one, whole, copy, remote)
            if copy.standing not in expected:
                yield f"{name} stands at {copy.standing} ({copy.parked and copy.parked.cause})"
            deleted = copy.remote_id in remote.deleted
            if copy.standing is not Standing.PARKED and (
                copy.look or copy.intent or copy.absent or _may_be_undone(one, whole, copy)
            ):
                left = f"look {copy.look}, intent {copy.intent}, abandoned {copy.abandoned}, absent {copy.absent}"
                yield f"{name} has not come to rest: {left}"
            if deleted and copy.absent != GONE:
                yield f"{name} is deleted, but {sorted(copy.absent)} is all that is known of it"


def _may_be_undone(one: History, whole: LeadList, copy: Copy) -> bool:
    """A write of something else may still land there. One of what is wanted may too, and changes nothing."""
    fields = one.witness.unsettled(whole, copy)
    return any(field is Field.MEMBERS or copy.abandoned[field].value != whole.wanted[field].value for field in fields)


def no_idle_writes(one: History) -> Iterator[str]:
    """A write that changes nothing is only sent after one whose outcome was unclear, or when a person was faster."""
    for name, remote in one.remotes.items():
        for written in remote.writes:
            if written.idle and not _may_be_idle(one, remote, written):
                yield f"{name}: {written.body} changed nothing at {written.at:%H:%M:%S.%f}"


def no_idle_parts(one: History) -> Iterator[str]:
    """A write names nothing that is there already, with the same excuses."""
    for name, remote in one.remotes.items():
        for written in remote.writes:
            if written.idle or written.before is None or _may_be_idle(one, remote, written):
                continue
            for field in SCALARS:
                if field in written.body and written.before.fields.get(field) == written.body[field]:
                    yield f"{name}: {written.body} says {field}, which was so at {written.at:%H:%M:%S.%f}"
            if so := member_judges.idle_members(written):
                yield f"{name}: {written.body} names {so}, of whom it was so at {written.at:%H:%M:%S.%f}"


def rules_are_kept(one: History) -> Iterator[str]:
    """Only what settings let flow there was written, only what they let flow back was taken, and nothing that is to be
    held was decided by itself.
    """
    for name, remote in one.remotes.items():
        for written in remote.writes:
            members = {"members_added", "members_removed"} & written.body.keys()
            fields = [field for field in SCALARS if field in written.body] + ([Field.MEMBERS] if members else [])
            for field in fields:
                if one.rules.remotes[name].direction(field) not in _WRITTEN:
                    yield f"{name} was told {field}, which is not written there"
    for number, change in one.store.tables.changes:
        if change.field is None or change.origin not in one.rules.remotes:
            continue
        if change.kind is ChangeKind.WANTED and one.rules.remotes[change.origin].direction(change.field) not in _TAKEN:
            yield f"{change.field} of list {number} was taken from {change.origin}, where edits do not count"
        if change.kind is ChangeKind.CONFLICT and one.rules.policy(change.field) is Policy.HOLD:
            yield f"{change.field} of list {number} was decided by itself"


def nothing_echoes(one: History) -> Iterator[str]:
    """Once all is at rest, old news and news of it make no write."""
    for written in one.echoes:
        yield f"{written.body} was written when nothing was left to do"


def no_write_meets_another(one: History) -> Iterator[str]:
    """No other value was sent while a write to the same place could still land (design rule 5)."""
    for name, remote in one.remotes.items():
        landed = [flight for flight in remote.flights if flight.landed is not None]
        for number, first in enumerate(landed):
            for second in landed[number + 1 :]:
                if second.list_id != first.list_id or (first.landed or 0.0) <= second.left:
                    continue
                if len(remote.of(first.list_id)) > 1:  # one was made while another was told: two places
                    continue
                if contradict(first, second) and (name, first.list_id) not in one.witness.windows:
                    yield (
                        f"{name}:{first.list_id}: {first.body} left at {first.left:.2f} and landed at "
                        f"{first.landed:.2f}; {second.body} left meanwhile, at {second.left:.2f}"
                    )


def old_looks_do_not_count(one: History) -> Iterator[str]:
    """What a page showed before our own write was done is not taken for an edit after it (design rule 4)."""
    tables, begin = one.store.tables, one.loop.now() - timedelta(seconds=one.loop.time())
    for (list_id, change), noted_at in zip(tables.changes, tables.noted_at, strict=True):
        whole, name = tables.lists.get(list_id), change.origin
        if change.kind is not ChangeKind.WANTED or change.field not in SCALARS or not change.cause.startswith("scan"):
            continue
        if whole is None or name not in whole.copies or one.rules.remotes[name].versioned:
            continue
        number = one.remotes[name].born.get(whole.copies[name].remote_id, "")
        asked, noted = ((moment - begin).total_seconds() for moment in (change.stamp.time, noted_at))
        for flight in one.remotes[name].flights:
            if flight.list_id != number or flight.body.get(change.field, change.new) == change.new:
                continue
            landed, answered = flight.landed, flight.answered
            if landed is None or answered is None or not asked <= landed <= answered <= noted:
                continue
            if not _came_back(one, name, number, change, landed, noted):
                taken = f"{change.field} = {change.new!r}, asked for at {asked:.2f}, was taken in at {noted:.2f}"
                yield f"{name}:{number}: {taken}, after our own write of {landed:.2f}"


def writes_are_explained(one: History) -> Iterator[str]:
    """Every value that was sent was wanted at some time, as the ledger says, and the attempt is in the ledger."""
    tables = one.store.tables
    wanted = {(change.field, change.new) for _, change in tables.changes if change.field in SCALARS}
    sent = [(attempt.remote, parts(attempt.sent)) for attempt in tables.attempts if attempt.action != "read"]
    certain = not one.killed and not one.counts[Fault.STORE_AWAY] and not one.counts[Fault.COMMIT_UNKNOWN]
    for name, remote in one.remotes.items():
        for written in remote.writes:
            for field, value in written.body.items():
                if field in SCALARS and (Field(field), value) not in wanted:
                    yield f"{name}:{written.remote_id}: {field} = {value!r} was written, but never wanted"
            if certain and written.before is not None and not member_judges.is_told(name, written, sent):
                yield f"{name}:{written.remote_id}: {written.body} was written, but no attempt tells of it"


def brakes_held(one: History) -> Iterator[str]:
    """No scan took in more than the brake lets pass, unless a person released it."""
    lists = len(one.people.numbers)
    for scan in one.store.tables.scans.values():
        if scan.state is not ScanState.COMPLETE or scan.id in one.workers.released:
            continue
        moved = scan.drift + scan.missing
        if (moved > 10 and moved > one.rules.brake * lists) or (not scan.lists and scan.missing):
            yield f"scan {scan.id} of {scan.remote} took in too much: {scan}"


def holds_are_kept(one: History) -> Iterator[str]:
    """Nothing was written to what a person held."""
    yield from one.holder.broken


def limits_held(one: History) -> Iterator[str]:
    """No remote that counts strictly was ever called too often."""
    for name, remote in one.remotes.items():
        if remote.over:
            yield f"{name} was called too often {remote.over} times"


def bad_events_are_kept(one: History) -> Iterator[str]:
    """What could not be taken in is kept with its reason, and nothing else is."""
    reasons = [reject.reason for reject in one.store.tables.rejects.values()]
    # Workers that are killed again and again over one event make it look guilty: it is kept, as promised.
    suspects = sum("its worker died" in reason for reason in reasons) if one.killed else 0
    if not len(reasons) - suspects <= max(0, one.post.bad) <= len(reasons):
        yield f"{one.post.bad} events were bad, {len(reasons)} were rejected: {sorted(set(reasons))}"


def accepted_is_taken_in(one: History) -> Iterator[str]:
    """What an acknowledged event told was known before any scan came to find it."""
    yield from one.unheard


def nothing_leaks(one: History) -> Iterator[str]:
    """Every event was taken in, every ticket came back, and nothing is left over."""
    if one.post.log.pending:
        yield f"events were not acknowledged: {sorted(one.post.log.pending)}"
    for name, turnstile in one.turnstiles.items():
        if turnstile.out and not one.killed:
            yield f"{name}: {len(turnstile.out)} tickets were never given back"
    if one.store.tables.findings:
        yield f"findings are left: {sorted(one.store.tables.findings)}"


def work_is_bounded(one: History) -> Iterator[str]:
    """No list is written or called for again and again."""
    lists, edits = len(one.people.numbers), one.people.edits
    for name, remote in one.remotes.items():
        most = _CALLS_EACH * (lists + edits + 4) + _CALLS_A_SECOND * one.script.war_s
        if remote.calls > most:
            yield f"{name} was called {remote.calls} times"
        for number in one.people.numbers:
            writes = sum(remote.born[written.remote_id] == number for written in remote.writes)
            if writes > _WRITES + _WRITES_EACH * edits:
                yield f"{name}:{number} was written {writes} times after {edits} edits"


def numbers_add_up(one: History) -> Iterator[str]:
    """Upkeep finds nothing to mend, and nobody met a bug of leadsync."""
    if one.mismatches:
        yield f"{one.mismatches} copies did not stand as they should"
    tables = one.store.tables
    notes = [attempt.note for attempt in tables.attempts] + [scan.note for scan in tables.scans.values()]
    notes += [reject.reason for reject in tables.rejects.values()]
    yield from sorted({note for note in notes if "bug in leadsync" in note or "please report" in note})


JUDGES: tuple[Callable[[History], Iterator[str]], ...] = (
    all_are_equal,
    no_edit_is_lost,
    lists_are_there_once,
    names_are_their_own,
    gone_is_gone,
    standings,
    no_idle_writes,
    no_idle_parts,
    rules_are_kept,
    nothing_echoes,
    no_write_meets_another,
    old_looks_do_not_count,
    writes_are_explained,
    brakes_held,
    holds_are_kept,
    limits_held,
    bad_events_are_kept,
    accepted_is_taken_in,
    nothing_leaks,
    work_is_bounded,
    numbers_add_up,
    *member_judges.JUDGES,
)


def _is_shown_so(one: History, what: Field | str, now: Value, edits: dict[str, Value]) -> bool:
    """What is wanted is what a person set there, as that remote spells it."""
    if what is not Field.NAME:
        return False
    return any(
        one.remotes[name].habits.shows(what, now) == value for name, value in edits.items() if name in one.remotes
    )


def _came_back(one: History, name: str, number: str, change: Change, landed: float, noted: float) -> bool:
    """A person set this value once more, or an older write of ours landed late."""
    assert change.field is not None  # noqa: S101 - the caller asked; mypy cannot know
    edits = one.witness.edits.get((name, number, change.field), ())
    late = [
        (flight.landed, change.new)
        for flight in one.remotes[name].flights
        if flight.list_id == number and flight.landed is not None and flight.body.get(change.field) == change.new
    ]
    return any(landed <= at <= noted and value == change.new for at, value in (*edits, *late))


def _was_deleted(one: History, number: str, edits: dict[str, Value]) -> bool:
    """On a side whose edits count for it."""
    return any(
        remote.born[gone] == number
        for name in edits
        if name in one.remotes
        for remote in [one.remotes[name]]
        for gone in remote.deleted
    )


def _all_deleted(one: History, number: str) -> bool:
    return not any(remote.of(number) for remote in one.remotes.values())


def _is_missed(one: History, number: str, remote: SimulatedRemote) -> bool:
    """Settings say that it is to be there, and nobody took it away."""
    if not one.rules.remotes[remote.name].creates or number in remote.habits.refuses:
        return False
    return not one.counts[Fault.DELETES] and not _all_deleted(one, number)


def _standings(one: History, whole: LeadList, copy: Copy, remote: SimulatedRemote) -> set[Standing]:
    """Where a copy may stand in the end."""
    number = remote.born.get(copy.remote_id) or _number(one, whole)
    if copy.remote_id in remote.deleted:
        return {Standing.PARKED}
    # A name that is cut to what was shown before cannot be told from one that was ignored.
    rest = Standing.EXCLUDED if member_judges.excludes(one, whole, remote) else Standing.IN_SYNC
    if number in remote.habits.refuses or remote.habits.ignores or remote.habits.spell is not None:
        return {rest, Standing.PARKED}
    return {rest}


def _number(one: History, whole: LeadList) -> str:
    born = [one.remotes[copy.remote].born.get(copy.remote_id, "") for copy in whole.copies.values()]
    return next((number for number in born if number), "")


def _may_be_idle(one: History, remote: SimulatedRemote, written: Written) -> bool:
    number = remote.born[written.remote_id]
    if written.unclear or (remote.name, number) in one.witness.edited:
        return True
    # A worker that wakes up after its lease sends what another has sent meanwhile; who is kept off has its own judge.
    woken, kept_off = one.counts[Fault.PAUSED], member_judges.names_kept_off(remote, written)
    if remote.habits.ignores & written.body.keys() or woken or kept_off:
        return True
    # Until its spelling is known, a name may be told that it shows already.
    return remote.habits.spell is not None and "name" in written.body
