"""Explain: one sentence for every field of a copy, why it was sent or why not. Used by the document of `show`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime

from models.lead_list import Copy, Field, LeadList, Standing, Waiting
from models.patch import CopyPlan, Reason
from worker.documents.holds import cause_of, step_of
from worker.engine import members
from worker.engine.rules import Direction, RemoteRules
from worker.ports import RemoteState

#: Reasons that need no more words.
_PLAIN = {
    Reason.EQUAL: "equal: it shows what is wanted",
    Reason.EQUAL_AS_SHOWN: "equal as shown there: it has its own way to show what is wanted",
    Reason.NO_FIELD: "no such field there",
    Reason.NOTHING_WANTED: "nothing wanted: nobody has said a value yet",
}

_WAITS = {
    Waiting.TURN: "its turn",
    Waiting.BUDGET: "the rate budget",
    Waiting.BACKOFF: "backoff{until}, after {tries}",
    Waiting.PAUSED: "{remote} to be resumed: {paused}",
    Waiting.BREAKER: "the breaker: {remote} keeps failing, and one probe at a time goes out",
    Waiting.READ_BACK: "read-back{until}: a write of unknown outcome is looked at first",
    Waiting.FIRST_READ: "a read: the list is looked at before anything is sent",
    Waiting.FIRST_SCAN: "the first scan: once complete, it tells what is on {remote} already",
    Waiting.BRAKE: "a person: the brake holds it; next: leadsync plan, then leadsync apply HASH",
    Waiting.REVIEW: "review: leadsync plan, then leadsync apply HASH",
    Waiting.HOLD: "its release: {held}",
    Waiting.IN_FLIGHT: "the call in flight",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One copy and all that bears on what it is told."""

    lead_list: LeadList
    copy: Copy
    planned: CopyPlan
    rules: RemoteRules
    #: Why it waits; None when it is not due.
    waiting: Waiting | None
    #: As people and lost credentials decided about its remote.
    state: RemoteState

    def sentences(self) -> dict[str, str]:
        """One for each field."""
        return {field.value: self._sentence(field, reason) for field, reason in self.planned.reasons.items()}

    def _sentence(self, field: Field, reason: Reason) -> str:
        match reason:
            case Reason.DIRECTION:
                return self._not_written(self.rules.direction(field))
            case Reason.NO_MAPPING:
                where = f" in remotes.{self.copy.remote}.owners" if field is Field.OWNER else ""
                return f"no mapping: what is wanted has no counterpart there{where}"
            case Reason.CONFLICT:
                return f"conflict held: edited there and somewhere else; next: {resolve_step(self.copy, field)}"
            case Reason.BRAKE:
                return f"held by the brake: {self._braked()}; next: {resolve_step(self.copy, field)}"
            case Reason.EXCLUDED:
                return f"not known there: {self._excluded()}; next: leadsync members list {self._name()} --excluded"
            case Reason.UNSEEN:
                return f"not read yet{self._waits(Waiting.FIRST_READ)}"
            case Reason.READ_BACK:
                until = _until(self.planned.not_before)
                return f"differs; waiting for read-back{until}: an older write of another value may still land"
            case Reason.DIFFERS:
                return self._differs(field)
            case _:
                return _PLAIN[reason]

    def _not_written(self, direction: Direction) -> str:
        what = "compared" if direction is Direction.OFF else "written"
        return f"direction {direction}: not {what} there; see remotes.{self.copy.remote}.fields"

    def _braked(self) -> str:
        missing, surplus = members.difference(self.lead_list.members, self.copy.remote)
        if missing:
            return f"{len(missing)} members went from it at once"
        return f"{len(surplus)} members there are not wanted and would go at once"

    def _differs(self, field: Field) -> str:
        if self.waiting is Waiting.IN_FLIGHT and self._is_in_flight(field):
            return "differs; in flight: being sent at this moment"
        if self.waiting is Waiting.BRAKE and self.planned.patch.add:
            return f"differs; held by the brake: {self._enriching()}"
        begin = "to be created there" if self.copy.pending else "differs"
        return begin + self._waits(Waiting.TURN)

    def _enriching(self) -> str:
        """The other brake: what costs money waits for a person too, and then goes as it was shown."""
        most, count = self.rules.enrich_at_once, len(self.planned.patch.add)
        allowed = f"enrich_at_once lets {most} be added by themselves"
        next_step = f"leadsync plan --remote {self.copy.remote}, then leadsync apply HASH"
        return f"{count} members would be added to a list whose enrichment is on; {allowed}; next: {next_step}"

    def _excluded(self) -> str:
        count = self.copy.excluded
        wanted = "1 member is wanted" if count == 1 else f"{count} members are wanted"
        return f"{wanted} that {self.copy.remote} cannot be told of"

    def _name(self) -> str:
        return shlex.quote(f"{self.copy.remote}:{self.copy.remote_id}")

    def _is_in_flight(self, field: Field) -> bool:
        patch = self.copy.intent.patch if self.copy.intent else None
        if patch is None:
            return False
        return bool(patch.add or patch.remove) if field is Field.MEMBERS else field in patch.fields

    def _waits(self, usual: Waiting) -> str:
        """What it waits for, as the end of a sentence; `usual` when nothing else is known."""
        parked = self.copy.parked if self.copy.standing is Standing.PARKED else None
        if parked is not None:
            return f"; parked because {parked.cause}; next: {parked.next_step}"
        paused = self.state.cause if self.state.paused else f"{self.copy.remote} is not in the settings"
        on_hold = self.waiting is Waiting.HOLD
        waits = _WAITS[usual if on_hold and usual is Waiting.FIRST_READ else self.waiting or usual]
        until, tries, held = _until(self.copy.due_at), failed(self.copy.tries), self._held() if on_hold else ""
        return "; waiting for " + waits.format(
            until=until, tries=tries, remote=self.copy.remote, paused=paused, held=held
        )

    def _held(self) -> str:
        remote, lead_list = self.copy.remote, self.lead_list
        hold, step = lead_list.hold_on(remote), step_of(lead_list.holds, remote, self.copy.remote_id)
        return f"{cause_of(hold)}; next: {step}" if hold else "nobody holds it any more"


def failed(tries: int) -> str:
    """So many calls in a row."""
    return "1 failed call" if tries == 1 else f"{tries} failed calls"


def resolve_step(copy: Copy, field: Field) -> str:
    """What a person can do about a held field."""
    name = f"{copy.remote}:{copy.remote_id}"
    return f"leadsync conflicts resolve {shlex.quote(name)} {field} --use {copy.remote}, or --use wanted"


def _until(at: datetime | None) -> str:
    return f" until {at:%Y-%m-%d %H:%M:%S}Z" if at else ""
