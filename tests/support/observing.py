"""Observing one list by the usual rules, and what came of it: for the tests of `worker.engine.observe`."""

from __future__ import annotations

from models.lead_list import Field, LeadList, Value
from models.ledger import ChangeKind
from models.observation import Observation
from tests.support.heart import rules_of
from worker.engine.observe import Observed, observe
from worker.engine.rules import Rules

RULES = rules_of()
NAME = Field.NAME


def see(lead_list: LeadList, seen: Observation, rules: Rules = RULES) -> Observed:
    """Observe by the usual rules."""
    return observe(lead_list, seen, rules)


def name_in(observed: Observed, remote: str) -> Value:
    """The name that a copy showed last."""
    return observed.lead_list.copies[remote].seen[NAME].value


def wanted_name(observed: Observed) -> Value:
    """The name that is wanted."""
    return observed.lead_list.wanted[NAME].value


def kinds(observed: Observed) -> list[ChangeKind]:
    """What the ledger says."""
    return [change.kind for change in observed.changes]


def lower(_field: Field, value: Value) -> Value:
    """The spelling of a remote without capitals."""
    return value.lower() if isinstance(value, str) else value
