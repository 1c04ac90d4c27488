"""The audit as values: what people did, who they were, and what it changed."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any


class Action(enum.StrEnum):
    """What a person did, in the words of the commands."""

    LINK = "link"  #: tied copies together
    UNLINK = "unlink"  #: let one copy go
    RETRY = "parked retry"  #: made a parked copy due
    DISCARD = "parked discard"  #: gave a parked copy up
    PUSH = "push now"  #: made a copy due that was parked, or waited after a failed call
    HOLD = "hold"  #: let nothing be written to a list, or to one copy of it
    LET_GO = "release"  #: let it be written again
    RESOLVE = "conflicts resolve"  #: decided a held field
    APPLY = "apply"  #: let a patch through
    PAUSE = "pause"  #: stopped sending to a remote
    RESUME = "resume"  #: sends to a remote again
    SCAN = "scan"  #: had a remote read as a whole
    RELEASE = "scans release"  #: let a held scan go on
    REFUSE = "scans refuse"  #: took nothing in of a held scan
    TEACH = "members import"  #: told who members are
    REJECT = "rejects retry"  #: put a rejected event back into the stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """One thing that one person changed."""

    id: int
    at: datetime
    who: str
    what: Action
    #: A list as REMOTE:ID, a remote, a scan or a reject.
    target: str
    before: dict[str, Any]
    after: dict[str, Any]
