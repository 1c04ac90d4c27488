"""How long to wait after a failure."""

from __future__ import annotations

import pytest

from worker.engine.backoff import CAP_S, delay_s

ALMOST_ONE = 0.999_999


@pytest.mark.parametrize(
    ("expected", "tries"),
    [(1, 1), (2, 2), (4, 3), (256, 9), (CAP_S, 10), (CAP_S, 2000), (CAP_S, 10**9)],  # 2**2000 overflows a float
)
def test_it_doubles_up_to_a_cap(expected: float, tries: int) -> None:
    """The curve doubles with each failure in a row, stops at the cap, and never overflows."""
    assert pytest.approx(expected, rel=1e-5) == delay_s(tries, ALMOST_ONE)


@pytest.mark.parametrize(("expected", "spread"), [(0, 0.0), (2, 0.25), (4, 0.5)])
def test_jitter_is_full(expected: float, spread: float) -> None:
    """Anything from nothing to the whole curve."""
    assert expected == delay_s(4, spread)


@pytest.mark.parametrize(
    ("expected", "asked_for_s", "spread"), [(30, 30.0, 0.5), (4, 1.0, 0.5), (900, 900.0, 0.0), (4, None, 0.5)]
)
def test_what_the_remote_asked_for_is_a_floor(expected: float, asked_for_s: float | None, spread: float) -> None:
    """Never earlier than asked, even beyond our own cap; later where our own curve says so."""
    assert expected == delay_s(4, spread, asked_for_s=asked_for_s)
