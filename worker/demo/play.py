"""The course of events: link, edit, settle, judge; and the summary of it all. Called by `leadsync demo`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from worker.demo.measuring import Figures, Lags, Meter, Phase
from worker.demo.people import People
from worker.demo.post import Post
from worker.demo.scenario import MISHAPS, Scenario
from worker.demo.stage import Stage, staged
from worker.demo.view import Screen

#: A frame every so often, less often where many lists make looking slow.
_FRAME_S = 0.15
_SHARE = 0.25
#: When leadsync says that nothing is left to do and copies still differ this much later, they stay so.
_STUCK_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What came of it."""

    figures: Figures
    #: Events that leadsync rejected, and that were meant to be.
    rejected: int
    unreadable: int
    seconds: float
    #: Settings and log, kept when the demo did not end well.
    config: Path
    log: Path

    @property
    def all_equal(self) -> bool:
        """The simulators say so, and leadsync says so too."""
        return not self.figures.different and self.figures.settled and self.figures.in_sync

    @property
    def overlaps(self) -> int:
        """Writes to a list while another one was still in flight there. Must be 0."""
        return sum(remote.overlaps for remote in self.figures.remotes)

    @property
    def well(self) -> bool:
        """Equal in the end, never two writes at once, and nothing rejected but what cannot be read."""
        return self.all_equal and not self.overlaps and self.rejected == self.unreadable

    def document(self) -> dict[str, Any]:
        """What `--json` prints. Names do not change without a note in CHANGELOG.md."""
        figures = self.figures
        return {
            "lists": figures.lists,
            "events": figures.events,
            "calls": figures.patches + figures.reads,
            "calls_saved": figures.calls_saved,
            "calls_saved_means": (
                "patches_needed minus patches; needed would be one PATCH to every other copy with that field for "
                "each change, and for each copy that differed when linked"
            ),
            "patches_needed": figures.needed,
            "patches": figures.patches,
            "reads": figures.reads,
            "lag_ms": {"p50": figures.lag_ms(0.5), "p99": figures.lag_ms(0.99)},
            "all_equal": self.all_equal,
            "different": [difference.id for difference in figures.different],
            "rate_limited": sum(remote.rate_limited for remote in figures.remotes),
            "retried": sum(remote.errors for remote in figures.remotes),
            "rejected": self.rejected,
            "overlaps": self.overlaps,
            "seconds": round(self.seconds, 1),
        }


def play(scenario: Scenario, screen: Screen, say: Callable[[str], None]) -> Summary:
    """The whole demo. Whatever happens, nothing is left running."""
    began = time.monotonic()
    with staged(scenario, say) as stage:
        with screen:
            course = _Course(scenario, stage, screen)
            course.link()
            course.edit()
            figures = course.settle()
        rejected = len(stage.views.look(lambda view: view.reject_ids()))
        summary = Summary(
            figures=figures,
            rejected=rejected,
            unreadable=course.post.unreadable,
            seconds=time.monotonic() - began,
            config=stage.config,
            log=stage.log,
        )
        stage.keep = not summary.well
    return summary


class _Course:
    """Plays one phase after the other, and shows every frame."""

    def __init__(self, scenario: Scenario, stage: Stage, screen: Screen) -> None:
        self._scenario, self._stage, self._screen = scenario, stage, screen
        lags = Lags()
        stream = stage.runtime.settings.events.stream
        self.post = Post(stage.redis, stream, Random(f"{scenario.seed}/post"), time.time)
        self._people = People(scenario, stage.simulators, self.post, lags)
        self._meter = Meter(stage, self._people.ids, lags)

    def link(self) -> None:
        """Until leadsync has nothing left to do, or cannot."""
        self._people.link_all()
        self._watch(Phase.LINKING, lambda figures, seconds: figures.settled or seconds > self._scenario.patience_s)

    def edit(self) -> None:
        """People edit, and things go wrong."""
        seconds = self._scenario.seconds
        mishaps = [(share * seconds, partial(self._mishap, remote, fault)) for remote, fault, share in MISHAPS]
        works: list[tuple[float, Callable[[], None]]] = [*mishaps, (seconds / 2, self.post.bring_unreadable)]
        step = 1 / self._scenario.edits_per_second
        works += [(n * step, self._people.edit) for n in range(int(seconds / step))]
        works.sort(key=lambda work: -work[0])

        def due(now_s: float) -> None:
            self.post.bring_late()
            while works and works[-1][0] <= now_s:
                works.pop()[1]()

        self._watch(Phase.EDITING, lambda _, now_s: now_s >= seconds, due, of_s=seconds)

    def settle(self) -> Figures:
        """Until all is equal, or it is plain that it will not be."""
        self.post.bring_late(all_of_it=True)
        settled_at: list[float] = []

        def over(figures: Figures, now_s: float) -> bool:
            if not figures.settled:
                settled_at.clear()
            elif not settled_at:
                settled_at.append(now_s)
            equal = figures.settled and not figures.different
            stuck = bool(settled_at) and now_s - settled_at[0] > _STUCK_S
            return equal or stuck or now_s > self._scenario.patience_s

        self._watch(Phase.SETTLING, over)
        return self._show(Phase.DONE, 0.0, None)

    def _mishap(self, remote: str, fault: str) -> None:
        self._stage.simulators[remote].next(fault, methods=["PATCH"])

    def _watch(
        self,
        phase: Phase,
        over: Callable[[Figures, float], bool],
        work: Callable[[float], None] = lambda _now_s: None,
        of_s: float | None = None,
    ) -> None:
        began = time.monotonic()
        next_frame = began
        while True:
            work(time.monotonic() - began)
            now = time.monotonic()
            if now >= next_frame:
                self._stage.tend()
                figures = self._show(phase, now - began, of_s)
                next_frame = max(now + _FRAME_S, time.monotonic() + (time.monotonic() - now) / _SHARE)
                if over(figures, now - began):
                    return
            time.sleep(0.005)

    def _show(self, phase: Phase, phase_s: float, of_s: float | None) -> Figures:
        figures = self._meter.look(
            phase=phase,
            phase_s=phase_s,
            of_s=of_s,
            events=self.post.events,
            needed=self._people.needed,
            renamed=self._people.renamed,
            now=time.monotonic(),
        )
        self._screen.show(figures)
        return figures
