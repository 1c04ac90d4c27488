"""The two forms of Retry-After, and what servers make of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from worker.limits.retry_after import LONGEST_S, parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 30 ", 30.0),
        ("1.5", 1.5),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30.0),
        ("Sun Mar  1 12:00:30 2026", 30.0),
        ("Sun, 01 Mar 2026 14:00:30 +0200", 30.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
    ],
)
def test_both_forms_are_understood(value: str, seconds: float) -> None:
    """Seconds, and a date in each of the three spellings HTTP allows, in any zone."""
    assert seconds == parse_retry_after(value, NOW)


def test_a_date_in_the_past_means_now() -> None:
    """The remote's clock and ours need not agree."""
    assert parse_retry_after("Sun, 01 Mar 2026 11:59:59 GMT", NOW) == 0.0


@pytest.mark.parametrize("value", ["999999999", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT", "86401"])
def test_an_absurd_wish_is_cut_to_a_day(value: str) -> None:
    """A remote that names next year made a mistake."""
    assert parse_retry_after(value, NOW) == LONGEST_S


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "-1",
        "+5",
        "soon",
        "1e3",
        "0x10",
        "1,2",
        "nan",
        "inf",
        "٣",
        "12:00",
        "\x00",
        "31 Feb 2026",
    ],
)
def test_nonsense_is_no_wish(value: str | None) -> None:
    """A missing or malformed header leaves the wait to our own backoff."""
    assert parse_retry_after(value, NOW) is None
