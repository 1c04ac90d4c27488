"""Who wins a conflict: policy by policy."""

from __future__ import annotations

import pytest

from models.lead_list import Field, Wanted
from tests.support.heart import at, rules_of
from worker.engine.conflict import Winner, by_authority, decide
from worker.engine.rules import Policy

NAME = Field.NAME


@pytest.mark.parametrize(
    ("winner", "policy", "remote", "origin", "seconds"),
    [
        (Winner.COPY, Policy.AUTHORITY, "crm", "lance", 1),
        (Winner.COPY, Policy.AUTHORITY, "crm", "lance", 9),
        (Winner.WANTED, Policy.AUTHORITY, "lance", "crm", 9),
        (Winner.COPY, Policy.NEWEST, "lance", "crm", 9),
        (Winner.WANTED, Policy.NEWEST, "crm", "lance", 1),
        (Winner.COPY, Policy.NEWEST, "crm", "lance", 5),
        (Winner.WANTED, Policy.NEWEST, "lance", "crm", 5),
        (Winner.NOBODY, Policy.HOLD, "crm", "lance", 9),
    ],
)
def test_policies(winner: Winner, policy: Policy, remote: str, origin: str, seconds: float) -> None:
    """Authority by rank, newest by time with authority for a tie, hold for nobody."""
    wanted = Wanted("X", at(5), origin)
    assert winner is decide(NAME, wanted, remote, at(seconds), rules_of({NAME: policy}))


def test_newest_does_not_compare_sequences_of_two_remotes() -> None:
    """Sequences count the events of one source; between two remotes only time is comparable."""
    wanted = Wanted("X", at(5, 900), "crm")
    assert Winner.COPY is decide(NAME, wanted, "lance", at(9, 1), rules_of({NAME: Policy.NEWEST}))


@pytest.mark.parametrize(
    ("winner", "remote", "origin"),
    [
        (Winner.COPY, "crm", "instantly"),
        (Winner.WANTED, "instantly", "crm"),
        (Winner.WANTED, "crm", "crm"),
        (Winner.COPY, "instantly", "left the settings"),
        (Winner.WANTED, "left the settings", "instantly"),
    ],
)
def test_authority(winner: Winner, remote: str, origin: str) -> None:
    """Higher wins, equals leave things as they are, and a remote that left the settings stands below all."""
    assert winner is by_authority(Wanted("X", at(0), origin), remote, rules_of())


def test_each_field_has_its_own_policy() -> None:
    """A policy for one field says nothing about another."""
    rules = rules_of({NAME: Policy.HOLD})
    assert (Policy.HOLD, Policy.AUTHORITY) == (rules.policy(NAME), rules.policy(Field.OWNER))
