"""What every rate budget does about places and 429s, to the microsecond: memory and Redis alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.test_budget_twins import HELD_S, HOLD_S, SECOND, Driver, driven
from worker.errors import UsageError
from worker.limits.base import BudgetState, Ending, Grant, Lane, Wait, Window

MINUTE = Window(limit=30, seconds=60.0)


@pytest.fixture(params=["memory", "redis"])
def budget(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The same tests for both forms."""
    with driven(request.param, request) as driver:
        yield driver


# Places


def test_the_whole_limit_may_go_out_at_once(budget: Driver) -> None:
    """A batch takes what there is, and no more until a place is free."""
    grant = budget.ask(25)
    assert len(set(grant.tickets)) == 10
    assert grant.why is Wait.BUDGET
    assert HELD_S == grant.wait_s
    assert () == budget.ask().tickets


def test_a_place_is_kept_until_the_answer_plus_one_window(budget: Driver) -> None:
    """The remote counted the call somewhere before its answer, so the window starts there."""
    tickets = budget.ask(10).tickets
    budget.wait(0.4)
    budget.end(Ending.ANSWERED, *tickets)
    refused = budget.ask()
    assert pytest.approx(HELD_S) == refused.wait_s
    budget.wait(refused.wait_s - 0.000_001)
    assert () == budget.ask().tickets
    budget.wait(0.000_001)
    assert 10 == len(budget.ask(10).tickets)


def test_a_report_may_be_late_without_wasting_budget(budget: Driver) -> None:
    """The window starts at the answer, not at the report of it."""
    tickets = budget.ask(10).tickets
    budget.wait(0.5)
    budget.end(Ending.ANSWERED, *tickets, age_s=0.3)
    assert pytest.approx(HELD_S - 0.3) == budget.ask().wait_s


def test_a_call_that_was_never_sent_frees_its_place_at_once(budget: Driver) -> None:
    """Nothing was counted at the remote."""
    tickets = budget.ask(10).tickets
    budget.end(Ending.UNSENT, *tickets[:3])
    assert 3 == len(budget.ask(10).tickets)


@pytest.mark.parametrize("reported", [True, False])
def test_an_unclear_call_keeps_its_place_for_the_whole_hold(budget: Driver, *, reported: bool) -> None:
    """It may arrive as late as that; the same goes for a worker that died and reports nothing."""
    tickets = budget.ask(10).tickets
    if reported:
        budget.end(Ending.UNKNOWN, *tickets[:3])
    budget.wait(HOLD_S + HELD_S - 0.000_001)
    assert (10, 10) == budget.used()
    budget.wait(0.000_001)
    assert (0, 10) == budget.used()


def test_an_answer_after_the_hold_still_counts(budget: Driver) -> None:
    """Its place was given away, but what is known to have been counted fills the window."""
    tickets = budget.ask(10).tickets
    budget.wait(HOLD_S + 5)
    budget.end(Ending.ANSWERED, *tickets)
    assert () == budget.ask().tickets


def test_all_windows_at_once_or_nothing(budget: Driver) -> None:
    """The long window refuses although the short one is empty, and the wait is the long one's."""
    budget.on(MINUTE, SECOND)
    for _ in range(3):
        budget.end(Ending.ANSWERED, *budget.ask(10).tickets)
        budget.wait(2.0)
    refused = budget.ask()
    assert ((), Wait.BUDGET) == (refused.tickets, refused.why)
    assert pytest.approx(60.06 - 6.0) == refused.wait_s
    assert {1.0: (0, 10), 60.0: (30, 30)} == budget.state().used


def test_a_batch_may_be_large(budget: Driver) -> None:
    """Thousands of places in one call, each with its own ticket."""
    budget.on(Window(limit=6000, seconds=1.0))
    grants = [budget.ask(4000), budget.ask(4000)]
    assert [4000, 2000] == [len(grant.tickets) for grant in grants]
    assert 6000 == len({ticket for grant in grants for ticket in grant.tickets})


def test_a_look_takes_nothing(budget: Driver) -> None:
    """`status` may look as often as it likes."""
    budget.ask(4)
    assert [(4, 10), (4, 10)] == [budget.used(), budget.used()]
    assert BudgetState(used={1.0: (4, 10)}, share=1.0, backoff_s=0.0, breaker_s=None) == budget.state()


@pytest.mark.parametrize("windows", [(), (Window(limit=0, seconds=1),), (Window(limit=1, seconds=0),)])
def test_windows_that_allow_nothing_are_refused(budget: Driver, windows: tuple[Window, ...]) -> None:
    """A budget that could never grant is a mistake in the settings."""
    with pytest.raises(UsageError, match="at least one window"):
        budget.on(*windows)


# 429


def test_a_429_pauses_everybody_for_as_long_as_the_remote_says(budget: Driver) -> None:
    """Retry-After counts from the answer."""
    (ticket,) = budget.ask().tickets
    budget.end(Ending.LIMITED, ticket, age_s=1.0, retry_after_s=30.0)
    for lane in Lane:
        assert Grant(wait_s=29.0, why=Wait.BACKOFF) == budget.ask(lane=lane)
    assert 29.0 == budget.state().backoff_s
    budget.wait(29.0)
    assert budget.ask().tickets


def test_a_pause_is_only_ever_extended(budget: Driver) -> None:
    """A second, milder wish does not shorten the first."""
    first, second = budget.ask(2).tickets
    budget.end(Ending.LIMITED, first, retry_after_s=30.0)
    budget.end(Ending.LIMITED, second, retry_after_s=5.0)
    assert 30.0 == budget.state().backoff_s


def test_without_a_wish_the_pause_doubles_up_to_a_minute(budget: Driver) -> None:
    """The remote gave no time, so we choose: from 1 s to 60 s, between half and all of it by chance."""
    pauses = []
    for _ in range(8):
        budget.call(Ending.LIMITED)
        pauses.append(budget.state().backoff_s)
        budget.wait(pauses[-1] + HELD_S)
    assert [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0] == pauses


@pytest.mark.parametrize(("spread", "seconds"), [(0.0, 0.5), (1.0, 1.0)])
def test_chance_spreads_the_pause(budget: Driver, spread: float, seconds: float) -> None:
    """Never less than half of the curve, so that a pause is a pause."""
    budget.spread = spread
    budget.call(Ending.LIMITED)
    assert seconds == budget.state().backoff_s


def test_an_answer_after_the_pause_starts_the_curve_anew(budget: Driver) -> None:
    """The remote took a call again: the next 429 is a new story."""
    budget.call(Ending.LIMITED)
    budget.wait(5)
    budget.call(Ending.ANSWERED)
    budget.call(Ending.LIMITED)
    assert 0.75 == budget.state().backoff_s


def test_an_answer_to_an_earlier_call_does_not(budget: Driver) -> None:
    """It was sent before the 429 and says nothing about what came after."""
    limited, slow = budget.ask(2).tickets
    budget.end(Ending.LIMITED, limited)
    budget.wait(5)
    budget.end(Ending.ANSWERED, slow)
    budget.call(Ending.LIMITED)
    assert 1.5 == budget.state().backoff_s


def test_the_429s_of_one_burst_count_once(budget: Driver) -> None:
    """Calls that were under way at the first 429 teach nothing new, whenever their answers come."""
    tickets = budget.ask(10).tickets
    for ticket in tickets:
        budget.end(Ending.LIMITED, ticket)
        budget.wait(0.01)
    assert pytest.approx(0.7) == budget.state().share
    budget.wait(5)
    budget.end(Ending.LIMITED, tickets[0])
    assert 0.0 == budget.state().backoff_s


def test_a_429_cuts_the_share_and_it_grows_back(budget: Driver) -> None:
    """To 70 %, then by a tenth of the limit in ten seconds, once calls go out again."""
    budget.call(Ending.LIMITED, retry_after_s=8.0)
    budget.wait(8.0)
    assert 0.7 == budget.state().share
    assert 7 == len(budget.ask(10).tickets)
    budget.wait(10.0)
    assert pytest.approx(0.8) == budget.state().share
    budget.wait(25.0)
    assert 1.0 == budget.state().share


def test_a_share_never_falls_below_a_tenth(budget: Driver) -> None:
    """Nor to no calls at all: something has to find out when the remote is generous again."""
    budget.on(Window(limit=3, seconds=1.0))
    for _ in range(9):
        budget.call(Ending.LIMITED, retry_after_s=0.5)
        budget.wait(HELD_S)
    assert 0.1 <= budget.state().share < 0.12
    assert 1 == len(budget.ask(10).tickets)


def test_a_cut_slows_down_but_does_not_stop_calls_with_a_full_long_window(budget: Driver) -> None:
    """A share is a share of the slowest rate: past use of the long window need not drain first."""
    budget.on(SECOND, Window(limit=600, seconds=60.0))
    for _ in range(58):
        budget.end(Ending.ANSWERED, *budget.ask(10).tickets)
        budget.wait(HELD_S)
    budget.call(Ending.LIMITED)
    budget.wait(0.75 + HELD_S)
    assert 7 == len(budget.ask(10).tickets)


def test_a_busy_remote_may_ask_for_a_pause_without_a_429(budget: Driver) -> None:
    """A 503 with Retry-After pauses, but says nothing about the limit."""
    budget.call(Ending.FAILED, retry_after_s=12.0)
    assert (Wait.BACKOFF, 12.0) == (budget.ask().why, budget.ask().wait_s)
    assert 1.0 == budget.state().share
