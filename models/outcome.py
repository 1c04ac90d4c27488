"""Outcomes: what is to be done after a call. Made by `worker.sync.settle`, obeyed by push and scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.lead_list import Waiting
from models.observation import Observation


@dataclass(frozen=True, slots=True)
class Done:
    """The remote answered with the list; None when it answered well without showing it."""

    shown: Observation | None
    #: What a read showed just before our write of the whole membership.
    before: Observation | None = None
    #: Members that the remote did not take, by its ids, and why.
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Later:
    """Try again after `after_s` seconds; unlimited, because the cause passes by itself."""

    after_s: float
    waiting: Waiting
    note: str
    #: False when the copy is not to blame (429, lost budget): the try does not count.
    counts: bool = True
    #: True when a write may have been applied: read before anything else.
    unclear: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Only a person can move this copy on."""

    cause: str
    next_step: str


@dataclass(frozen=True, slots=True)
class NotFound:
    """The remote has no list of this id. Alone that proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRemote:
    """Nothing goes to this remote until a person resumes it; the copy stays due."""

    cause: str
    next_step: str


Outcome = Done | Later | Park | NotFound | PauseRemote
