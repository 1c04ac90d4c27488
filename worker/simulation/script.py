"""The script of one history: what its seed draws before anything is played. Reducing a failure cuts its script."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from worker.engine.rules import Rules
from worker.simulation.faults import APART, HIDING, SELDOM, USUAL, Fault
from worker.simulation.setting import Setting, has_apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Everything that is decided beforehand. The rest follows from it and from the seed."""

    seed: int
    setting: Setting
    rules: Rules
    #: Which faults exist at all.
    faults: frozenset[Fault]
    lists: int
    #: Edits of people, by number: an edit that is taken out leaves the others as they are.
    edits: tuple[int, ...]
    #: How long the bad times last, in seconds.
    war_s: float
    #: Kill the worker at this port call and at no other: its number, and whether before it or after it.
    kill_at: tuple[int, bool] | None = None

    def chance(self, what: str) -> random.Random:
        """Random numbers for one thing, whatever all the others draw."""
        return random.Random(f"{self.seed} {what}")


def draw(seed: int, setting: Setting, *, steps: int | None = None) -> Script:
    """The script of one seed; with `steps`, so many edits at most."""
    chance = random.Random(f"{seed} script")
    apart = random.Random(f"{seed} members apart")
    rules = setting.rules_for(chance, apart)
    storm = chance.random() < 0.06
    lists = chance.randint(8, 14) if storm else chance.choice((1, 1, 2, 2, 3, 4))
    edits = chance.randint(12, 24) if storm else chance.randint(2, 12)
    return Script(
        seed=seed,
        setting=setting,
        rules=rules,
        faults=_faults(chance, rules) | _faults_apart(apart, rules),
        lists=lists,
        edits=tuple(range(edits if steps is None else min(edits, steps))),
        war_s=chance.uniform(40.0, 160.0),
    )


def _faults(chance: random.Random, rules: Rules) -> frozenset[Fault]:
    """Swarm: some histories have hardly any, so that what is left of them can be told apart."""
    usual = chance.choice((0.0, 0.15, USUAL, USUAL, 0.7))
    likely = {fault: min(usual, SELDOM.get(fault, 1.0)) for fault in Fault if fault not in APART}
    drawn = {fault for fault, share in likely.items() if chance.random() < share}
    # A list that is left out of listings and answered with 404 is gone, as far as anybody can tell.
    drawn -= {Fault.NOT_FOUND} if chance.random() < 0.7 else HIDING
    if not any(one.creates for one in rules.remotes.values()):
        drawn -= {Fault.MAKES}
    return frozenset(drawn)


def _faults_apart(chance: random.Random, rules: Rules) -> frozenset[Fault]:
    return frozenset(fault for fault in Fault if fault in APART and chance.random() < USUAL and has_apart(rules))


#: A script that nothing is wrong with: for crash sweeps.
def without_faults(script: Script) -> Script:
    """The same people and remotes in a good world."""
    kept = script.faults & {Fault.MAKES, Fault.DELETES, Fault.RIVALS}
    return Script(
        seed=script.seed,
        setting=script.setting,
        rules=script.rules,
        faults=kept,
        lists=min(script.lists, 3),
        edits=script.edits[:8],
        war_s=60.0,
    )


@dataclass(slots=True)
class Streams:
    """Random numbers by what they are for; each is made once."""

    script: Script
    _made: dict[str, random.Random] = field(default_factory=dict)

    def __getitem__(self, what: str) -> random.Random:
        """The one for this."""
        if what not in self._made:
            self._made[what] = self.script.chance(what)
        return self._made[what]
