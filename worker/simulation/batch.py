"""A batch: many histories over several processes. The tally is the same however they are spread."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeVar

from worker.simulation.history import quiet_logs
from worker.simulation.script import draw
from worker.simulation.setting import Setting
from worker.simulation.tally import Tally, Verdict, verdict

T = TypeVar("T")
U = TypeVar("U")

#: Histories that one process plays before it answers.
_CHUNK = 20


def play_batch(
    setting: Setting,
    seeds: Sequence[int],
    *,
    steps: int | None = None,
    jobs: int = 1,
    progress: Callable[[Tally], None] = lambda _tally: None,
) -> Tally:
    """All these seeds."""
    tally = Tally()
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    for verdicts in spread(partial(_play, setting, steps), chunks, jobs):
        tally.add(verdicts)
        progress(tally)
    return tally


def spread(work: Callable[[T], U], pieces: Sequence[T], jobs: int) -> Iterator[U]:
    """What `work` makes of each piece, in their order, over so many processes."""
    if jobs <= 1 or len(pieces) <= 1:
        set_up()
        yield from map(work, pieces)
        return
    # Spawned, not forked: whoever calls this may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(pieces)), mp_context=context, initializer=set_up) as pool:
        yield from pool.map(work, pieces)


def _play(setting: Setting, steps: int | None, seeds: Sequence[int]) -> list[Verdict]:
    return [verdict(draw(seed, setting, steps=steps)) for seed in seeds]


def set_up() -> None:
    """For a process that plays many histories: no logs, and the collector comes by seldom."""
    quiet_logs()
    gc.freeze()
    gc.set_threshold(200_000)
