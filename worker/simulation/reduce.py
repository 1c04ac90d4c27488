"""A failing history made smaller while it fails the same way: fewer lists, edits and faults, and a shorter war."""

from __future__ import annotations

from collections.abc import Iterator

from models.values import replace
from worker.simulation.faults import Fault
from worker.simulation.script import Script
from worker.simulation.tally import judged

#: Histories that reducing may play.
_TRIES = 400


def kinds(wrong: tuple[str, ...]) -> frozenset[str]:
    """Which judges complain."""
    return frozenset(complaint.partition(":")[0] for complaint in wrong)


def reduced(script: Script, wrong: tuple[str, ...], *, tries: int = _TRIES) -> Script:
    """The smallest script found about which one of the same judges still complains."""
    complain, left = kinds(wrong), tries
    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(script):
            left -= 1
            if left <= 0:
                break
            if complain & kinds(judged(candidate)[1]):
                script, smaller = candidate, True
                break
    return script


def _smaller(script: Script) -> Iterator[Script]:
    """The largest steps first."""
    edits = script.edits
    for half in (edits[: len(edits) // 2], edits[len(edits) // 2 :]):
        if 0 < len(half) < len(edits):
            yield replace(script, edits=half)
    faults = [fault for fault in Fault if fault in script.faults]
    for some in (faults[: len(faults) // 2], faults[len(faults) // 2 :]):
        if len(some) > 1:
            yield replace(script, faults=script.faults - set(some))
    if script.lists > 1:
        yield replace(script, lists=script.lists // 2)
    if script.war_s > 30:
        yield replace(script, war_s=script.war_s / 2)
    for fault in faults:
        yield replace(script, faults=script.faults - {fault})
    for edit in edits:
        yield replace(script, edits=tuple(one for one in edits if one != edit))
