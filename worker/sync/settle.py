"""Settle: one place that turns an error into an outcome, and an outcome into state. Called by push and scan.

| error                                    | outcome                                                     |
| ---------------------------------------- | ----------------------------------------------------------- |
| RateLimited                              | the whole remote waits; the try does not count              |
| RemoteDown, other Transient              | later, with back-off, without limit                         |
| Unclear, or an unreadable answer to a write | later, and read before anything else                     |
| AccessLost                               | pause the remote, park nothing                              |
| NotThere                                 | park; gone only if a complete scan did not show it either   |
| Refused                                  | park with the remote's own message                          |
| BadAnswer to a read                      | later; parked at the fifth in a row                         |
| anything else: a bug                     | later, slowly, so that a deploy can mend it                 |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from models.lead_list import (
    Abandoned,
    Copy,
    Field,
    Kind,
    LeadList,
    Parked,
    Standing,
    Value,
    Waiting,
    with_copy,
)
from models.ledger import Attempt, Change
from models.observation import MembersSeen, Observation
from models.outcome import Done, Later, NotFound, Outcome, Park, PauseRemote
from models.patch import Patch
from worker.engine import backoff, spelling
from worker.engine.missing import with_missing
from worker.engine.observe import News, Observed, news, observe
from worker.engine.plan import plan, restand, tried
from worker.engine.rules import RemoteRules, Rules
from worker.errors import AccessLost, BadAnswer, LeadsyncError, NotThere, RateLimited, RedisAway, Refused, Unclear
from worker.ports import Every, Lane, RemoteState, Tx
from worker.sync.creating import born
from worker.sync.gone import not_found

log = structlog.get_logger(__name__)

#: Unreadable answers to reads in a row before a person is asked.
_BAD_ANSWERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One copy that this process may push until its lease ends."""

    list_id: int
    kind: Kind | None
    #: As it stood when it was claimed.
    copy: Copy
    #: The number that must still stand in the row when the answer is written.
    fence: int
    #: What to send; None to read.
    patch: Patch | None
    #: The database's clock when it was claimed.
    at: datetime

    @property
    def creates(self) -> bool:
        """The list is not there yet: what is sent makes it."""
        return self.copy.pending

    @property
    def lane(self) -> Lane:
        """A second try must not crowd out first tries."""
        return Lane.RETRY if self.copy.tries else Lane.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Flown:
    """A claim and what came of it."""

    claim: Claim
    outcome: Outcome
    status: int | None
    duration_s: float


def outcome_of(error: Exception, claim: Claim, *, spread: float) -> Outcome:
    """The table above. `spread` is a random number in [0, 1)."""
    tries = claim.copy.tries + 1
    match error:
        case RateLimited():
            return Later(after_s=0.0, waiting=Waiting.BUDGET, note=str(error), counts=False)
        case RedisAway():
            return Later(after_s=0.0, waiting=Waiting.BUDGET, note=str(error), counts=False, unclear=False)
        case Unclear() | TimeoutError() if claim.patch is not None:
            return _look_first(str(error) or "the call took longer than its lease allows", tries, spread)
        case BadAnswer() if claim.patch is not None:
            return _look_first(f"the answer to our write is unreadable: {error}", tries, spread)
        case BadAnswer() if tries >= _BAD_ANSWERS:
            return Park(
                cause=f"the remote's answer is unreadable: {error}",
                next_step=f"check base_url and the remote, then: leadsync parked retry {_name(claim)}",
            )
        case AccessLost():
            return access_lost(error, claim.copy.remote)
        case NotThere() if not claim.copy.pending:
            return NotFound()
        case Refused():
            step = f"change the list, or: leadsync parked retry {_name(claim)}"
            none = f"; if it is not to be there: leadsync unlink {_name(claim)}" if claim.creates else ""
            return Park(cause=str(error), next_step=step + none)
        case LeadsyncError() | TimeoutError():
            asked = getattr(error, "retry_after_s", None)
            wait = backoff.delay_s(tries, spread, asked_for_s=asked)
            return Later(after_s=wait, waiting=Waiting.BACKOFF, note=str(error) or "no answer in time")
        case _:
            log.error("push_bug", list_id=claim.list_id, remote=claim.copy.remote, exc_info=error)
            note = f"a bug in leadsync ({type(error).__name__}); see the log"
            wait = backoff.delay_s(max(tries, 6), spread)
            return Later(after_s=wait, waiting=Waiting.BACKOFF, note=note, unclear=claim.patch is not None)


def access_lost(error: AccessLost, remote: str) -> PauseRemote:
    """What it means, and what a person can do."""
    next_step = f"renew its token, start the workers anew, then: leadsync resume {remote}"
    return PauseRemote(cause=str(error), next_step=next_step)


def pause_remote(tx: Tx, remote: str, outcome: PauseRemote) -> None:
    """Send nothing there until a person resumes it."""
    if tx.remote_state(remote).paused:
        return  # one alert, not one for each call in flight
    log.error("remote_paused", remote=remote, cause=outcome.cause, next_step=outcome.next_step)
    tx.set_remote_state(remote, RemoteState(True, outcome.cause, outcome.next_step, tx.now))


def land(tx: Tx, flown: list[Flown], rules: Rules, *, late_write_s: float) -> None:
    """Write the outcomes of calls: what was shown, what is due, and the ledger. One transaction."""
    lists = tx.load({one.claim.list_id for one in flown}, _members_shown(flown))
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
            tx.scans.count_gone(copy.remote)
        lists[one.claim.list_id] = lead_list
        tx.note(lead_list.id, changes)
        attempts.append(_attempt(one, tx.now, word))
    after = {number: restand(with_missing(one, rules), rules, tx.now) for number, one in lists.items()}
    tx.save([(before[number], one) for number, one in after.items()])
    tx.attempted(attempts)


def _is_claimed(copy: Copy, claim: Claim) -> bool:
    """Still that very claim: nobody took the copy up since, and the list is not tied to another one there."""
    return (copy.fence, copy.remote_id) == (claim.fence, claim.copy.remote_id)


def _members_shown(flown: list[Flown]) -> dict[int, Every]:
    """An answer that shows a whole membership is compared with all that is known of it; of a list that is not there,
    what was known may have to be forgotten; and one that was created may have to be joined with another.
    """
    return {
        one.claim.list_id: Every.MEMBER
        for one in flown
        if isinstance(one.outcome, NotFound) or one.claim.creates or _shows_members(one.outcome)
    }


def _shows_members(outcome: Outcome) -> bool:
    return isinstance(outcome, Done) and outcome.shown is not None and outcome.shown.members is not None


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


def _look_first(note: str, tries: int, spread: float) -> Later:
    wait = backoff.delay_s(tries, spread)
    return Later(after_s=wait, waiting=Waiting.READ_BACK, note=note, unclear=True)


def _apply(
    lead_list: LeadList, copy: Copy, one: Flown, rules: Rules, now: datetime, late_write_s: float
) -> tuple[LeadList, tuple[Change, ...], str]:
    """The list after one outcome, what the ledger says of it, and the word for the attempt."""
    free = replace(copy, lease_until=None, landed_at=now)
    match one.outcome:
        case Done(shown=None):
            return _unproven(lead_list, free, now, late_write_s)
        case Done(shown=shown) if shown is not None:
            return _shown(lead_list, free, one.claim, shown, rules, now, late_write_s)
        case Later() as later:
            ended = abandon(free, late_write_s) if later.unclear else _unsent(free, one.claim)
            waiting = _later(ended, later, now)
            return with_copy(lead_list, waiting), (), "unclear" if later.unclear else "later"
        case Park(cause=cause, next_step=next_step):
            digest = tried(one.claim.kind, free, one.claim.patch) if one.claim.patch else ""
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
    hides_members = shown.members is None and bool(claim.patch.add or claim.patch.remove)
    if hides_members or not claim.patch.fields.keys() <= shown.fields.keys():
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


def _read(
    lead_list: LeadList, copy: Copy, claim: Claim, shown: Observation, rules: Rules
) -> tuple[LeadList, tuple[Change, ...], str]:
    """What a read showed. While a write of ours has not been found there, its failures go on counting, so that
    reading and writing in turn slows down instead of going on for ever at full speed.
    """
    tries = copy.tries
    learned = spelling.learn_from_read(copy, shown)
    copy = replace(_calm(copy), intent=None, hidden=_hidden(copy, shown, rules), spelling=learned)
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
    look = _look_first(note, copy.tries + 1, spread=1.0)
    return with_copy(lead_list, _later(abandon(copy, late_write_s), look, now)), (), "unclear"


def _hidden(copy: Copy, shown: Observation, rules: Rules) -> frozenset[Field]:
    """A read shows the whole list: a field that it leaves out, and that was never seen, does not exist there."""
    remote_rules = rules.remotes[copy.remote]
    told = {*shown.fields, *copy.seen} | ({Field.MEMBERS} if shown.members else set())
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
            f"or: leadsync parked retry {_name(claim)}"
        ),
        digest=left.digest(),
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


def _name(claim: Claim) -> str:
    return f"{claim.copy.remote}:{claim.copy.remote_id}"
