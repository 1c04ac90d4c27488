"""Creating: lists that a remote has no copy of. Called by push, before a create is sent, and by settle, after it.

No API here has idempotency keys, so nothing is created blindly (design rule 5).

- Never sent: it is sent once a complete scan has told what is there. Where a list of its name is there already, a
  person is asked.
- Sent, and its answer was lost: a list of its name that turns up is the one, and is taken up; of several, a person is
  asked. It is sent again when a complete scan, begun after it could no longer arrive, did not show one.

A list of the same name that is surely another one, because it is tied to another list on some remote, does not count.
Lists of one name are created one after the other, so that a lost answer leaves no doubt which is whose.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models.lead_list import PENDING, SCALARS, Copy, Field, LeadList, Parked, Seen, Stamp, Value, Waiting, with_copy
from models.ledger import Change, ChangeKind
from models.observation import Evidence, Observation
from models.patch import Patch
from models.scan import Trigger
from models.values import replace
from worker.engine.join import CannotJoin, join
from worker.engine.missing import nameable, without
from worker.engine.observe import as_shown, observe
from worker.engine.plan import plan, tried
from worker.engine.rules import OnGone, Rules
from worker.engine.spelling import learn
from worker.ports import Every, Tx
from worker.sync.schedule import begin

#: How often a copy that waits for a scan is looked at: seldom, when it has waited for long.
_LOOK_S, _SELDOM_S, _SHARE = 2.0, 60.0, 0.1

#: What a list was made with was shown there before anything that is shown afterwards.
_MADE = Stamp(datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Prepared:
    """The list as it may be claimed."""

    lead_list: LeadList
    #: Its create may be sent now.
    ready: bool = False
    #: Number of a list that turned out to be this one, and is no more.
    absorbed: int | None = None


@dataclass(frozen=True, slots=True)
class Born:
    """The list after its create was answered."""

    lead_list: LeadList
    changes: tuple[Change, ...]
    #: For the attempt.
    word: str
    #: Number of a list that turned out to be this one, and is no more.
    absorbed: int | None = None


def prepared(tx: Tx, lead_list: LeadList, copy: Copy, rules: Rules) -> Prepared:
    """The table above. `copy` is the pending one, with no call in flight."""
    lost = copy.abandoned.get(Field.NAME)
    if lost is None and not _meant(lead_list, copy, rules):
        return Prepared(without(lead_list, copy.remote))
    name = lost.value if lost else lead_list.wanted[Field.NAME].value
    there = [one for one in tx.scans.named(copy.remote, str(name)) if one != copy.remote_id]
    rivals = _rivals(tx, lead_list, copy.remote, there)
    if lost and len(rivals) == 1:
        [(number, other)] = rivals.items()
        absorbed = _absorb(tx, lead_list, copy, other, rules)
        if absorbed is not None:
            tx.note(lead_list.id, absorbed[1])
            return Prepared(absorbed[0], absorbed=number)
    another = lost is None and any(one.startswith(PENDING) for one in there)
    # One that may be made already waits for nobody: two of them would wait for each other.
    if another or (lost is None and _is_news_of_another(tx, lead_list, rules)):
        return Prepared(with_copy(lead_list, _queued(tx, copy)))
    if rivals:
        ids = [one.copies[copy.remote].remote_id for one in rivals.values()]
        return Prepared(with_copy(lead_list, _taken(tx, lead_list, copy, ids, rules)))
    if not _surely_lacking(tx, copy):
        return Prepared(with_copy(lead_list, _wait(tx, copy)))
    if not _meant(lead_list, copy, rules):
        return Prepared(without(lead_list, copy.remote))
    return Prepared(with_copy(lead_list, replace(copy, abandoned={}, look=False)), ready=True)


def born(tx: Tx, lead_list: LeadList, copy: Copy, shown: Observation, rules: Rules) -> Born:
    """The remote answered a create with the new list. A scan or an event may have told of it before its answer came."""
    key = (copy.remote, shown.remote_id)
    number = tx.find([key]).get(key)
    other = tx.load([number], {number: Every.MEMBER}).get(number) if number is not None else None
    free = replace(copy, lease_until=None, landed_at=tx.now)
    if other is None:
        made = _ignoring(_made(free, shown, rules), shown, rules)
        observed = observe(with_copy(without(lead_list, copy.remote), made), shown, rules)
        # What could not be said when it was made stays wanted, whatever the remote took instead.
        unsaid = {field: one for field, one in lead_list.wanted.items() if field not in _sent(copy)}
        after = replace(observed.lead_list, wanted={**observed.lead_list.wanted, **unsaid})
        changes = [change for change in observed.changes if change.field not in unsaid]
        return Born(after, (_created(tx, copy, shown.remote_id), *changes), "done")
    absorbed = _absorb(tx, lead_list, free, other, rules)
    if absorbed is None:
        parked = _taken(tx, lead_list, replace(free, intent=None), [shown.remote_id], rules)
        return Born(with_copy(lead_list, parked), (), "parked")
    observed = observe(absorbed[0], shown, rules)
    return Born(observed.lead_list, (*absorbed[1], *observed.changes), "done", absorbed=number)


# -- before it is sent


def _meant(lead_list: LeadList, copy: Copy, rules: Rules) -> bool:
    """Settings still say that the list is to be there."""
    remote_rules = rules.remotes[copy.remote]
    wished = remote_rules.creates or remote_rules.on_gone is OnGone.RECREATE
    return wished and nameable(lead_list, rules, copy.remote)


def _rivals(tx: Tx, lead_list: LeadList, remote: str, there: list[str]) -> dict[int, LeadList]:
    """Lists of its name there that may be this very list, by number."""
    real = [(remote, one) for one in there if not one.startswith(PENDING)]
    others = tx.load(set(tx.find(real).values())) if real else {}
    return {number: one for number, one in others.items() if remote in one.copies and _may_be_one(lead_list, one)}


def _may_be_one(one: LeadList, other: LeadList) -> bool:
    """Not when they are two lists on some remote, or of two kinds."""
    shared = one.copies.keys() & other.copies.keys()
    if any(not one.copies[remote].pending and not other.copies[remote].pending for remote in shared):
        return False
    return one.kind is None or other.kind is None or one.kind is other.kind


def _is_news_of_another(tx: Tx, lead_list: LeadList, rules: Rules) -> bool:
    """One of its copies may be what some other list's create is just making: then it is not a list of its own."""
    return any(
        one.startswith(PENDING) and one != copy.remote_id
        for copy in lead_list.copies.values()
        if not copy.pending and Field.NAME in copy.seen and copy.remote in rules.remotes
        for one in tx.scans.named(copy.remote, str(copy.seen[Field.NAME].value))
    )


def _surely_lacking(tx: Tx, copy: Copy) -> bool:
    """A complete scan has shown what is there; if a create of ours was lost, one begun when it could not arrive."""
    complete, lost = tx.scans.last_complete(copy.remote), copy.abandoned.get(Field.NAME)
    return complete is not None and (lost is None or complete.started_at > lost.until)


def _wait(tx: Tx, copy: Copy) -> Copy:
    """For a scan: the first one, or one begun after the create could no longer arrive."""
    lost, latest = copy.abandoned.get(Field.NAME), tx.scans.latest(copy.remote)
    if lost is not None and lost.until < tx.now and (latest is None or latest.started_at <= lost.until):
        begin(tx, copy.remote, Trigger.SCHEDULE)
    return _later(tx, copy, Waiting.READ_BACK if lost else Waiting.FIRST_SCAN)


def _queued(tx: Tx, copy: Copy) -> Copy:
    """Behind another create that is under way."""
    return _later(tx, copy, Waiting.READ_BACK if copy.look else Waiting.TURN)


def _later(tx: Tx, copy: Copy, waiting: Waiting) -> Copy:
    waited_s = (tx.now - (copy.since or tx.now)).total_seconds()
    look_s = min(max(waited_s * _SHARE, _LOOK_S), _SELDOM_S)
    return replace(copy, waiting=waiting, due_at=tx.now + timedelta(seconds=look_s))


def _taken(tx: Tx, lead_list: LeadList, copy: Copy, there: list[str], rules: Rules) -> Copy:
    """A list of this name exists. Whether it is the same one, only a person knows."""
    own, real = _name(copy.remote, copy.remote_id), (one for one in lead_list.copies.values() if not one.pending)
    ours = next((_name(one.remote, one.remote_id) for one in real), own)
    names = [_name(copy.remote, one) for one in sorted(there)[:3]]
    step = (
        f"if it is the same list: leadsync link {ours} {names[0]}; "
        f"if it is another: rename one of the two, then leadsync parked retry {own}; "
        f"if it is not to be there: leadsync unlink {own}"
    )
    patch = plan(lead_list, replace(copy, look=False), rules.remotes[copy.remote], tx.now).patch
    cause = f"{copy.remote} has a list of this name already: {' '.join(names)}"
    return replace(copy, parked=Parked(cause, step, tried(lead_list.kind, copy, patch)))


# -- after it was sent


def _absorb(
    tx: Tx, lead_list: LeadList, copy: Copy, other: LeadList, rules: Rules
) -> tuple[LeadList, tuple[Change, ...]] | None:
    """With `other`, which turned out to be the list that was created; None when it has other copies of its own.

    What it was made with is no edit there; what it shows beyond that is news like any other.
    """
    loaded = tx.load([lead_list.id, other.id], dict.fromkeys((lead_list.id, other.id), Every.MEMBER))
    whole, other = replace(lead_list, members=loaded[lead_list.id].members), loaded[other.id]
    there = other.copies[copy.remote]
    shown = [_as_shown(there, field, seen) for field, seen in there.seen.items() if field in SCALARS]
    made = _made(copy, _all(there, shown), rules)
    # Empty, though it was told a value: more likely not taken than emptied by a person since. It is told again.
    made = _ignoring(made, _all(there, [one for one in shown if None in one.fields.values()]), rules)
    base = replace(there, seen={**made.seen, **_floor(there)}, spelling={**there.spelling, **made.spelling})
    rest = replace(
        other,
        copies={**other.copies, copy.remote: base},
        wanted={field: one for field, one in other.wanted.items() if one.origin != copy.remote},
    )
    try:
        joined = join(without(whole, copy.remote), rest, rules)
    except CannotJoin:
        return None
    after, changes = joined.lead_list, [_created(tx, copy, there.remote_id), *joined.changes]
    for one in shown:
        observed = observe(after, one, rules)
        after, changes = observed.lead_list, [*changes, *observed.changes]
    tx.drop(other.id, lead_list.id)
    return after, tuple(changes)


def _made(copy: Copy, shown: Observation, rules: Rules) -> Copy:
    """The copy of a list that was just created, as it was told to be: where it shows that at all."""
    sent = {field: value for field, value in _sent(copy).items() if field in shown.fields}
    new = Copy(remote=copy.remote, remote_id=shown.remote_id, fence=copy.fence, landed_at=copy.landed_at)
    spelling = learn(new, Patch(sent), shown, rules.remotes[copy.remote])
    return replace(new, seen={field: Seen(value, _MADE) for field, value in sent.items()}, spelling=spelling)


def _ignoring(made: Copy, shown: Observation, rules: Rules) -> Copy:
    """What the remote did not take when it made the list is nobody's edit: it is told again."""
    remote_rules = rules.remotes[made.remote]
    ignored = {
        field: Seen(shown.fields[field], _MADE)
        for field, seen in made.seen.items()
        if field in shown.fields and shown.fields[field] != as_shown(made, field, seen.value, remote_rules)
    }
    return replace(made, seen={**made.seen, **ignored}) if ignored else made


def _sent(copy: Copy) -> Mapping[Field, Value]:
    """What the create said."""
    if copy.intent is not None:
        return copy.intent.patch.fields
    return {field: one.value for field, one in copy.abandoned.items()}


def _floor(copy: Copy) -> dict[Field, Seen]:
    return {field: seen for field, seen in copy.seen.items() if field is Field.MEMBERS}


def _as_shown(copy: Copy, field: Field, seen: Seen) -> Observation:
    """What the copy showed last of one field."""
    return Observation(
        remote=copy.remote,
        remote_id=copy.remote_id,
        stamp=seen.stamp,
        evidence=Evidence.READ,
        cause="on_missing",
        fields={field: seen.value},
    )


def _all(copy: Copy, shown: list[Observation]) -> Observation:
    fields = {field: value for one in shown for field, value in one.fields.items()}
    return replace(_as_shown(copy, Field.NAME, Seen(None, _MADE)), fields=fields)


def _created(tx: Tx, copy: Copy, remote_id: str) -> Change:
    return Change(
        kind=ChangeKind.CREATED,
        field=None,
        old=None,
        new=f"{copy.remote}:{remote_id}",
        origin=copy.remote,
        stamp=Stamp(tx.now),
        cause="on_missing",
    )


def _name(remote: str, remote_id: str) -> str:
    """As a command takes it."""
    return shlex.quote(f"{remote}:{remote_id}")
