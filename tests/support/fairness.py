"""Jain's index, for tests and benches of how evenly many were served."""

from __future__ import annotations

from collections.abc import Collection


def jain(shares: Collection[float]) -> float:
    """1 when all shares are alike, 1/n when one of n has everything; 1 of nobody."""
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 1.0
