"""A line to one remote for one piece of work: what push and scan hand to a connector as its `send`.

Each request takes a place in the rate budget first, and tells the budget how it ended.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Protocol, Self

from worker.errors import BadAnswer, LeadsyncError, RateLimited, RemoteDown, Unclear
from worker.limits.base import Ending, Grant, Lane, Report
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.status import retry_after_s


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
        self._patience_s = patience_s
        self._now = now
        #: Requests sent.
        self.calls = 0
        #: Answer to the last request; None when there was none.
        self.last: Answer | None = None
        #: Seconds the last request took.
        self.last_s = 0.0

    async def __call__(self, request: Request) -> Answer:
        """One request. Answers with 2xx only; raises what the connector makes of anything else."""
        ticket = await self._ticket()
        self.calls += 1
        self.last = None
        begun, ending, wish = self._now(), Ending.UNKNOWN, None
        try:
            answer = self.last = await self._wire.exchange(request)
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

    async def _ticket(self) -> str:
        if not self._held:
            grant = await self._tickets.take(self._lane, patience_s=self._patience_s)
            if not grant.tickets:
                why = f"not sent: no place in the rate budget in time ({grant.why or 'budget'})"
                raise RateLimited(why, retry_after_s=grant.wait_s)
            self._held.extend(grant.tickets)
        return self._held.popleft()


def ending_of(answer: Answer) -> Ending:
    """What an answer says about the remote's health: a 4xx shows that it is well."""
    if answer.status == 429:
        return Ending.LIMITED
    return Ending.ANSWERED if 200 <= answer.status <= 499 else Ending.FAILED
