"""Holds as people are told of them: who holds what since when, and the command that releases it. Used by documents."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from models.lead_list import PENDING, WHOLE, Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldDocument:
    """Nothing is written to a list, or to its copy on one remote, until it is released."""

    #: null for the whole list.
    remote: str | None
    who: str
    since: datetime


def holds_of(holds: Mapping[str, Hold]) -> list[HoldDocument]:
    """All of one list, the whole list first."""
    return [HoldDocument(remote=scope or None, who=one.who, since=one.since) for scope, one in sorted(holds.items())]


def cause_of(hold: Hold) -> str:
    """Why nothing is written."""
    return f"held by {hold.who} since {hold.since:%Y-%m-%d %H:%M:%S}Z"


def step_of(holds: Mapping[str, Hold], remote: str, remote_id: str) -> str:
    """The command that releases this copy; with the whole list, where that is held."""
    name = shlex.quote(f"{remote}:{remote_id}")
    return f"leadsync release {name}" + ("" if WHOLE in holds else " --copy")


def line_of(holds: Mapping[str, Hold], copies: Iterable[tuple[str, str]]) -> str | None:
    """One sentence about a list; None when nobody holds any of it."""
    for scope, hold in sorted(holds.items()):
        real = sorted(copies, key=lambda copy: (copy[0] != scope, copy[1].startswith(PENDING)))
        for remote, remote_id in real[:1]:
            what = f"its copy on {scope} is " if scope else ""
            return f"{what}{cause_of(hold)}: {step_of(holds, remote, remote_id)}"
    return None
