"""How long to wait after a failure: exponential, full jitter, capped. Pure; the random number is handed in."""

from __future__ import annotations

#: First delay and cap, in seconds. Five minutes is short enough to notice a remote that came back.
FIRST_S = 1.0
CAP_S = 300.0


def delay_s(tries: int, spread: float, *, asked_for_s: float | None = None) -> float:
    """Seconds to wait after the `tries`-th failure in a row (1 or more); `spread` is in [0, 1).

    Full jitter after https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/ .
    What the remote asked for is a floor: we never come back earlier.
    """
    # Clamp the exponent, not the result: 2.0**2000 overflows before min() can help.
    curve = min(CAP_S, FIRST_S * 2.0 ** min(tries - 1, 30))
    wait = curve * spread
    return max(wait, asked_for_s) if asked_for_s is not None else wait
