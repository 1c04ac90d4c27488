"""A crash sweep: one history in a good world, played again and again, each time with a worker killed before or after
another one of its port calls. It finds in seconds what random kills rarely meet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from models.values import replace
from worker.simulation.batch import spread
from worker.simulation.script import Script, draw, without_faults
from worker.simulation.setting import Setting
from worker.simulation.tally import judged


@dataclass(slots=True)
class Swept:
    """What sweeps came to."""

    histories: int = 0
    kills: int = 0
    #: (seed, number of the call, killed after it) and what was wrong.
    wrong: list[tuple[int, int, bool, tuple[str, ...]]] = field(default_factory=list)


def sweep(setting: Setting, seeds: Sequence[int], *, at_most: int | None = None, jobs: int = 1) -> Swept:
    """All these seeds, over so many processes; `at_most` so many kills of each, spread over its calls."""
    whole = Swept()
    for one in spread(partial(_sweep, setting, at_most), seeds, jobs):
        whole.histories += one.histories
        whole.kills += one.kills
        whole.wrong += one.wrong
    return whole


def _sweep(setting: Setting, at_most: int | None, seed: int) -> Swept:
    script, swept = without_faults(draw(seed, setting)), Swept(histories=1)
    for call, after in _moments(script, at_most):
        swept.kills += 1
        _, wrong = judged(replace(script, kill_at=(call, after)))
        if wrong:
            swept.wrong.append((seed, call, after, wrong))
    return swept


def _moments(script: Script, at_most: int | None) -> Iterator[tuple[int, bool]]:
    """Before and after each call that the undisturbed history makes."""
    history, _ = judged(script)
    every = [(call, after) for call in range(1, history.calls + 1) for after in (False, True)]
    if at_most is None or len(every) <= at_most:
        yield from every
    else:
        yield from sorted(random.Random(script.seed).sample(every, at_most))
