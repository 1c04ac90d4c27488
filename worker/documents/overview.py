"""The overview: everything that metrics and alerts are made of, asked at one moment. What nobody can tell is None."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from models.lead_list import Standing, Waiting
from models.scan import Scan
from models.totals import Total
from worker.documents.health import Marks, marks_in
from worker.documents.numbers import NumbersDocument, ask_numbers
from worker.documents.remotes import Brakes, age_s, ask_budgets
from worker.documents.stream import StreamDocument, ask_stream, oldest_event_s
from worker.errors import LeadsyncError
from worker.store.views import Group, View, Views
from worker.wiring import Runtime

#: A due copy that waits for people is not late by our doing.
FOR_PEOPLE: Final = frozenset({Waiting.BRAKE, Waiting.REVIEW, Waiting.HOLD})
#: Beyond so many rejects nobody needs to know how many.
MOST_REJECTS: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the database tells, from one snapshot."""

    now: datetime
    lists: int
    groups: Sequence[Group]
    brakes: Brakes
    #: By remote.
    last_complete: Mapping[str, Scan] = field(default_factory=dict)
    last_ended: Mapping[str, Scan] = field(default_factory=dict)
    held: Mapping[str, Scan] = field(default_factory=dict)
    totals: Sequence[Total] = ()
    rejects: int = 0

    @property
    def remotes(self) -> list[str]:
        """Those in the settings, and those that copies are left of."""
        return sorted(self.brakes.configured | {group.remote for group in self.groups})

    def copies(self, remote: str) -> Counter[Standing]:
        """How many copies stand how."""
        count = Counter[Standing]()
        for group in self._of(remote):
            count[group.standing] += group.copies
        return count

    def due(self, remote: str) -> Counter[Waiting]:
        """Why due copies wait."""
        count = Counter[Waiting]()
        for group in self._of(remote):
            if group.standing is Standing.DUE:
                count[Waiting.IN_FLIGHT] += group.in_flight
                count[self.brakes.waiting(remote, group.waiting)] += group.copies - group.in_flight
        return count

    def stale_s(self, remote: str) -> float:
        """For how long the oldest due copy has not been in sync, but for those that wait for people; 0 when none is."""
        late = (one for one in self._of(remote) if one.standing is Standing.DUE and one.waiting not in FOR_PEOPLE)
        return age_s(min((one.since for one in late if one.since), default=None), self.now) or 0.0

    def _of(self, remote: str) -> Iterable[Group]:
        return (group for group in self.groups if group.remote == remote)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything. None where database or Redis did not answer."""

    stored: Stored | None
    redis: bool
    stream: StreamDocument | None = None
    #: Of the oldest event that is not taken in yet; 0 when there is none.
    oldest_event_s: float | None = None
    numbers: NumbersDocument | None = None
    marks: Marks | None = None


async def overview(runtime: Runtime, views: Views, *, totals: bool = False) -> Overview:
    """Ask database and Redis, each once. Never raises because one of them is away."""
    budgets, stream, oldest, numbers, marks = await asyncio.gather(
        ask_budgets(runtime), ask_stream(runtime), oldest_event_s(runtime), ask_numbers(runtime), _marks(runtime)
    )
    configured = frozenset(runtime.settings.remotes)

    def look(view: View) -> Stored:
        tally = view.tally()
        return Stored(
            now=tally.now,
            lists=tally.lists,
            groups=tally.groups,
            brakes=Brakes(configured, view.remote_states(), budgets),
            last_complete=view.scans.last_of_each(configured, complete=True),
            last_ended=view.scans.last_of_each(configured, complete=False),
            held=view.scans.held(),
            totals=view.totals() if totals else (),
            rejects=view.count_rejects(MOST_REJECTS),
        )

    stored: Stored | None = None
    with contextlib.suppress(LeadsyncError):
        stored = await asyncio.to_thread(views.look, look)
    return Overview(
        stored=stored,
        redis=marks is not None,
        stream=None if isinstance(stream, str) else stream,
        oldest_event_s=oldest,
        numbers=None if isinstance(numbers, str) else numbers,
        marks=marks,
    )


async def _marks(runtime: Runtime) -> Marks | None:
    try:
        return await asyncio.to_thread(marks_in, runtime.bells, runtime.settings.sync.tick_s)
    except LeadsyncError:
        return None
