"""Random histories under every fault: whatever happens, all ends well. And the batch met what it is meant to meet.

`SIMULATED_HISTORIES=100000 ./run test tests/simulation` plays more of them; `SIMULATED_FROM` is the first seed.
A failure prints its seed, and the story of it made as small as it still fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace

import pytest

from models.lead_list import Field
from models.scan import Quiet
from worker.engine.rules import Direction, OnGone, Policy, RemoteRules, Rules
from worker.simulation.batch import play_batch, set_up
from worker.simulation.faults import Fault
from worker.simulation.reduce import kinds, reduced
from worker.simulation.script import Script, draw
from worker.simulation.setting import BOTH, BUILT_IN, Setting
from worker.simulation.story import story
from worker.simulation.sweep import sweep
from worker.simulation.tally import PATHS, Tally, judged, verdict
from worker.simulation.words import says
from worker.store.memory_scans import MemoryScans
from worker.sync import settle

_HISTORIES = int(os.environ.get("SIMULATED_HISTORIES", "10000"))
_FIRST = int(os.environ.get("SIMULATED_FROM", "2000"))
_SWEPT = int(os.environ.get("SIMULATED_SWEEPS", "20"))
_JOBS = os.cpu_count() or 1
_KILLS = int(os.environ["SIMULATED_KILLS"]) if "SIMULATED_KILLS" in os.environ else 60

#: A user's rules, as different from the built-in ones as they can be.
THEIRS = Setting(
    name="theirs",
    rules=Rules(
        remotes={
            "crm": RemoteRules(rank=0, directions=BOTH),
            "second": RemoteRules(rank=1, directions={**BOTH, Field.OWNER: Direction.PUSH}, on_gone=OnGone.UNLINK),
            "outreach": RemoteRules(
                rank=2,
                directions={Field.NAME: Direction.BOTH, Field.ENRICHMENT: Direction.PULL},
                versioned=False,
                creates=True,
            ),
            "lance": RemoteRules(rank=3, directions={Field.NAME: Direction.BOTH}, on_gone=OnGone.RECREATE),
        },
        policies={Field.NAME: Policy.HOLD, Field.OWNER: Policy.NEWEST},
        brake=0.5,
    ),
)


@pytest.mark.timeout(3_600)
def test_every_history_ends_well() -> None:
    """All copies equal, no edit lost, nothing gone by mistake, no call for nothing, and the ledger explains it all.

    And a batch in which an interesting path never happened would show less than it says.
    """
    tally = play_batch(BUILT_IN, range(_FIRST, _FIRST + _HISTORIES), jobs=_JOBS)
    _end_well(tally, BUILT_IN)
    assert [] == tally.unmet


@pytest.mark.timeout(3_600)
def test_every_history_ends_well_under_the_rules_of_a_user() -> None:
    """Other remotes, directions and policies."""
    _end_well(play_batch(THEIRS, range(_FIRST, _FIRST + _HISTORIES // 12), jobs=_JOBS), THEIRS)


def _end_well(tally: Tally, setting: Setting) -> None:
    set_up()
    for seed, wrong in sorted(tally.wrong.items()):
        smallest = reduced(draw(seed, setting), wrong)
        history, complaints = judged(smallest)
        pytest.fail(f"seed {seed}: {wrong}\n\n{story(history, complaints)}", pytrace=False)


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(600_686, id="our late write, told by a remote whose clock is ahead"),
        pytest.param(601_593, id="a name that came back cut"),
        pytest.param(972_150, id="an edit in other case, found instead of our write"),
        pytest.param(600_074, id="creates on two remotes, both of unknown outcome"),
        pytest.param(600_666, id="a create that was given up for waiting"),
        pytest.param(602_383, id="an edit that nobody had seen when the next was made"),
        pytest.param(600_419, id="an edit of a list that cannot be written there"),
        pytest.param(700_024, id="a member that a lookup left out was taken for removed"),
        pytest.param(122_543, id="a member was made twice, though the first call had only come late"),
        pytest.param(700_775, id="members that nobody told of were never read"),
    ],
)
def test_what_ended_badly_once_ends_well(seed: int) -> None:
    """Histories that the simulation, or what it excused, got wrong before."""
    set_up()
    assert () == judged(draw(seed, BUILT_IN))[1]


def test_the_same_seeds_tell_the_same_in_another_process() -> None:
    """Sets of text are in another order there; nothing that happens may depend on it."""
    here = play_batch(BUILT_IN, range(7, 27)).digest
    script = (
        "from worker.simulation.batch import play_batch; from worker.simulation.setting import BUILT_IN\n"
        "print(play_batch(BUILT_IN, range(7, 27)).digest)"
    )
    for number in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": number},
            capture_output=True,
            text=True,
            check=True,
        )
        assert here == ran.stdout.strip()


@pytest.mark.parametrize("setting", [BUILT_IN, THEIRS], ids=lambda setting: setting.name)
def test_lists_that_need_not_be_loaded_tell_nothing_new(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan skips lists that are as they were; a scan that loads every list does the very same."""
    set_up()
    skipped, quiet = list[int](), MemoryScans.quiet

    def spied(self: MemoryScans, remote: str, ids: Collection[str]) -> dict[str, Quiet]:
        found = quiet(self, remote, ids)
        skipped.append(len(found))
        return found

    def none(_self: MemoryScans, _remote: str, _ids: Collection[str]) -> dict[str, Quiet]:
        return {}

    for seed in range(100, 160):
        played = []
        for looks in (spied, none):
            monkeypatch.setattr(MemoryScans, "quiet", looks)
            played.append(verdict(draw(seed, setting)))
        assert played[0] == played[1]
    assert sum(skipped) > 1_000


def test_the_tally_is_the_same_over_several_processes() -> None:
    """However the histories are spread."""
    one, two = (play_batch(BUILT_IN, range(50), jobs=jobs) for jobs in (1, 2))
    assert (one.digest, one.counts) == (two.digest, two.counts)


@pytest.mark.timeout(3_600)
def test_a_worker_may_be_killed_at_every_call() -> None:
    """Before it and after it; `SIMULATED_SWEEPS` and `SIMULATED_KILLS` say how many."""
    swept = sweep(BUILT_IN, range(_FIRST, _FIRST + _SWEPT), at_most=_KILLS, jobs=_JOBS)
    assert [] == swept.wrong
    assert swept.kills >= min(_KILLS, 10) * _SWEPT


def test_a_failing_history_is_made_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """And still fails the same way; its story tells who did what."""
    monkeypatch.setattr(settle, "_is_claimed", lambda *_args: True)
    monkeypatch.setattr(settle, "abandon", lambda copy, *_args: replace(copy, intent=None))
    script, wrong = next(_failing())
    smallest = reduced(script, wrong, tries=60)
    history, still = judged(smallest)
    assert kinds(wrong) & kinds(still)
    assert len(smallest.edits) + len(smallest.faults) < len(script.edits) + len(script.faults)
    told = story(history, still)
    assert "bad times" in told
    assert f"WRONG: {still[0]}" in told


def _failing() -> Iterator[tuple[Script, tuple[str, ...]]]:
    for seed in range(200):
        script = draw(seed, BUILT_IN)
        script = replace(script, faults=script.faults | {Fault.UNANSWERED, Fault.LATE})
        wrong = judged(script)[1]
        if wrong:
            yield script, wrong


def test_a_tally_is_told_in_words() -> None:
    """What was tried, and what the judges found."""
    tally = play_batch(BUILT_IN, range(3))
    told = "\n".join(says(tally, BUILT_IN))
    assert "Tried 3 histories" in told
    assert "All 3 histories ended well." in told
    assert set(PATHS) == set(tally.document()["paths"])
