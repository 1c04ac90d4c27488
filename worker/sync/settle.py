"""Settle: an outcome becomes state: what was shown, what is due, and the ledger. Called by push.

What an error means is told by `worker.sync.outcomes`; who the members of an answer are, by `worker.sync.membership`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from models.lead_list import NOBODY, Abandoned, Copy, Field, LeadList, Parked, Standing, Value, Waiting, with_copy
from models.ledger import Attempt, Change
from models.observation import MembersSeen, Observation
from models.outcome import Done, Later, NotFound, Park, PauseRemote
from models.patch import Patch
from models.values import replace
from worker.engine import backoff, spelling
from worker.engine.observe import News, Observed, news, observe
from worker.engine.plan import plan, tried
from worker.engine.rules import RemoteRules, Rules
from worker.ports import Every, RemoteState, Tx
from worker.sync.creating import born
from worker.sync.gone import not_found
from worker.sync.identity import keys_of
from worker.sync.membership import held_off, in_full, in_short, members_named, overwritten
from worker.sync.outcomes import Claim, Flown, look_first, name_of
from worker.sync.stand import stand, take_in_people
from worker.sync.traces import landed

log = structlog.get_logger(__name__)


def pause_remote(tx: Tx, remote: str, outcome: PauseRemote) -> None:
    """Send nothing there until a person resumes it."""
    if tx.remote_state(remote).paused:
        return  # one alert, not one for each call in flight
    log.error("remote_paused", remote=remote, cause=outcome.cause, next_step=outcome.next_step)
    tx.set_remote_state(remote, RemoteState(True, outcome.cause, outcome.next_step, tx.now))


def land(tx: Tx, flown: list[Flown], rules: Rules, *, late_write_s: float) -> None:
    """Write the outcomes of calls: what was shown, what is due, and the ledger. One transaction."""
    flown, lists = _in_keys(tx, flown, rules)
    before, attempts = dict(lists), list[Attempt]()
    # Creates first: one of the other lists may turn out to be what was created.
    for one in sorted(flown, key=lambda one: not one.claim.creates):
        lead_list = lists.get(one.claim.list_id)
        copy = lead_list.copies.get(one.claim.copy.remote) if lead_list else None
        if lead_list is None or copy is None or not _is_claimed(copy, one.claim):
            attempts.append(_attempt(one, tx.now, "stale"))
            continue
        if isinstance(one.outcome, PauseRemote):
            pause_remote(tx, copy.remote, one.outcome)
        if one.claim.creates and isinstance(one.outcome, Done) and one.outcome.shown is not None:
            new = born(tx, lead_list, copy, one.outcome.shown, rules)
            lead_list, changes, word = new.lead_list, new.changes, new.word
            lists.pop(new.absorbed or 0, None)
        else:
            lead_list, changes, word = _apply(lead_list, copy, one, rules, tx.now, late_write_s)
        if word == "gone":
            tx.scans.found_gone(copy.remote, copy.remote_id)
        lists[one.claim.list_id] = lead_list
        tx.note(lead_list.id, changes)
        landed(tx, one, lead_list.id, changes)
        attempts.append(_attempt(one, tx.now, word))
    tx.save(stand(tx, [(before[number], one) for number, one in lists.items()], rules))
    tx.attempted(attempts)


def _is_claimed(copy: Copy, claim: Claim) -> bool:
    """Still that very claim: nobody took the copy up since, and the list is not tied to another one there."""
    return (copy.fence, copy.remote_id) == (claim.fence, claim.copy.remote_id)


def _in_keys(tx: Tx, flown: Sequence[Flown], rules: Rules) -> tuple[list[Flown], dict[int, LeadList]]:
    """The outcomes with keys in the place of ids, and the lists with all members that they speak of: of a list that is
    not there, what was known may have to be forgotten; and one that was created may have to be joined with another.
    """
    for one in flown:
        if isinstance(one.outcome, Done) and one.outcome.shown is not None and one.outcome.shown.people:
            take_in_people(tx, one.claim.copy.remote, one.outcome.shown.people, rules)
    whole = {one.claim.list_id for one in flown if isinstance(one.outcome, NotFound) or one.claim.creates}
    needed: dict[int, frozenset[str] | Every] = {one.claim.list_id: _members_named(tx, one, rules) for one in flown}
    lists = tx.load(needed, {**needed, **dict.fromkeys(whole, Every.MEMBER)})
    flown = [_as_known_now(one, lists.get(one.claim.list_id)) for one in flown]
    told = [_told_in_keys(tx, one, lists.get(one.claim.list_id), rules, full=one.claim.creates) for one in flown]
    more = {one.claim.list_id for one, in_keys in zip(flown, told, strict=True) if in_keys is None} - whole
    lists |= tx.load(more, dict.fromkeys(more, Every.MEMBER))
    full = [
        in_keys or _told_in_keys(tx, one, lists.get(one.claim.list_id), rules, full=True)
        for one, in_keys in zip(flown, told, strict=True)
    ]
    return [one for one in full if one is not None], lists


def _as_known_now(one: Flown, lead_list: LeadList | None) -> Flown:
    """Members that were sent may have turned out to be others while they were on their way."""
    copy = lead_list.copies.get(one.claim.copy.remote) if lead_list else None
    if copy is None or copy.intent is None or one.claim.patch is None or not _is_claimed(copy, one.claim):
        return one
    return replace(one, claim=replace(one.claim, patch=copy.intent.patch))


def _members_named(tx: Tx, one: Flown, rules: Rules) -> frozenset[str]:
    patch, outcome = one.claim.patch or Patch(), one.outcome
    shown = [outcome.shown] if isinstance(outcome, Done) and outcome.shown is not None else []
    return patch.add | patch.remove | members_named(tx, shown, rules)


def _told_in_keys(tx: Tx, one: Flown, lead_list: LeadList | None, rules: Rules, *, full: bool) -> Flown | None:
    """None when more members must be loaded for it."""
    outcome, remote = one.outcome, one.claim.copy.remote
    if not isinstance(outcome, Done) or lead_list is None or remote not in lead_list.copies:
        return one
    seen = [(outcome.before, None), (outcome.shown, one.claim.patch)]
    said = [
        shown and (in_full(tx, shown, rules) if full else in_short(tx, shown, lead_list, rules, patch))
        for shown, patch in seen
    ]
    if any(shown is not None and news is None for (shown, _), news in zip(seen, said, strict=True)):
        return None
    keys = keys_of(tx, remote, outcome.refused, rules)
    why = {keys[one]: reason for one, reason in outcome.refused.items()}
    return replace(one, outcome=Done(said[1], said[0], why))


def abandon(copy: Copy, late_write_s: float) -> Copy:
    """The call in flight has no known outcome: a write may land until `late_write_s` after it was sent. Look first."""
    if copy.intent is None:
        return copy
    until, patch = copy.intent.sent_at + timedelta(seconds=late_write_s), copy.intent.patch
    abandoned = {field: _given_up(copy, field, value, until) for field, value in patch.fields.items()}
    if patch.add or patch.remove:
        abandoned[Field.MEMBERS] = Abandoned(None, until, patch.add, patch.remove)
    return replace(copy, intent=None, abandoned={**copy.abandoned, **abandoned}, look=True)


def _given_up(copy: Copy, field: Field, value: Value, until: datetime) -> Abandoned:
    """Once more, where an earlier write of the same value may still land too."""
    earlier = copy.abandoned.get(field)
    return Abandoned(value, until, times=earlier.times + 1 if earlier and earlier.value == value else 1)


def _apply(
    lead_list: LeadList, copy: Copy, one: Flown, rules: Rules, now: datetime, late_write_s: float
) -> tuple[LeadList, tuple[Change, ...], str]:
    """The list after one outcome, what the ledger says of it, and the word for the attempt."""
    free = replace(copy, lease_until=None, landed_at=now)
    match one.outcome:
        case Done(shown=None):
            return _unproven(lead_list, free, now, late_write_s)
        case Done(shown=shown, before=None, refused=refused) if shown is not None:
            held_back = held_off(with_copy(lead_list, free), copy.remote, refused)
            return _shown(held_back, free, one.claim, shown, rules, now, late_write_s)
        case Done(shown=shown, before=before) if shown is not None and before is not None:
            read = observe(with_copy(lead_list, free), before, rules)
            written = overwritten(read.lead_list, before, shown)
            there = written.copies[copy.remote]
            after, changes, word = _shown(written, there, one.claim, shown, rules, now, late_write_s)
            return after, (*read.changes, *changes), word
        case Later() as later:
            ended = abandon(free, late_write_s) if later.unclear else _unsent(free, one.claim)
            waiting = _later(ended, later, now)
            return with_copy(lead_list, waiting), (), "unclear" if later.unclear else "later"
        case Park(cause=cause, next_step=next_step):
            # Of all of it: refused in part, the whole would count as another chance, again and again.
            digest = tried(one.claim.kind, free, one.claim.part_of or one.claim.patch) if one.claim.patch else ""
            parked = replace(_unsent(free, one.claim), parked=Parked(cause, next_step, digest))
            if one.claim.patch is None:
                parked = replace(parked, absent=frozenset())  # whatever the answer was, it was no 404
            return with_copy(lead_list, parked), (), "parked"
        case NotFound():
            return not_found(lead_list, _unsent(free, one.claim), rules, now)
        case _:
            return with_copy(lead_list, _unsent(free, one.claim)), (), "paused"


def _unsent(copy: Copy, claim: Claim) -> Copy:
    """The call surely did nothing: what was to be read is still to be read."""
    return replace(copy, intent=None, look=copy.look or claim.patch is None)


def _shown(
    lead_list: LeadList,
    copy: Copy,
    claim: Claim,
    shown: Observation,
    rules: Rules,
    now: datetime,
    late_write_s: float,
) -> tuple[LeadList, tuple[Change, ...], str]:
    """The remote showed the list: after a read, or as the answer to our patch."""
    if _contradicts(copy, shown):
        return with_copy(lead_list, _read_again(copy, now)), (), "stale"
    if claim.patch is None:
        return _read(lead_list, copy, claim, shown, rules)
    if _hides_members(claim.patch, lead_list, copy, shown) or not claim.patch.fields.keys() <= shown.fields.keys():
        observed = observe(with_copy(lead_list, copy), shown, rules)
        seen = observed.lead_list.copies[copy.remote]
        unproven, _, word = _unproven(observed.lead_list, seen, now, late_write_s)
        return unproven, observed.changes, word
    remote_rules = rules.remotes[copy.remote]
    ignored = spelling.ignored(copy, claim.patch, shown, remote_rules)
    learned = spelling.learn(copy, claim.patch, shown, remote_rules)
    # `look` stays as it stands: a hint that came in during the flight tells of something newer than the answer.
    copy = replace(_calm(copy), spelling=learned)
    observed = _forget_settled(observe(with_copy(lead_list, copy), shown, rules), copy.remote, claim)
    if not ignored:
        return observed.lead_list, observed.changes, "done"
    parked = _park_ignored(observed.lead_list, claim, ignored, remote_rules, now)
    return parked, observed.changes, "parked"


def _hides_members(patch: Patch, lead_list: LeadList, copy: Copy, shown: Observation) -> bool:
    """The answer does not tell what became of the members that were sent. One that tells of a part does: the rest
    still differs.
    """
    if shown.members is None:
        refused = {key for key in patch.add if copy.remote in lead_list.members.get(key, NOBODY).excluded}
        return bool((patch.add - refused) or patch.remove)
    if not shown.members.whole or shown.members.rest_as_known:
        return False
    return not (patch.add <= shown.members.added and patch.remove.isdisjoint(shown.members.added))


def _read(
    lead_list: LeadList, copy: Copy, claim: Claim, shown: Observation, rules: Rules
) -> tuple[LeadList, tuple[Change, ...], str]:
    """What a read showed. While a write of ours has not been found there, its failures go on counting, so that
    reading and writing in turn slows down instead of going on for ever at full speed.
    """
    tries, parked = copy.tries, copy.parked if copy.parked is not None and copy.parked.digest else None
    learned = spelling.learn_from_read(copy, shown)
    # A patch that failed has failed still; what was parked because it could not be read has been read.
    copy = replace(_calm(copy), parked=parked, intent=None, hidden=_hidden(copy, shown, rules), spelling=learned)
    observed = observe(with_copy(lead_list, copy), shown, rules)
    copy = observed.lead_list.copies[copy.remote]
    if shown.members is not None and _is_there(copy.abandoned.get(Field.MEMBERS), shown.members):
        copy = replace(copy, abandoned={f: a for f, a in copy.abandoned.items() if f is not Field.MEMBERS})
    if copy.abandoned:
        copy = replace(copy, tries=tries)
    observed = _forget_settled(replace(observed, lead_list=with_copy(observed.lead_list, copy)), copy.remote, claim)
    return observed.lead_list, observed.changes, "done"


def _forget_settled(observed: Observed, remote: str, claim: Claim) -> Observed:
    """The call has landed; and what could no longer arrive when it was made has been looked at now."""
    copy = observed.lead_list.copies[remote]
    abandoned = {field: one for field, one in copy.abandoned.items() if one.until > claim.at}
    landed = replace(copy, intent=None, abandoned=abandoned)
    return replace(observed, lead_list=with_copy(observed.lead_list, landed))


def _is_there(abandoned: Abandoned | None, shown: MembersSeen) -> bool:
    """Whether a whole set shows an abandoned write of members done."""
    return abandoned is not None and abandoned.add <= shown.added and abandoned.remove.isdisjoint(shown.added)


def _unproven(
    lead_list: LeadList, copy: Copy, now: datetime, late_write_s: float
) -> tuple[LeadList, tuple[Change, ...], str]:
    """Answered well, but the answer does not show what we sent: look, sooner or later."""
    note = "the answer does not show what was sent"
    look = look_first(note, copy.tries + 1, spread=1.0)
    return with_copy(lead_list, _later(abandon(copy, late_write_s), look, now)), (), "unclear"


def _hidden(copy: Copy, shown: Observation, rules: Rules) -> frozenset[Field]:
    """A read shows the whole list: a field that it leaves out, and that was never seen, does not exist there."""
    remote_rules = rules.remotes[copy.remote]
    told = {*shown.fields, *copy.seen}
    if shown.members is not None or remote_rules.members_apart:
        told.add(Field.MEMBERS)
    return frozenset(f for f in Field if remote_rules.direction(f).used and f not in told)


def _contradicts(copy: Copy, shown: Observation) -> bool:
    """An older version than we know, with other values: a replica that lags, or news that came meanwhile."""
    return any(
        field in copy.seen and news(copy.seen[field], shown.stamp) is News.LATE and copy.seen[field].value != value
        for field, value in shown.fields.items()
    )


def _read_again(copy: Copy, now: datetime) -> Copy:
    """Never parked: a replica catches up, and a sender whose clock is ahead is overtaken by the next real change."""
    tries = copy.tries + 1
    wait = timedelta(seconds=backoff.delay_s(tries, 1.0))
    return replace(copy, intent=None, look=True, tries=tries, due_at=now + wait, waiting=Waiting.READ_BACK)


def _park_ignored(
    lead_list: LeadList, claim: Claim, ignored: list[Field], rules: RemoteRules, now: datetime
) -> LeadList:
    copy = lead_list.copies[claim.copy.remote]
    left = plan(lead_list, copy, rules, now).patch
    if not left:
        return lead_list
    parked = Parked(
        cause=f"field ignored by {copy.remote}: {', '.join(ignored)} (answered well, kept the old value)",
        next_step=(
            f'set remotes.{copy.remote}.fields = {{ {ignored[0]} = "pull" }} if it cannot be written there, '
            f"or: leadsync parked retry {name_of(claim)}"
        ),
        # Of that alone: whatever else differs by now is another patch, and another chance.
        digest=Patch({field: value for field, value in left.fields.items() if field in ignored}).digest(),
    )
    return with_copy(lead_list, replace(copy, parked=parked))


def _calm(copy: Copy) -> Copy:
    """After a good answer: whether it is still due is computed afresh, and an old grudge is forgotten."""
    calm = replace(copy, standing=Standing.IN_SYNC, waiting=None, due_at=None, since=None)
    return replace(calm, tries=0, parked=None, absent=frozenset())


def _later(copy: Copy, later: Later, now: datetime) -> Copy:
    return replace(
        copy,
        tries=copy.tries + later.counts,
        due_at=now + timedelta(seconds=later.after_s),
        waiting=later.waiting,
    )


def _attempt(one: Flown, now: datetime, word: str) -> Attempt:
    claim, patch = one.claim, one.claim.patch
    note = getattr(one.outcome, "note", "") or getattr(one.outcome, "cause", "")
    since = claim.copy.since
    lag = (now - since).total_seconds() * 1000 if patch and since and word == "done" else None
    return Attempt(
        list_id=claim.list_id,
        remote=claim.copy.remote,
        action="create" if claim.creates else "patch" if patch else "read",
        lane=claim.lane,
        at=claim.at,
        sent=_sent(patch) if patch else {},
        status=one.status,
        outcome=word,
        note=note,
        duration_ms=one.duration_s * 1000,
        lag_ms=lag,
    )


def _sent(patch: Patch) -> dict[str, object]:
    sent: dict[str, object] = {field.value: value for field, value in patch.fields.items()}
    if patch.add:
        sent["members_added"] = sorted(patch.add)
    if patch.remove:
        sent["members_removed"] = sorted(patch.remove)
    return sent
