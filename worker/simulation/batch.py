"""A batch: many histories over several processes. The tally is the same however they are spread."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from worker.simulation.history import quiet_logs
from worker.simulation.script import draw
from worker.simulation.setting import Setting
from worker.simulation.tally import Tally, Verdict, verdict

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
    for verdicts in _played(partial(_play, setting, steps), seeds, jobs):
        tally.add(verdicts)
        progress(tally)
    return tally


def _played(play: Callable[[Sequence[int]], list[Verdict]], seeds: Sequence[int], jobs: int) -> Iterator[list[Verdict]]:
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    if jobs <= 1 or len(chunks) <= 1:
        set_up()
        yield from map(play, chunks)
        return
    # Spawned, not forked: whoever calls this may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(chunks)), mp_context=context, initializer=set_up) as pool:
        yield from pool.map(play, chunks)


def _play(setting: Setting, steps: int | None, seeds: Sequence[int]) -> list[Verdict]:
    return [verdict(draw(seed, setting, steps=steps)) for seed in seeds]


def set_up() -> None:
    """For a process that plays many histories: no logs, and the collector comes by seldom."""
    quiet_logs()
    gc.freeze()
    gc.set_threshold(200_000)
