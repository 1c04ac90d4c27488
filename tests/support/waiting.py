"""Waiting for a condition instead of sleeping for luck: for tests that watch real processes and servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T], *, deadline_s: float = 10.0, what: str, told: Callable[[], object] = lambda: ""
) -> T:
    """Return the first true value of *condition*; fail with *told* when *what* has not happened in time."""
    deadline = time.monotonic() + deadline_s
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s:g} s: {what} {told()}")
        time.sleep(0.01)
