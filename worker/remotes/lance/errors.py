"""What Lance says when it refuses: `{"error": {"code", "message"}}`, or bare text. Used by its connector."""

from __future__ import annotations

import orjson

from worker.remotes.base import Answer
from worker.remotes.reading import said


def message(answer: Answer) -> str:
    """Its own words as one short, printable sentence; "" when there are none."""
    return said(answer.body)


def session_is_lost(answer: Answer) -> bool:
    """Some of Lance's pages answer a missing session with 400."""
    if answer.status != 400:
        return False
    return "organization id required" in message(answer).lower() or _code(answer) == "UNAUTHORIZED"


def list_is_closed(answer: Answer) -> bool:
    """Access to this one list is missing (`userIds`), not to the organization."""
    return answer.status == 403 and "access to this lead list" in message(answer).lower()


def _code(answer: Answer) -> str:
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return ""
    match body:
        case {"error": {"code": str(code)}} | {"code": str(code)}:
            return code
        case _:
            return ""
