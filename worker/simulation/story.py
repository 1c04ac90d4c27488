"""A history as a timeline that a person can follow: who did what, and what was wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import orjson

from worker.simulation.faults import Fault
from worker.simulation.history import History
from worker.simulation.script import Script

#: Lines of a timeline that are shown; the end of a history is where it went wrong.
_MOST = 400


def story(one: History, complaints: Sequence[str]) -> str:
    """All of it, as text."""
    lines = [*head(one.script), "", *timeline(one, _MOST), "", *(f"WRONG: {complaint}" for complaint in complaints)]
    return "\n".join(lines)


def head(script: Script) -> list[str]:
    """What its script says."""
    remotes = ", ".join(f"{name} ({', '.join(_traits(script, name)) or 'as usual'})" for name in script.rules.remotes)
    policies = sorted({str(policy) for policy in script.rules.policies.values()})
    return [
        f"seed {script.seed}: {script.lists} lists, {len(script.edits)} edits, {script.war_s:.0f} s of bad times",
        f"remotes: {remotes}",
        f"conflicts: {', '.join(policies) or 'authority'}",
        f"faults: {', '.join(fault for fault in Fault if fault in script.faults) or 'none'}",
    ]


def timeline(one: History, most: int) -> Iterator[str]:
    """One line for each thing that happened."""
    trace = one.trace
    if len(trace) > most:
        yield f"… {len(trace) - most} earlier lines are left out"
    for at, who, what, *more in trace[-most:]:
        yield f"{at:9.2f}  {who!s:<18} {_words(what, more)}"


def _traits(script: Script, name: str) -> Iterator[str]:
    rules = script.rules.remotes[name]
    if not rules.versioned:
        yield "no versions"
    if rules.members_apart:
        yield "members apart"
    if rules.creates:
        yield "lists are created"
    yield f"gone: {rules.on_gone}"


def _words(what: object, more: Sequence[object]) -> str:
    if more and isinstance(more[0], bytes):
        return f"arrives, about list {what}: {_event(more[0])}"
    said = [str(one) for one in more if one is not None]
    return f"{what}{' -> ' if said else ''}{', '.join(said)}"


def _event(raw: bytes) -> str:
    try:
        event = orjson.loads(raw)
        return f"{event['id']} {event['source']}:{event['subject']} {event['type']} {event.get('data', 'look again')}"
    except (ValueError, TypeError, KeyError):
        return repr(raw)
