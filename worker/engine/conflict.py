"""One field was edited on two sides before they met: who wins. Called by observe and join."""

from __future__ import annotations

import enum

from models.lead_list import Field, Stamp, Wanted
from worker.engine.rules import Policy, Rules


class Winner(enum.StrEnum):
    """Whose value becomes, or stays, wanted."""

    WANTED = "wanted"  #: what was agreed stays; the copy is overwritten
    COPY = "copy"  #: the copy's value becomes wanted
    NOBODY = "nobody"  #: held for a person


def decide(field: Field, wanted: Wanted, remote: str, stamp: Stamp, rules: Rules) -> Winner:
    """Apply the field's policy. Stamps of two remotes are compared only because the user asked for `newest`."""
    match rules.policy(field):
        case Policy.HOLD:
            return Winner.NOBODY
        case Policy.NEWEST if stamp.time != wanted.stamp.time:
            return Winner.COPY if stamp.time > wanted.stamp.time else Winner.WANTED
        case _:
            return by_authority(wanted, remote, rules)


def by_authority(wanted: Wanted, remote: str, rules: Rules) -> Winner:
    """The remote higher in `sync.authority`; between equals, what is already agreed stays."""
    return Winner.COPY if rules.outranks(remote, wanted.origin) else Winner.WANTED
