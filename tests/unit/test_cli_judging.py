"""How documents judge what they were told: why copies wait, Redis' own words, clocks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from models.lead_list import Standing, Waiting
from tests.support.heart import NOON, later
from worker.documents.doctor import Result, judge_clock, judge_redis
from worker.documents.lists import link_step, overall
from worker.documents.remotes import Brakes, age_s, budget_document
from worker.limits.base import BudgetState
from worker.ports import RemoteState

CALM = BudgetState(used={1.0: (3, 10), 60.0: (30, 600)}, share=1.0, backoff_s=0.0, breaker_s=None)
BACKED_OFF = BudgetState(used=CALM.used, share=0.5, backoff_s=12.0, breaker_s=None)
BROKEN = BudgetState(used=CALM.used, share=1.0, backoff_s=12.0, breaker_s=3.0)
SPENT = BudgetState(used={1.0: (3, 10), 60.0: (600, 600)}, share=1.0, backoff_s=0.0, breaker_s=None)
PAUSED = RemoteState(paused=True, cause="paused by a person", next_step="leadsync resume crm")


def brakes(budget: BudgetState | None = CALM, state: RemoteState | None = None) -> Brakes:
    """One remote called crm."""
    return Brakes(frozenset({"crm"}), {} if state is None else {"crm": state}, {"crm": budget})


@pytest.mark.parametrize(
    ("what_holds", "in_flight", "waiting"),
    [
        (brakes(), False, Waiting.BACKOFF),
        (brakes(None), False, Waiting.BACKOFF),
        (brakes(BACKED_OFF), False, Waiting.BUDGET),
        (brakes(BROKEN), False, Waiting.BREAKER),
        (brakes(BROKEN, PAUSED), False, Waiting.PAUSED),
        (brakes(BROKEN, PAUSED), True, Waiting.IN_FLIGHT),
        (Brakes(frozenset(), {}, {}), False, Waiting.PAUSED),
    ],
)
def test_what_holds_a_whole_remote_comes_before_a_copy_s_own_reason(
    what_holds: Brakes, *, in_flight: bool, waiting: Waiting
) -> None:
    """In flight, then paused (or gone from the settings), breaker, back-off, then what the copy itself waits for."""
    assert waiting is what_holds.waiting("crm", Waiting.BACKOFF, in_flight=in_flight)


@pytest.mark.parametrize(
    ("stored", "waiting"),
    [
        (None, Waiting.BUDGET),
        (Waiting.TURN, Waiting.BUDGET),
        (Waiting.FIRST_READ, Waiting.BUDGET),
        (Waiting.BACKOFF, Waiting.BACKOFF),
        (Waiting.READ_BACK, Waiting.READ_BACK),
        (Waiting.FIRST_SCAN, Waiting.FIRST_SCAN),
        (Waiting.REVIEW, Waiting.REVIEW),
    ],
)
def test_when_every_place_is_taken_what_comes_next_waits_for_the_rate_budget(
    stored: Waiting | None, waiting: Waiting
) -> None:
    """Without any 429; nobody is sent to see whether workers run. What has a reason of its own keeps it."""
    assert not CALM.spent
    assert SPENT.spent
    assert waiting is brakes(SPENT).waiting("crm", stored)


def test_a_due_copy_without_a_reason_waits_for_its_turn() -> None:
    """Every due copy is counted under some reason, so the reasons add up."""
    assert Waiting.TURN is brakes().waiting("crm", None)


@pytest.mark.parametrize(
    ("what_holds", "word"),
    [(brakes(), "active"), (brakes(None), "unknown"), (brakes(None, PAUSED), "paused"), (brakes(BROKEN), "active")],
)
def test_a_remote_is_active_only_when_its_budget_is_known(what_holds: Brakes, word: str) -> None:
    """Without Redis nobody calls, so nobody may say that all is well."""
    assert word == what_holds.word("crm")


def test_an_unknown_budget_is_the_word_unknown() -> None:
    """Never a zero that looks like a free budget."""
    assert budget_document(None) == "unknown"
    known = budget_document(CALM)
    assert not isinstance(known, str)
    assert ({"second": 3, "minute": 30}, {"second": 10, "minute": 600}) == (known.used, known.limit)


@pytest.mark.parametrize(
    ("standings", "whole"),
    [
        ([], Standing.IN_SYNC),
        ([Standing.IN_SYNC, Standing.EXCLUDED], Standing.EXCLUDED),
        ([Standing.DUE, Standing.EXCLUDED], Standing.DUE),
        ([Standing.DUE, Standing.CONFLICT], Standing.CONFLICT),
        ([Standing.PARKED, Standing.CONFLICT], Standing.PARKED),
    ],
)
def test_a_list_stands_where_its_most_urgent_copy_stands(standings: list[Standing], whole: Standing) -> None:
    """What a person must see comes first."""
    assert whole is overall(standings)


@pytest.mark.parametrize(
    ("copies", "step"),
    [
        ({"crm": "17"}, "not linked: leadsync link crm:17 instantly:ID lance:ID"),
        ({"crm": "it's; rm -rf"}, "not linked: leadsync link 'crm:it'\"'\"'s; rm -rf' instantly:ID lance:ID"),
        ({"crm": "17", "lance": "9"}, None),
    ],
)
def test_a_list_on_one_remote_only_names_the_command_that_links_it(copies: dict[str, str], step: str | None) -> None:
    """Ready to be copied into a shell, whatever the id holds."""
    assert step == link_step(copies, {"crm", "instantly", "lance"})


@pytest.mark.parametrize(
    ("told", "results"),
    [
        ({"redis_version": "7.0.15", "maxmemory_policy": "noeviction", "aof_enabled": 1}, ["ok", "ok", "ok"]),
        ({"redis_version": "6.2.9", "maxmemory_policy": "allkeys-lru", "aof_enabled": 0}, ["bad", "bad", "bad"]),
        ({"redis_version": "10.0.0"}, ["ok", "unknown", "unknown"]),
        ({}, ["unknown", "unknown", "unknown"]),
    ],
)
def test_redis_is_judged_by_its_own_words(told: dict[str, Any], results: list[str]) -> None:
    """What a hosted server does not say is unknown, and everything that is not ok has a next step."""
    checks = judge_redis(told)

    assert results == [check.result.value for check in checks]
    assert all((check.next_step is None) == (check.result is Result.OK) for check in checks)


@pytest.mark.parametrize(("skew_s", "result"), [(0, "ok"), (4.9, "ok"), (-4.9, "ok"), (5.1, "bad"), (-60, "bad")])
def test_clocks_may_differ_by_less_than_five_seconds(skew_s: float, result: str) -> None:
    """The time that the question took is nobody's fault."""
    asked, answered = NOON, later(30)
    told = (answered if skew_s > 0 else asked) + timedelta(seconds=skew_s)

    assert result == judge_clock("clock", asked, told, answered).result.value


def test_an_age_is_never_negative() -> None:
    """Two machines' clocks may disagree a little."""
    assert age_s(None, NOON) is None
    assert age_s(later(-3), NOON) == 3.0
    assert age_s(later(3), NOON) == 0.0
