"""Strict windows, the log of calls, overlaps: what a simulator says about its clients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.simulators.traffic import AlignedWindow, Limiter, SlidingWindow, Traffic

BOTH = ((3, 1.0), (5, 10.0))


def limiter(*limits: tuple[int, float], aligned: bool = False, refusals_count: bool = False) -> Limiter:
    """A limiter with these numbers."""
    made = Limiter()
    made.configure(limits, aligned=aligned, refusals_count=refusals_count)
    return made


def test_a_window_serves_exactly_its_limit() -> None:
    """
    The third request in a second is served, the fourth is not.
    """
    windows = limiter((3, 1.0))

    assert [True, True, True, False] == [windows.arrive(t) == 0 for t in (0.0, 0.1, 0.2, 0.999)]


def test_a_place_is_free_exactly_one_window_later() -> None:
    """
    Something exactly one second old is no longer inside; a hair younger, it is.
    """
    windows = limiter((1, 1.0))
    windows.arrive(5.0)

    assert windows.arrive(5.999_999) > 0
    assert windows.arrive(6.0) == 0


def test_all_windows_hold_at_once() -> None:
    """
    Five in ten seconds is the end, although every single second had room.
    """
    windows = limiter(*BOTH)

    served = [windows.arrive(t) == 0 for t in (0.0, 0.1, 2.0, 2.1, 4.0, 6.0, 10.0)]

    assert [True, True, True, True, True, False, True] == served


def test_a_refusal_takes_no_place_unless_told_to() -> None:
    """
    By default a client that hammers is served again once its good requests are old.
    """
    calls = [0.0, 0.5, 0.9, 1.0, 1.4]

    mild, hard = limiter((1, 1.0)), limiter((1, 1.0), refusals_count=True)

    assert [True, False, False, True, False] == [mild.arrive(t) == 0 for t in calls]
    assert [True, False, False, False, False] == [hard.arrive(t) == 0 for t in calls]


def test_aligned_windows_let_twice_the_limit_across_the_edge() -> None:
    """
    Six requests within 0.2 s pass where the counter begins anew on the second; the strict measure tells.
    """
    windows = limiter((3, 1.0), aligned=True)

    assert all(windows.arrive(t) == 0 for t in (0.9, 0.91, 0.92, 1.0, 1.01, 1.02))
    assert windows.arrive(1.5) == pytest.approx(0.5)
    assert windows.arrived[1.0].most == 7


def test_the_wait_is_until_a_place_is_free_in_every_window() -> None:
    """
    Waiting as long as told is enough, and one hair less is not.
    """
    windows = limiter(*BOTH)
    for t in (0.0, 0.1, 2.0, 2.1, 4.0):
        windows.arrive(t)

    wait_s = windows.arrive(5.0)

    assert wait_s == pytest.approx(5.0)
    assert windows.arrive(5.0 + wait_s - 0.001) > 0
    assert windows.arrive(5.0 + wait_s) == 0


def test_new_numbers_keep_what_was_counted() -> None:
    """
    A limit that is halved at run time holds at once.
    """
    windows = limiter((4, 1.0))
    windows.arrive(0.0), windows.arrive(0.1)

    windows.configure([(2, 1.0)], aligned=False, refusals_count=False)

    assert windows.arrive(0.2) > 0


@given(st.lists(st.floats(0, 0.7), max_size=60), st.integers(1, 5))
def test_no_sliding_window_ever_serves_more_than_the_limit(gaps: list[float], limit: int) -> None:
    """
    Counted again by brute force: between any served request and one window later there are at most `limit`.
    """
    windows, now, served = limiter((limit, 1.0)), 0.0, []
    for gap in gaps:
        now += gap
        if windows.arrive(now) == 0:
            served.append(now)

    assert all(sum(t <= other < t + 1.0 - 1e-9 for other in served) <= limit for t in served)


def test_the_most_is_that_of_the_fullest_window() -> None:
    """
    `most` remembers the peak after it is gone.
    """
    window = SlidingWindow(1.0)
    for t in (0.0, 0.5, 0.9, 3.0):
        window.add(t)

    assert (3, 1) == (window.most, window.count(3.5))


def test_an_aligned_window_begins_anew() -> None:
    """
    On the full second the count is nought.
    """
    window = AlignedWindow(1.0)
    window.add(0.99)

    assert (1, 0) == (window.count(0.999), window.count(1.0))


def test_two_writes_of_one_list_in_flight_are_an_overlap() -> None:
    """
    Counted when the second arrives before the first is answered; one list after the other is none.
    """
    traffic = Traffic(10)
    first, second, other = (traffic.arrive("PATCH", "/x", b"", "", 0.0) for _ in range(3))

    traffic.begin_write(first, "a")
    traffic.begin_write(other, "b")
    assert traffic.summary()["overlaps"] == 0
    traffic.begin_write(second, "a")
    traffic.done(first, 1.0)
    traffic.done(second, 1.0)
    traffic.begin_write(traffic.arrive("PATCH", "/x", b"", "", 2.0), "a")

    assert (1, ["a"], 2) == tuple(traffic.summary()[k] for k in ("overlaps", "overlapping_lists", "in_flight"))


def test_a_call_ends_once() -> None:
    """
    An answer that has left and a client that leaves afterwards do not count twice.
    """
    traffic = Traffic(10)
    call = traffic.arrive("PATCH", "/x", b"", "", 0.0)
    traffic.begin_write(call, "a")

    traffic.done(call, 1.0)
    traffic.done(call, 2.0)

    assert (1.0, 0) == (call.answered, traffic.summary()["in_flight"])


@pytest.mark.parametrize(("size", "kept"), [(0, []), (2, [4, 5]), (10, [1, 2, 3, 4, 5])])
def test_the_log_is_bounded_and_the_sums_are_not(size: int, kept: list[int]) -> None:
    """
    Old calls fall out of the log; the counts know them all the same.
    """
    traffic = Traffic(size)
    for _ in range(5):
        traffic.arrive("GET", "/x", b"", "", 0.0)

    assert kept == [call.n for call in traffic.calls(0, 100)]
    assert {"GET": 5} == traffic.summary()["calls"]
