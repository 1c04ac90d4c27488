"""What the CRM says when it refuses: `{"error": {"code", "message"}}` or the like. Used by its connector."""

from __future__ import annotations

from worker.remotes.base import Answer
from worker.remotes.reading import said


def message(answer: Answer) -> str:
    """Its own words as one short, printable sentence; "" when there are none."""
    return said(answer.body)
