"""A line to one remote for one piece of work: what push and scan hand to a connector as its `send`.

Each request takes a place in the rate budget first, and tells the budget how it ended. A read that a write follows
takes the places of both, so that nothing stands between them (design rule 7).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self

from worker import tracing
from worker.errors import BadAnswer, LeadsyncError, RateLimited, RemoteDown, Unclear
from worker.limits.base import Ending, Grant, Lane, Report, Wait
from worker.remotes.base import Answer, Late, Request, Wire
from worker.remotes.status import retry_after_s

#: The second of two places is awaited this much longer than the budget foretold.
_GRACE_S = 1.0


class Tickets(Protocol):
    """Hands out places in the rate budget: `worker.limits.throttle.Throttle`, or a twin."""

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """Wait for one to `want` tickets; with none, the grant says why and for how long."""
        ...

    def give_back(self, report: Report) -> None:
        """How the call of one ticket ended."""
        ...

    async def flush(self) -> None:
        """Hand in every report that is left, before the loop stops."""
        ...


class Line:
    """Sends requests one after another. Use it in a `with`, or close it: tickets that are left go back."""

    def __init__(
        self,
        wire: Wire,
        tickets: Tickets,
        lane: Lane,
        error: Callable[[Request, Answer], LeadsyncError],
        *,
        held: Iterable[str] = (),
        patience_s: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`error` is the connector's; `held`: tickets taken before; `patience_s` limits the wait for more."""
        self._wire = wire
        self._tickets = tickets
        self._lane = lane
        self._error = error
        self._held = deque(held)
        self._patience_s = math.inf if patience_s is None else patience_s
        self._now = now
        #: Requests sent.
        self.calls = 0
        #: Whether one of them may have changed something.
        self.wrote = False
        #: Answer to the last request; None when there was none.
        self.last: Answer | None = None
        #: Seconds the last request took.
        self.last_s = 0.0
        #: Seconds between the last two requests where the second relied on the first; None where none did.
        self.window_s: float | None = None
        self._asked_at = -math.inf

    async def __call__(self, request: Request) -> Answer:
        """One request. Answers with 2xx only; raises what the connector makes of anything else.

        Raises `Late` for one that comes too late after the one before.
        """
        ticket = await self._ticket(request)
        self.calls += 1
        self.wrote |= request.writes
        self.last = None
        begun = self._asked_at = self._now()
        ending, wish = Ending.UNKNOWN, None
        try:
            with tracing.tracer().request(request.method) as span:
                answer = self.last = await self._wire.exchange(request)
                span.note(status=answer.status)
            ending = ending_of(answer)
            wish = None if ending is Ending.ANSWERED else retry_after_s(answer)
        except RemoteDown:
            ending = Ending.FAILED
            raise
        except BadAnswer:
            ending = Ending.ANSWERED
            raise
        except Unclear as error:
            if request.writes:
                raise
            # To have read twice harms nobody; only the budget must know that it may still arrive.
            raise RemoteDown(str(error)) from None
        finally:
            self.last_s = self._now() - begun
            self._tickets.give_back(Report(ticket=ticket, ending=ending, retry_after_s=wish))
        if 200 <= answer.status <= 299:
            return answer
        raise self._error(request, answer)

    def close(self) -> None:
        """Give back what was not used."""
        while self._held:
            self._tickets.give_back(Report(ticket=self._held.popleft(), ending=Ending.UNSENT))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _ticket(self, request: Request) -> str:
        if len(self._held) <= request.follows:
            await self._reserve(1 + request.follows, min(self._patience_s, self._left_s(request)))
        # Once more, last of all: waiting for a ticket makes a read older.
        self._left_s(request)
        return self._held.popleft()

    async def _reserve(self, places: int, patience_s: float) -> None:
        """Take so many tickets at once; fewer where the budget has no room for more at a time.

        What is held goes back first: all who hold one ticket and wait for another could wait for each other.
        """
        self.close()
        grant = await self._take(places, patience_s)
        if not grant.tickets:
            why = f"not sent: no place in the rate budget in time ({grant.why or 'budget'})"
            raise RateLimited(why, retry_after_s=grant.wait_s)
        missing = places - len(grant.tickets)
        # An open breaker lets one probe out, and the next request only when that was answered.
        if missing and grant.why is not Wait.BREAKER:
            await self._take(missing, min(patience_s, grant.wait_s + _GRACE_S))

    async def _take(self, want: int, patience_s: float) -> Grant:
        patience = None if patience_s == math.inf else patience_s
        grant = await self._tickets.take(self._lane, want, patience_s=patience)
        self._held.extend(grant.tickets)
        return grant

    def _left_s(self, request: Request) -> float:
        """How long it may still wait before it is sent. Raises `Late`."""
        if request.within_s is None:
            return math.inf
        self.window_s = self._now() - self._asked_at
        if self.window_s > request.within_s:
            raise Late("not sent: what was read before it is too old by now")
        return request.within_s - self.window_s


def ending_of(answer: Answer) -> Ending:
    """What an answer says about the remote's health: a 4xx shows that it is well."""
    if answer.status == 429:
        return Ending.LIMITED
    return Ending.ANSWERED if 200 <= answer.status <= 499 else Ending.FAILED
