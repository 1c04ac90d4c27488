"""Tests of the tests: every deliberate bug is caught by a judge, within some histories of fixed seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulation.broken_members import MEMBER_MUTANTS
from tests.simulation.mutants import MUTANTS, Change, Mutant
from worker.simulation.batch import set_up
from worker.simulation.script import Script, draw
from worker.simulation.setting import BUILT_IN
from worker.simulation.tally import judged

#: Histories within which each must be caught.
_WITHIN = 400
_ALL = {**MUTANTS, **MEMBER_MUTANTS}


@pytest.mark.parametrize("name", _ALL)
def test_the_judges_catch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched on, some history ends badly that ends well without it."""
    set_up()
    _replace(_ALL[name].world, monkeypatch)
    scripts = (_aimed(draw(seed, BUILT_IN), _ALL[name]) for seed in range(_WITHIN))
    for script in scripts:
        if script is None:
            continue
        with monkeypatch.context() as switched_on:
            _replace(_ALL[name].changes, switched_on)
            caught = judged(script)[1]
        if caught and not judged(script)[1]:
            return
    pytest.fail(f"{_ALL[name].says} Nobody noticed in {_WITHIN} histories.", pytrace=False)


def _replace(changes: Sequence[Change], here: pytest.MonkeyPatch) -> None:
    for owner, function, change in changes:
        here.setattr(owner, function, change(owner.__dict__[function]))


def _aimed(script: Script, mutant: Mutant) -> Script | None:
    """With the faults that the mutant needs; None for a history in which it cannot show."""
    creates = any(rules.creates for rules in script.rules.remotes.values())
    if mutant.creates and not creates:
        return None
    script = replace(script, faults=script.faults | mutant.faults)
    return replace(script, lists=2, edits=tuple(range(40)), war_s=200.0) if mutant.busy else script
