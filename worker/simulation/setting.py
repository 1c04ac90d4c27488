"""The setting of a history: which remotes there are and by which rules they are synced. Built in, or the user's own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from models.lead_list import Field
from models.person import Naming
from models.values import replace
from worker.engine.rules import Direction, OnGone, Policy, RemoteRules, Rules, same
from worker.settings import Settings

BOTH: Mapping[Field, Direction] = dict.fromkeys(Field, Direction.BOTH)
_NO_MEMBERS = {**BOTH, Field.MEMBERS: Direction.NONE}
#: How many built-in histories have a remote whose members are apart: they take longer than others.
_APART = 0.15
#: How often members that are apart are read anew: often enough that peace does.
_MEMBERS_EVERY_S = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What does not change from history to history; without `rules`, each history draws its own."""

    name: str
    rules: Rules | None = None
    late_write_s: float = 120.0
    timeout_s: float = 20.0

    def rules_for(self, chance: random.Random, apart: random.Random) -> Rules:
        """The rules of one history; `apart` draws whether members are apart anywhere."""
        return self.rules or _with_apart(_drawn(chance), apart)


BUILT_IN = Setting(name="three remotes of its own")


def of_settings(settings: Settings, rules: Rules, name: str) -> Setting:
    """The user's remotes by their names, directions, policies and brake, as far as a simulation can be them.

    Values are canonical on every side, nobody reviews plans, and members that lists show go by their keys.
    """
    apart = any(one.versioned for one in rules.remotes.values())  # or nobody would say who they are
    remotes = {name: _simulated(one, apart=apart) for name, one in rules.remotes.items()}
    timeout_s = min(max(one.timeout_s for one in settings.remotes.values()), settings.sync.late_write_s / 6)
    whole = replace(rules, remotes=remotes)
    return Setting(name=name, rules=whole, late_write_s=settings.sync.late_write_s, timeout_s=timeout_s)


def has_apart(rules: Rules) -> bool:
    """Whether some remote has members that are read by calls of their own."""
    return any(one.members_apart for one in rules.remotes.values())


def _simulated(rules: RemoteRules, *, apart: bool) -> RemoteRules:
    """Where lists show their members, these are known by their keys."""
    directions = dict(rules.directions)
    apart = apart and rules.members_apart and rules.direction(Field.MEMBERS).used
    if not rules.versioned and not apart:
        directions[Field.MEMBERS] = Direction.NONE
    return RemoteRules(
        rank=rules.rank,
        directions=directions,
        spell=same,
        versioned=rules.versioned,
        creates=rules.creates,
        on_gone=rules.on_gone,
        naming=Naming.EMAIL if apart else Naming.KEY,
        members_apart=apart,
        members_at_once=rules.members_at_once if apart else None,
        members_every_s=_MEMBERS_EVERY_S,
    )


def _with_apart(rules: Rules, chance: random.Random) -> Rules:
    """Some histories have members on the remote without versions too: by address, read by calls of their own."""
    if chance.random() >= _APART:
        return rules
    one = rules.remotes["instantly"]
    direction = chance.choice((Direction.BOTH, Direction.BOTH, Direction.BOTH, Direction.PUSH, Direction.PULL))
    rows = replace(
        one,
        directions={**one.directions, Field.MEMBERS: direction},
        naming=Naming.EMAIL,
        members_apart=True,
        members_at_once=chance.choice((2, 5_000)),
        members_every_s=_MEMBERS_EVERY_S,
    )
    return replace(rules, remotes={**rules.remotes, "instantly": rows})


def _drawn(chance: random.Random) -> Rules:
    """A CRM, mostly a second remote with versions, and one without; sometimes lists are created."""
    creates = chance.random() < 0.35
    gone = chance.choice(tuple(OnGone)) if chance.random() < 0.5 else OnGone.HOLD
    crm = RemoteRules(rank=0, directions=BOTH, on_gone=gone)
    lance = RemoteRules(rank=1, directions=BOTH, creates=creates and chance.random() < 0.5, on_gone=gone)
    instantly = RemoteRules(rank=2, directions=_NO_MEMBERS, versioned=False, creates=creates, on_gone=gone)
    if chance.random() < 0.15:
        lance = replace(lance, directions={**BOTH, Field.OWNER: Direction.PUSH})
    if chance.random() < 0.15:
        instantly = replace(instantly, directions={**_NO_MEMBERS, Field.ENRICHMENT: Direction.PULL})
    remotes = {"crm": crm, "lance": lance, "instantly": instantly}
    if chance.random() < 0.3:
        del remotes["lance"]
    policy = chance.choice((Policy.AUTHORITY, Policy.AUTHORITY, Policy.NEWEST, Policy.NEWEST, Policy.HOLD))
    return Rules(remotes=remotes, policies=dict.fromkeys(Field, policy))
