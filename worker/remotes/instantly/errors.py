"""What Instantly says when it refuses: `{"statusCode", "error", "message"}`. Used by its connector."""

from __future__ import annotations

from worker.remotes.base import Answer
from worker.remotes.reading import said


def message(answer: Answer) -> str:
    """Its own words as one short, printable sentence; "" when there are none."""
    return said(answer.body)
