"""Random histories of edits, events, pushes and scans under faults and kills: whatever happens, all ends well.

`SIMULATED_HISTORIES=1000 ./run test tests/property/test_scan_runs.py` plays more of them; `SIMULATED_FROM` is the
first seed. A failure prints its seed and what happened.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from models.ledger import ChangeKind
from models.scan import ScanState
from tests.support.judges import complaints
from tests.support.simulation import Simulation

_PARTS = 4
_SEEDS = int(os.environ.get("SIMULATED_HISTORIES", "160"))
_FIRST = int(os.environ.get("SIMULATED_FROM", "0"))

#: What a batch must have met, or it shows less than it says.
PATHS = (
    "conflict",
    "deleted",
    "edited in quiet",
    "gone",
    "held",
    "incomplete",
    "killed push",
    "killed scan",
    "late write",
    "overtaken",
    "paused",
    "refused",
    "released",
    "repaired",
    "scan gone on with",
    "superseded",
    "unclear write",
    "met again",
    "met cut",
    "met drops",
    "met nothing",
    "met stale",
    "met landed late",
)


@pytest.mark.parametrize("part", range(_PARTS))
def test_every_history_ends_well(part: int) -> None:
    """All copies equal, no edit lost, nothing gone by mistake, no call for nothing, and the ledger explains it all."""
    met = Counter[str]()
    for seed in range(_FIRST + part, _FIRST + _SEEDS, _PARTS):
        simulation = _played(seed)
        if wrong := complaints(simulation):
            pytest.fail(f"seed {seed}:\n" + "\n".join(wrong) + f"\n\n{_story(simulation)}", pytrace=False)
        met += _paths(simulation)
    if _SEEDS >= 40 * _PARTS:
        assert [] == [path for path in PATHS if not met[path]]


def test_a_seed_tells_the_same_history_twice() -> None:
    """A failure can be played again."""
    assert _played(7).trace == _played(7).trace


def _played(seed: int) -> Simulation:
    simulation = Simulation(seed)
    try:
        return simulation.run()
    except Exception as error:
        error.add_note(f"seed {seed}\n{_story(simulation)}")
        raise


def _story(simulation: Simulation) -> str:
    return "\n".join(f"{at:9.2f} {text}" for at, text in simulation.trace)


def _paths(simulation: Simulation) -> Counter[str]:
    tables = simulation.store.tables
    met = Counter(simulation.seen_paths)
    for remote in simulation.remotes.values():
        met.update({f"met {trouble}": times for trouble, times in remote.met.items()})
    for scan in tables.scans.values():
        met["overtaken"] += scan.moved
        met["repaired"] += scan.repaired
        met["incomplete"] += scan.state is ScanState.INCOMPLETE
        met["superseded"] += scan.state is ScanState.SUPERSEDED
        met["held"] += scan.id in simulation.released
    for _, change in tables.changes:
        met["gone"] += change.kind is ChangeKind.GONE
        met["conflict"] += change.kind is ChangeKind.CONFLICT
        met["late write"] += change.kind is ChangeKind.LATE_WRITE
    met["unclear write"] += sum(attempt.outcome == "unclear" for attempt in tables.attempts)
    return met
