"""Simulate: histories per CPU second. Run by hand.

    ./run bench simulate [--small] [--json]

Held fixed: the machine, one process, the built-in setting, seeds 2000 to 2399. What is measured is CPU time of this
process, not time that passes, so other work on the machine disturbs less. Both kinds of history take turns.

The baselines are of the same run: the same histories when nothing happens in them (nobody edits, nothing fails, and the
bad times last a second), and bare switches between two coroutines of asyncio, of which a port call of a simulation
takes several.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bench.table import Figure, options, show
from worker.simulation.batch import set_up
from worker.simulation.clock import VirtualLoop, run_virtually
from worker.simulation.script import Script, draw
from worker.simulation.setting import BUILT_IN
from worker.simulation.tally import judged

_TURN: Final = 20
_SWITCHES: Final = 200_000


@dataclass(slots=True)
class Played:
    """Some histories."""

    histories: int = 0
    port_calls: int = 0
    cpu_s: float = 0.0

    def play(self, script: Script) -> None:
        """One more."""
        begun = time.process_time()
        history, wrong = judged(script)
        self.cpu_s += time.process_time() - begun
        if wrong:
            raise SystemExit(f"seed {script.seed} ends badly, so nothing is measured: {wrong}")
        self.histories += 1
        self.port_calls += history.calls


def quiet(script: Script) -> Script:
    """The same lists, and nothing happens to them."""
    return replace(script, faults=frozenset(), edits=(), war_s=1.0)


def cpu_s(work: Callable[[], object]) -> float:
    """What it takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


async def switches(times: int) -> None:
    """Two coroutines that make way for each other."""

    async def makes_way() -> None:
        for _ in range(times // 2):
            await asyncio.sleep(0)

    await asyncio.gather(makes_way(), makes_way())


async def waits(loop: VirtualLoop, times: int) -> None:
    """One that waits again and again, until virtual moments."""
    for _ in range(times):
        await loop.after(1.0)


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    set_up()
    scripts = [draw(seed, BUILT_IN) for seed in range(2000, 2060 if small else 2400)]
    all_of_it, nothing = Played(), Played()
    for begin in range(0, len(scripts), _TURN):
        for script in scripts[begin : begin + _TURN]:
            all_of_it.play(script)
        for script in scripts[begin : begin + _TURN]:
            nothing.play(quiet(script))
    bare = _SWITCHES / cpu_s(lambda: asyncio.run(switches(_SWITCHES)))
    loop = VirtualLoop()
    virtual = _SWITCHES / cpu_s(lambda: run_virtually(waits(loop, _SWITCHES), loop))
    unit, calls, idle = "per CPU s", all_of_it.port_calls / all_of_it.cpu_s, nothing.histories / nothing.cpu_s
    yield Figure(what="bare switches of asyncio", value=bare, unit=unit)
    yield Figure(what="waits in virtual time", value=virtual, unit=unit, baseline=bare, of="× bare switches")
    yield Figure(what="port calls of histories", value=calls, unit=unit, baseline=bare, of="× bare switches")
    yield Figure(what="histories in which nothing happens", value=idle, unit=unit)
    value = all_of_it.histories / all_of_it.cpu_s
    yield Figure(what="histories", value=value, unit=unit, baseline=idle, of="× those in which nothing happens")
    yield Figure(what="CPU time of a history", value=1000 / value, unit="ms", baseline=1000 / idle, of="× those")


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
