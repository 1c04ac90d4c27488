"""Reads the Retry-After header in both of its forms. Used by `worker.remotes.http`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Longer wishes are cut to this: a remote that names next year made a mistake.
LONGEST_S = 86_400.0

# RFC 9110 knows whole seconds only; some servers send fractions. `float` alone would also read "nan" and "٣".
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait from `now` (with a time zone); None when the header is missing or makes no sense."""
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_S)
    if (moment := _http_date(text)) is None:
        return None
    return min(max(0.0, (moment - now).total_seconds()), LONGEST_S)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        # The form without a zone means UTC.
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
