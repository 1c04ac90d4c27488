"""What a non-2xx answer means. The one table of status codes, used by all connectors; some refine it.

| status            | read                          | write                         |
| ----------------- | ----------------------------- | ----------------------------- |
| 2xx               | not an error                  | not an error                  |
| 3xx               | Refused (redirects are off)   | Refused                       |
| 401, 402, 403     | AccessLost                    | AccessLost                    |
| 404               | NotThere                      | NotThere                      |
| 408, 425          | RemoteDown                    | RemoteDown                    |
| 429               | RateLimited                   | RateLimited                   |
| other 4xx         | Refused                       | Refused                       |
| 5xx, anything else| RemoteDown                    | Unclear: it may be applied    |
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from worker.errors import AccessLost, LeadsyncError, NotThere, RateLimited, Refused, RemoteDown, Unclear
from worker.limits.retry_after import parse_retry_after
from worker.remotes.base import Answer, Request

_HINTS = {
    401: "check its token",
    402: "check its plan",
    403: "check what its token may do",
}


def meaning(status: int, *, writes: bool) -> type[LeadsyncError] | None:
    """The table above; None for 2xx."""
    match status:
        case 401 | 402 | 403:
            return AccessLost
        case 404:
            return NotThere
        case 408 | 425:
            return RemoteDown
        case 429:
            return RateLimited
        case _ if 200 <= status <= 299:
            return None
        case _ if 300 <= status <= 499:
            return Refused
        case _:
            return Unclear if writes else RemoteDown


def as_error(remote: str, request: Request, answer: Answer, says: str, *, by_id: bool) -> LeadsyncError:
    """The error of a non-2xx answer. `says` is the remote's own message; `by_id`: the path names one list."""
    kind = meaning(answer.status, writes=request.writes) or Refused
    if kind is NotThere and not by_id:
        # A listing is always there, so nothing is gone: we ask at the wrong place.
        return Refused(sentence(remote, answer, says, "check base_url"))
    if kind in (RateLimited, RemoteDown):
        text = sentence(remote, answer, says)
        wish = retry_after_s(answer)
        return (RateLimited if kind is RateLimited else RemoteDown)(text, retry_after_s=wish)
    hint = "redirected; check base_url" if 300 <= answer.status <= 399 else _HINTS.get(answer.status, "")
    return kind(sentence(remote, answer, says, hint))


def sentence(remote: str, answer: Answer, says: str, hint: str = "") -> str:
    """For a person: who answered what, and what to do."""
    told = f": {says}" if says else ""
    return f"{remote} answered {answer.status}{told}" + (f" ({hint})" if hint else "")


def retry_after_s(answer: Answer) -> float | None:
    """The remote's own wish. A date is measured against the answer's own date: only one clock is involved."""
    wish = answer.headers.get("retry-after")
    return None if wish is None else parse_retry_after(wish, _date(answer))


def _date(answer: Answer) -> datetime:
    try:
        date = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return datetime.now(UTC)
    return date if date.tzinfo else date.replace(tzinfo=UTC)
