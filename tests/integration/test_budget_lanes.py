"""What every rate budget does about a failing remote and between lanes, to the microsecond: memory and Redis alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.integration.test_budget_twins import HELD_S, HOLD_S, Driver, driven
from worker.limits.base import Ending, Grant, Lane, Report, Wait, Window


@pytest.fixture(params=["memory", "redis"])
def budget(request: pytest.FixtureRequest) -> Iterator[Driver]:
    """The same tests for both forms."""
    with driven(request.param, request) as driver:
        yield driver


# The breaker


def _break(budget: Driver, ending: Ending = Ending.FAILED) -> None:
    budget.end(ending, *budget.ask(5).tickets)


@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.UNKNOWN])
def test_five_failures_in_a_row_open_the_breaker(budget: Driver, ending: Ending) -> None:
    """Whoever's calls they were."""
    _break(budget, ending)
    refused = budget.ask()
    assert ((), Wait.BREAKER, 0.75) == (refused.tickets, refused.why, refused.wait_s)
    assert 0.75 == budget.state().breaker_s


def test_failures_that_are_not_in_a_row_do_not(budget: Driver) -> None:
    """One good answer in between is enough."""
    tickets = budget.ask(9).tickets
    for ticket, ending in zip(tickets, [Ending.FAILED] * 4 + [Ending.ANSWERED] + [Ending.FAILED] * 4, strict=True):
        budget.end(ending, ticket)
    assert budget.state().breaker_s is None


def test_an_open_breaker_lets_one_probe_out_at_a_time(budget: Driver) -> None:
    """However many are wanted; until it ends, everybody waits, but not for long: it may end well."""
    _break(budget)
    budget.wait(0.75)
    probe = budget.ask(4)
    assert (1, Wait.BREAKER, 1.0) == (len(probe.tickets), probe.why, probe.wait_s)
    assert Grant(wait_s=1.0, why=Wait.BREAKER) == budget.ask()


def test_probes_come_ever_more_slowly(budget: Driver) -> None:
    """From 1 s doubling to 60 s, with jitter."""
    _break(budget)
    waits = []
    for _ in range(8):
        waits.append(budget.ask().wait_s)
        budget.wait(waits[-1] + HELD_S)
        budget.call(Ending.FAILED)
    assert [0.75, 1.5, 3.0, 6.0, 12.0, 24.0, 45.0, 45.0] == waits


def test_the_first_answer_closes_the_breaker(budget: Driver) -> None:
    """Any answer: also that of a call sent before the breaker opened."""
    early, *tickets = budget.ask(6).tickets
    budget.end(Ending.FAILED, *tickets)
    assert budget.state().breaker_s is not None
    budget.end(Ending.ANSWERED, early)
    assert budget.state().breaker_s is None
    assert budget.ask().tickets


def test_a_probe_that_fails_after_the_breaker_closed_is_a_failure_like_any_other(budget: Driver) -> None:
    """An earlier call was answered meanwhile; the next opening starts from the shortest wait."""
    early, *tickets = budget.ask(6).tickets
    budget.end(Ending.FAILED, *tickets)
    budget.wait(0.75)
    (probe,) = budget.ask().tickets
    budget.end(Ending.ANSWERED, early)
    budget.end(Ending.FAILED, probe)
    budget.wait(HELD_S)
    budget.end(Ending.FAILED, *budget.ask(4).tickets)
    assert 0.75 == budget.state().breaker_s


def test_calls_under_way_when_it_opened_do_not_delay_the_probe(budget: Driver) -> None:
    """Ten calls that fail together are one reason to wait, not six."""
    budget.end(Ending.FAILED, *budget.ask(10).tickets)
    assert 0.75 == budget.state().breaker_s


@pytest.mark.parametrize("ending", [Ending.UNSENT, Ending.LIMITED])
def test_a_probe_that_proves_nothing_makes_room_for_the_next(budget: Driver, ending: Ending) -> None:
    """It was not sent, or the remote was only busy."""
    _break(budget)
    budget.wait(0.75)
    (probe,) = budget.ask().tickets
    budget.end(ending, probe)
    budget.wait(budget.state().backoff_s)
    assert 1 == len(budget.ask(4).tickets)


def test_a_lost_probe_is_replaced_after_the_hold(budget: Driver) -> None:
    """Its worker was killed and will never report."""
    _break(budget)
    budget.wait(0.75)
    budget.ask()
    budget.wait(HOLD_S - 0.000_001)
    assert () == budget.ask().tickets
    budget.wait(0.000_001)
    assert budget.ask().tickets


# Lanes


def test_every_lane_may_use_everything_while_no_other_waits(budget: Driver) -> None:
    """Nothing is set aside for nobody."""
    for lane in Lane:
        assert 10 == len(budget.ask(10, lane).tickets)
        budget.wait(HOLD_S + HELD_S)


@pytest.mark.parametrize(("high", "low"), [*pairwise(Lane), (Lane.LIVE, Lane.SCAN)])
def test_a_waiting_higher_lane_goes_first(budget: Driver, high: Lane, low: Lane) -> None:
    """A place that comes free is not for the lower lane, which has had its trickle."""
    budget.end(Ending.ANSWERED, *budget.ask(10, low).tickets)
    refused = budget.ask(5, high)
    budget.wait(refused.wait_s)
    assert 0 == len(budget.ask(10, low).tickets)
    assert 5 == len(budget.ask(5, high).tickets)
    assert 5 == len(budget.ask(10, low).tickets)


def test_a_waiting_higher_lane_goes_first_after_a_pause(budget: Driver) -> None:
    """However long the pause was, and whoever asks first when it is over; the others get their trickle."""
    budget.call(Ending.LIMITED, retry_after_s=600.0)
    for lane in Lane:
        budget.ask(10, lane)
    budget.wait(600.0)
    got = {lane: len(budget.ask(10, lane).tickets) for lane in reversed(Lane)}
    assert {Lane.LIVE: 5, Lane.RETRY: 1, Lane.SCAN: 1} == got


def test_a_lane_that_never_comes_back_blocks_nobody_for_long(budget: Driver) -> None:
    """Its process was killed while it waited."""
    budget.end(Ending.ANSWERED, *budget.ask(10, Lane.SCAN).tickets)
    budget.wait(budget.ask(10, Lane.LIVE).wait_s)
    refused = budget.ask(10, Lane.SCAN)
    assert refused.wait_s <= 0.1
    budget.wait(refused.wait_s)
    assert 10 == len(budget.ask(10, Lane.SCAN).tickets)


@pytest.mark.parametrize(("limit", "seconds"), [(100, 1.0), (10, 1.0), (1, 1.0)])
def test_a_flooded_lower_lane_still_gets_a_twentieth(budget: Driver, limit: int, seconds: float) -> None:
    """And not much more, however eagerly both ask; also where a twentieth is less than one place."""
    budget.on(Window(limit=limit, seconds=seconds))
    got = dict.fromkeys(Lane, 0)
    due = dict.fromkeys((Lane.LIVE, Lane.SCAN), budget.now)
    start, under_way = budget.now, list[str]()
    while budget.now < start + 60 * seconds:
        lane = min(due, key=due.__getitem__)
        budget.now = due[lane]
        reports = [Report(ticket=t, ending=Ending.ANSWERED) for t in under_way]
        grant = budget.ask(limit, lane, reports)
        under_way = list(grant.tickets)
        got[lane] += len(under_way)
        due[lane] = round(budget.now + max(grant.wait_s, 0.002), 6)
    total = got[Lane.LIVE] + got[Lane.SCAN]
    assert 0.04 <= got[Lane.SCAN] / total <= 0.08
    assert total >= 0.95 * 60 * limit
