"""Retry-After against everything a header can hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import example, given
from hypothesis import strategies as st

from worker.limits.retry_after import LONGEST_S, parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

_DATE_LIKE = st.text(alphabet="0123456789 ,:-+.MonTueSatJanFebDecGMTUTCZ", max_size=60)


@given(st.text(max_size=60) | _DATE_LIKE)
@example("Mon, 01 Jan 0000 00:00:00 GMT")
@example("Mon, 01 Jan 10000 00:00:00 GMT")
@example("Sun, 01 Mar 2026 12:00:30 +9999999")
def test_no_text_breaks_it(value: str) -> None:
    """Whatever a server sends, the answer is None or a wait between zero and a day."""
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0.0 <= seconds <= LONGEST_S


@given(st.integers(min_value=-10_000, max_value=80_000))
def test_a_date_is_a_wait(offset: int) -> None:
    """A date that many seconds ahead asks for just that wait; never for less."""
    header = format_datetime(NOW + timedelta(seconds=offset), usegmt=True)
    assert max(0, offset) == parse_retry_after(header, NOW)
