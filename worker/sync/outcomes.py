"""Outcomes: one place that turns an error into what is to be done. Called by push; `worker.sync.settle` does it.

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

from dataclasses import dataclass, field
from datetime import datetime

import structlog

from models.lead_list import Copy, Kind, Waiting
from models.outcome import Later, NotFound, Outcome, Park, PauseRemote
from models.patch import Patch
from worker.engine import backoff
from worker.errors import AccessLost, BadAnswer, LeadsyncError, NotThere, RateLimited, RedisAway, Refused, Unclear
from worker.ports import Lane

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
    #: All that differs, of which `patch` may be as much as one call takes.
    part_of: Patch = field(default_factory=Patch)
    #: The same as the remote is told, with its own ids of members.
    told: Patch | None = None
    #: The database's clock when it was claimed.
    at: datetime
    #: Read the members too, where that takes calls of their own.
    members: bool = False
    #: Traces of what made the copy differ, the newest first; none while tracing is off.
    causes: tuple[str, ...] = ()

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
    #: The trace that it is a part of.
    traceparent: str | None = None


def outcome_of(error: Exception, claim: Claim, *, spread: float, wrote: bool = True) -> Outcome:
    """The table above. `spread` is a random number in [0, 1). A patch that never `wrote`, because what it had to read
    first failed, was no write.
    """
    tries, writes = claim.copy.tries + 1, claim.patch is not None and wrote
    match error:
        case RateLimited():
            return Later(after_s=0.0, waiting=Waiting.BUDGET, note=str(error), counts=False)
        case RedisAway():
            return Later(after_s=0.0, waiting=Waiting.BUDGET, note=str(error), counts=False, unclear=False)
        case Unclear() | TimeoutError() if writes:
            return look_first(str(error) or "the call took longer than its lease allows", tries, spread)
        case BadAnswer() if writes:
            return look_first(f"the answer to our write is unreadable: {error}", tries, spread)
        case BadAnswer() if tries >= _BAD_ANSWERS:
            return Park(
                cause=f"the remote's answer is unreadable: {error}",
                next_step=f"check base_url and the remote, then: leadsync parked retry {name_of(claim)}",
            )
        case AccessLost():
            return access_lost(error, claim.copy.remote)
        case NotThere() if not claim.copy.pending:
            return NotFound()
        case Refused():
            step = f"change the list, or: leadsync parked retry {name_of(claim)}"
            none = f"; if it is not to be there: leadsync unlink {name_of(claim)}" if claim.creates else ""
            return Park(cause=str(error), next_step=step + none)
        case LeadsyncError() | TimeoutError():
            asked = getattr(error, "retry_after_s", None)
            wait = backoff.delay_s(tries, spread, asked_for_s=asked)
            return Later(after_s=wait, waiting=Waiting.BACKOFF, note=str(error) or "no answer in time")
        case _:
            log.error("push_bug", list_id=claim.list_id, remote=claim.copy.remote, exc_info=error)
            note = f"a bug in leadsync ({type(error).__name__}); see the log"
            wait = backoff.delay_s(max(tries, 6), spread)
            return Later(after_s=wait, waiting=Waiting.BACKOFF, note=note, unclear=writes)


def access_lost(error: AccessLost, remote: str) -> PauseRemote:
    """What it means, and what a person can do."""
    next_step = f"renew its token, start the workers anew, then: leadsync resume {remote}"
    return PauseRemote(cause=str(error), next_step=next_step)


def look_first(note: str, tries: int, spread: float) -> Later:
    """A write of unknown outcome: read before anything else."""
    wait = backoff.delay_s(tries, spread)
    return Later(after_s=wait, waiting=Waiting.READ_BACK, note=note, unclear=True)


def name_of(claim: Claim) -> str:
    """As a command takes it."""
    return f"{claim.copy.remote}:{claim.copy.remote_id}"
