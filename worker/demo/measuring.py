"""Measuring: what the simulators saw of leadsync, and what leadsync says of itself, as figures. Used by `play.py`."""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.demo.equality import Difference, Ids, States, differences, tidy
from worker.demo.scenario import OWNERS, REMOTES
from worker.demo.stage import Stage
from worker.documents.remotes import BudgetDocument
from worker.documents.status import CopyCounts, StatusDocument, status
from worker.documents.stream import StreamDocument
from worker.simulators.running import RunningSimulator

#: PATCHes a second are counted over this time.
_RATE_S = 2.0
#: A list stays on the screen this long after its copies have become equal.
_STAYS_S = 1.5

_WORDS = {"name": "name", "owner": "owner", "enrichment": "enrichment"}
_INSTANTLY = {"name": "name", "owned_by": "owner", "has_enrichment_task": "enrichment"}


class Phase(enum.StrEnum):
    """How far the demo has come."""

    LINKING = "linking"  #: the copies are tied together and read for the first time
    EDITING = "editing"  #: people edit
    SETTLING = "settling"  #: nobody edits any more; the last differences go
    DONE = "done"  #: all that could be brought to an end has been


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFigures:
    """One remote."""

    name: str
    patches: int
    patches_per_s: float
    reads: int
    rate_limited: int
    #: 5xx, or no answer.
    errors: int
    overlaps: int
    #: None where leadsync cannot tell.
    budget: BudgetDocument | None
    copies: CopyCounts | None


@dataclass(frozen=True, slots=True)
class Cell:
    """A list's name on one remote."""

    name: str
    differs: bool


@dataclass(frozen=True, slots=True)
class CallLine:
    """One call as it happened: names of fields, never values."""

    method: str
    remote: str
    list_id: str
    fields: tuple[str, ...]
    status: int | None
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything at one moment."""

    phase: Phase
    #: Seconds since the phase began, and how long it lasts where that is known.
    phase_s: float
    of_s: float | None
    lists: int
    events: int
    #: See `calls_saved`.
    needed: int
    #: Milliseconds from an event in the stream to the end of the PATCH that carries it, sorted.
    lags: Sequence[float]
    remotes: tuple[RemoteFigures, ...]
    rows: tuple[tuple[Cell, ...], ...]
    #: Newest last.
    last_calls: tuple[CallLine, ...]
    #: What the simulators say.
    different: tuple[Difference, ...]
    #: leadsync says that nothing is left to do; and that every copy shows what is wanted.
    settled: bool
    in_sync: bool

    @property
    def patches(self) -> int:
        """PATCHes that arrived at the simulators, refused and repeated ones too."""
        return sum(remote.patches for remote in self.remotes)

    @property
    def reads(self) -> int:
        """GETs that arrived there."""
        return sum(remote.reads for remote in self.remotes)

    @property
    def calls_saved(self) -> int:
        """PATCHes needed if each change were one PATCH to every other copy with that field, minus those sent.

        Repeated, late and unreadable events are not counted as needed, nor are copies that were equal when linked.
        """
        return self.needed - self.patches

    def lag_ms(self, share: float) -> float | None:
        """That share of the lags is at most so long; None while nothing is measured."""
        if not self.lags:
            return None
        return round(self.lags[max(0, math.ceil(share * len(self.lags)) - 1)], 1)


@dataclass(frozen=True, slots=True)
class _Expected:
    field: str
    value: Any
    at: float


class Lags:
    """Waits for each change to arrive in a PATCH. Times in seconds since 1970."""

    def __init__(self) -> None:
        self._expected: dict[tuple[str, str], list[_Expected]] = {}
        self.ms: list[float] = []

    def expect(self, remote: str, list_id: str, field: str, value: Any, at: float) -> None:
        """An event that makes this value wanted there was added to the stream."""
        self._expected.setdefault((remote, list_id), []).append(_Expected(field, value, at))

    def landed(self, call: Mapping[str, Any], remote: str, list_id: str) -> None:
        """A PATCH changed something there. Events that were overtaken before they were sent travel with the newest."""
        waiting = self._expected.get((remote, list_id), [])
        brought = [one for one in waiting if one.at <= call["arrived"] and _carries(call["body"], remote, one)]
        newest = {one.field: one.at for one in brought if one.field != "members"}  # in the order of their times
        served = [one for one in waiting if one in brought or one.at <= newest.get(one.field, 0.0)]
        self.ms += [max(0.0, call["answered"] - one.at) * 1000 for one in served]
        if served:
            self._expected[remote, list_id] = [one for one in waiting if one not in served]


def _carries(body: Mapping[str, Any], remote: str, one: _Expected) -> bool:
    if one.field == "members":
        sign, member = one.value
        if remote == "lance":
            return "personIds" in body and (member in body["personIds"]) == (sign == "+")
        return member in body.get("members_added" if sign == "+" else "members_removed", ())
    words = _INSTANTLY if remote == "instantly" else _WORDS
    value = next((value for word, value in body.items() if words.get(word) == one.field), None)
    return one.value is not None and value in (one.value, OWNERS.get(str(one.value)))


class _Calls:
    """Follows the log of one simulator. A call is handed out once, when it has ended."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self._simulator = simulator
        self._after = 0
        self._handed_out: set[int] = set()

    def ended(self) -> list[dict[str, Any]]:
        """Calls that have ended since the last time."""
        calls = self._simulator.calls(after=self._after)
        new = [call for call in calls if call["answered"] is not None and call["n"] not in self._handed_out]
        self._handed_out.update(call["n"] for call in new)
        while self._after + 1 in self._handed_out:
            self._after += 1
            self._handed_out.remove(self._after)
        return new


class _Rows:
    """A few lists on the screen; each stays until its copies have been equal for a moment."""

    def __init__(self, ids: Ids, most: int = 10) -> None:
        self._ids = ids
        self._shown = list(range(min(most, len(ids["crm"]))))
        #: Since when the copies of a shown list have been equal.
        self._equal_since: dict[int, float] = {}

    def look(self, states: States, renamed: Mapping[int, str], now: float) -> tuple[tuple[Cell, ...], ...]:
        """The rows as they are now; *renamed* holds the lists that people renamed, newest last."""
        waiting = [n for n in renamed if n not in self._shown]
        for place, n in enumerate(self._shown):
            if waiting and now - self._equal_since.get(n, now) > _STAYS_S:
                del self._equal_since[n]
                self._shown[place] = waiting.pop()
        rows = {n: self._cells(states, n, renamed.get(n)) for n in self._shown}
        equal = {n for n, cells in rows.items() if not any(cell.differs for cell in cells)}
        self._equal_since = {n: self._equal_since.get(n, now) for n in equal}
        return tuple(rows.values())

    def _cells(self, states: States, n: int, newest: str | None) -> tuple[Cell, ...]:
        names = [states[remote].get(self._ids[remote][n], {}).get("name", "?") for remote in REMOTES]
        shown = [tidy(name) for name in names]
        agreed = tidy(newest) if newest is not None and tidy(newest) in shown else shown[0]
        return tuple(Cell(name, name != agreed) for name in shown)


class Meter:
    """Asks simulators and leadsync."""

    def __init__(self, stage: Stage, ids: Ids, lags: Lags) -> None:
        self._stage, self._ids, self._lags = stage, ids, lags
        self._calls = {remote: _Calls(simulator) for remote, simulator in stage.simulators.items()}
        self._patches: dict[str, deque[tuple[float, int]]] = {remote: deque() for remote in REMOTES}
        self._last: deque[CallLine] = deque(maxlen=12)
        self._rows = _Rows(ids)

    def look(
        self,
        *,
        phase: Phase,
        phase_s: float,
        of_s: float | None,
        events: int,
        needed: int,
        renamed: Mapping[int, str],
        now: float,
    ) -> Figures:
        """The figures at this moment; *now* only grows."""
        # leadsync's own word first: what it calls settled must show in what the simulators say after that.
        said = self._stage.run(status(self._stage.runtime, self._stage.views))
        self._follow()
        states = {
            remote: {row["id"]: row for row in simulator.state()}
            for remote, simulator in self._stage.simulators.items()
        }
        return Figures(
            phase=phase,
            phase_s=phase_s,
            of_s=of_s,
            lists=len(self._ids["crm"]),
            events=events,
            needed=needed,
            lags=sorted(self._lags.ms),
            remotes=tuple(self._remote(remote, said, now) for remote in REMOTES),
            rows=self._rows.look(states, renamed, now),
            last_calls=tuple(self._last),
            different=tuple(differences(states, self._ids)),
            settled=_settled(said, len(self._ids["crm"])),
            in_sync=said.copies.in_sync == said.copies.total,
        )

    def _follow(self) -> None:
        ended = [(remote, call) for remote, calls in self._calls.items() for call in calls.ended()]
        for remote, call in sorted(ended, key=lambda one: one[1]["answered"]):
            list_id = call["path"].rpartition("/")[2]
            body = call["body"] if isinstance(call["body"], dict) else {}
            if call["method"] == "PATCH" and call["changed"]:
                self._lags.landed(call, remote, list_id)
            ms = (call["answered"] - call["arrived"]) * 1000
            self._last.append(CallLine(call["method"], remote, list_id, tuple(body), call["status"], ms))

    def _remote(self, remote: str, said: StatusDocument, now: float) -> RemoteFigures:
        summary = self._stage.simulators[remote].summary()
        statuses: Mapping[str, int] = summary["statuses"]
        patches = summary["calls"].get("PATCH", 0)
        document = said.remotes.get(remote)
        return RemoteFigures(
            name=remote,
            patches=patches,
            patches_per_s=self._rate(remote, patches, now),
            reads=summary["calls"].get("GET", 0),
            rate_limited=summary["rate_limited"],
            errors=sum(count for word, count in statuses.items() if word == "none" or word >= "500"),
            overlaps=summary["overlaps"],
            budget=document.budget if document and isinstance(document.budget, BudgetDocument) else None,
            copies=document.copies if document else None,
        )

    def _rate(self, remote: str, patches: int, now: float) -> float:
        past = self._patches[remote]
        past.append((now, patches))
        while len(past) > 2 and now - past[1][0] >= _RATE_S:
            past.popleft()
        began, before = past[0]
        return (patches - before) / (now - began) if now > began else 0.0


def _settled(said: StatusDocument, lists: int) -> bool:
    stream = said.stream
    empty = isinstance(stream, StreamDocument) and stream.waiting == 0 and stream.pending == 0
    return empty and said.lists == lists and said.copies.due == 0
