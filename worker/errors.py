"""Errors, named by what to do next. Raised everywhere; turned into a decision only in `worker.sync.settle`.

LeadsyncError
├── Transient            wait and try again
│   ├── RateLimited      429: the whole remote waits (retry_after_s)
│   ├── RemoteDown       5xx, 408, 425, network before the request could be sent
│   ├── Unclear          a write whose outcome is unknown: look first, never resend blindly
│   └── RedisAway        budget or stream unreachable: nobody calls
├── Permanent            park this copy
│   ├── Refused          400, 422 and other final answers to this request
│   ├── NotThere         404: perhaps gone, perhaps not ours to see
│   └── BadAnswer        the answer is not what this API documents
├── AccessLost           401, 402, 403: pause the remote, alert once, park nothing
├── NotPossible          what a person asked for does not fit what is known: exit status 1
│   └── NotKnown         it names something that leadsync does not know
└── UsageError           settings, arguments, environment: exit status 2 with one sentence
    └── NotReady         the database is not as leadsync needs it; not the fault of whoever asks
"""

from __future__ import annotations


class LeadsyncError(Exception):
    """Root of all errors that leadsync raises itself. The text is one sentence for a person."""


class Transient(LeadsyncError):
    """Passes by itself: wait and try again, without limit."""


class RateLimited(Transient):
    """429. `retry_after_s` is the remote's own wish in seconds, None when it named none."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RemoteDown(Transient):
    """The remote did not do the work, and surely has not: 5xx on a read, 408, 425, connection refused."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unclear(Transient):
    """A write that may or may not have been applied, now or later (design rule 5)."""


class RedisAway(Transient):
    """Redis cannot be reached. The budget fails closed: nobody calls a remote."""


class Permanent(LeadsyncError):
    """Will not pass by itself: the copy is parked for a person."""


class Refused(Permanent):
    """The remote understood and said no to this request (400, 422, ...)."""


class NotThere(Permanent):
    """404 by id. Absence is not deletion (design rule 8)."""


class BadAnswer(Permanent):
    """Not JSON, truncated, HTML, or another shape than documented. Never read as empty."""


class AccessLost(LeadsyncError):
    """401, 402, 403: credentials, plan or scope. Pauses the remote."""


class NotPossible(LeadsyncError):
    """What was asked for does not fit what is known. Nothing was changed."""


class NotKnown(NotPossible):
    """There is no such list, plan or scan."""


class UsageError(LeadsyncError):
    """Wrong settings, arguments or environment. The CLI exits with 2 and prints the sentence."""


class NotReady(UsageError):
    """The database has no tables yet, or is not one that can be used."""
