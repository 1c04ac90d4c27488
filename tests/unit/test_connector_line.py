"""A line: a ticket for each request, the truth about each ending, and nothing kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from worker.errors import BadAnswer, LeadsyncError, RateLimited, Refused, RemoteDown, Unclear
from worker.limits.base import Ending, Grant, Lane, Report, Wait, Window
from worker.limits.memory import MemoryBudget
from worker.limits.throttle import Throttle
from worker.remotes.base import Answer, Late, Request
from worker.remotes.line import Line
from worker.remotes.memory import NoLimit
from worker.simulation.clock import VirtualLoop, run_virtually

READ = Request(method="GET", path="/lists/1")
WRITE = Request(method="PATCH", path="/lists/1", body={})
POST_THAT_READS = Request(method="POST", path="/leads/list", body={}, only_reads=True)

Scripted = Answer | Exception


class Script:
    """A wire that plays what it was given, each second taking one second."""

    def __init__(self, *steps: Scripted) -> None:
        self._steps = list(steps)
        self.now = 0.0

    async def exchange(self, _: Request) -> Answer:
        """The next step."""
        self.now += 1.0
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Spent(NoLimit):
    """A budget that is spent."""

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """Nothing."""
        return Grant(wait_s=12.0, why=Wait.BREAKER)


def refused(_: Request, answer: Answer) -> LeadsyncError:
    """A connector's `error` in one line."""
    return Refused(f"status {answer.status}")


def called(
    script: Script, *requests: Request, held: Sequence[str] = (), tickets: NoLimit | None = None
) -> tuple[Line, list[Report], BaseException | None]:
    """The line after these requests, what the budget was told, and the error that ended it."""
    tickets = tickets or NoLimit()

    async def run() -> tuple[Line, BaseException | None]:
        with Line(script, tickets, Lane.RETRY, refused, held=held, now=lambda: script.now) as line:
            for request in requests:
                [outcome] = await asyncio.gather(line(request), return_exceptions=True)
                if isinstance(outcome, BaseException):
                    return line, outcome
            return line, None

    line, error = asyncio.run(run())
    return line, tickets.reports, error


def test_the_ticket_that_was_given_is_used_first() -> None:
    """A second request takes one of the same lane."""
    _, reports, error = called(Script(Answer(status=200), Answer(status=204)), READ, WRITE, held=["given"])

    assert error is None
    assert ["given", "retry-0"] == [report.ticket for report in reports]
    assert {Ending.ANSWERED} == {report.ending for report in reports}


def test_tickets_that_are_left_go_back_unsent() -> None:
    """Their places are free at once."""
    _, reports, _ = called(Script(Answer(status=200)), READ, held=["a", "b", "c"])

    assert [("a", Ending.ANSWERED), ("b", Ending.UNSENT), ("c", Ending.UNSENT)] == [
        (report.ticket, report.ending) for report in reports
    ]


@pytest.mark.parametrize(
    ("status", "ending"),
    [
        (200, Ending.ANSWERED),
        (302, Ending.ANSWERED),
        (401, Ending.ANSWERED),
        (404, Ending.ANSWERED),
        (422, Ending.ANSWERED),
        (429, Ending.LIMITED),
        (500, Ending.FAILED),
        (503, Ending.FAILED),
        (999, Ending.FAILED),
    ],
)
def test_an_answer_tells_the_budget_how_the_remote_is(status: int, ending: Ending) -> None:
    """A 4xx shows that it is well; a 429 pauses everybody; a 5xx counts towards the breaker."""
    line, reports, error = called(Script(Answer(status=status)), WRITE)

    assert [ending] == [report.ending for report in reports]
    assert (status == 200) == (error is None)
    assert line.last is not None
    assert (status, 1, 1.0) == (line.last.status, line.calls, line.last_s)


@pytest.mark.parametrize("status", [429, 503])
def test_the_wish_of_the_remote_reaches_the_budget(status: int) -> None:
    """A 503 in maintenance pauses like a 429."""
    _, reports, _ = called(Script(Answer(status=status, headers={"retry-after": "7"})), READ)

    assert [7.0] == [report.retry_after_s for report in reports]


def test_a_remote_that_is_well_pauses_nobody() -> None:
    """Retry-After on a good answer is about something else."""
    _, reports, _ = called(Script(Answer(status=202, headers={"retry-after": "7"})), WRITE)

    assert [None] == [report.retry_after_s for report in reports]


@pytest.mark.parametrize(
    ("request_", "happened", "ending", "raised"),
    [
        (READ, RemoteDown("refused"), Ending.FAILED, RemoteDown),
        (WRITE, RemoteDown("refused"), Ending.FAILED, RemoteDown),
        (WRITE, Unclear("no answer"), Ending.UNKNOWN, Unclear),
        (READ, Unclear("no answer"), Ending.UNKNOWN, RemoteDown),
        (POST_THAT_READS, Unclear("no answer"), Ending.UNKNOWN, RemoteDown),
        (WRITE, BadAnswer("too long"), Ending.ANSWERED, BadAnswer),
        (WRITE, ValueError("a bug"), Ending.UNKNOWN, ValueError),
    ],
)
def test_a_call_without_an_answer(
    request_: Request, happened: Exception, ending: Ending, raised: type[Exception]
) -> None:
    """What may still arrive keeps its place; to have read twice harms nobody, so a read is never unclear."""
    line, reports, error = called(Script(happened), request_)

    assert [ending] == [report.ending for report in reports]
    assert raised is type(error)
    assert str(happened) == str(error)
    assert (None, 1) == (line.last, line.calls)


def test_the_last_answer_is_that_of_the_last_request() -> None:
    """An answer of the first request does not stand for the second, which had none."""
    line, _, _ = called(Script(Answer(status=200), Unclear("no answer")), READ, WRITE)

    assert (None, 2) == (line.last, line.calls)


def test_without_a_place_in_the_budget_nothing_is_sent() -> None:
    """It says why, and when asking again makes sense; nothing is reported that was never sent."""
    line, reports, error = called(Script(), READ, tickets=Spent())

    assert isinstance(error, RateLimited)
    assert "not sent: no place in the rate budget in time (breaker)" == str(error)
    assert 12.0 == error.retry_after_s
    assert (0, []) == (line.calls, reports)


def test_a_call_that_is_cancelled_may_still_arrive() -> None:
    """The process stops in the middle of a call: its place is kept for the whole hold."""
    tickets = NoLimit()

    class Endless:
        async def exchange(self, _: Request) -> Answer:
            await asyncio.Event().wait()
            raise AssertionError

    async def run() -> None:
        line = Line(Endless(), tickets, Lane.LIVE, refused, held=["a", "b"])
        with line:
            async with asyncio.timeout(0.01):
                await line(WRITE)

    with pytest.raises(TimeoutError):
        asyncio.run(run())

    assert [("a", Ending.UNKNOWN), ("b", Ending.UNSENT)] == [(r.ticket, r.ending) for r in tickets.reports]


def test_errors_are_the_connectors_own() -> None:
    """A line knows statuses, not APIs."""
    seen: list[tuple[Request, Answer]] = []

    def keep(request: Request, answer: Answer) -> LeadsyncError:
        seen.append((request, answer))
        return Refused("as the connector says")

    async def run(error: Callable[[Request, Answer], LeadsyncError]) -> None:
        with Line(Script(Answer(status=418)), NoLimit(), Lane.SCAN, error) as line:
            await line(WRITE)

    with pytest.raises(Refused, match="as the connector says"):
        asyncio.run(run(keep))

    assert [(WRITE, Answer(status=418))] == seen


READ_TO_WRITE = Request(method="GET", path="/lists/1", follows=1)
WRITE_SOON = Request(method="PATCH", path="/lists/1", body={}, within_s=1.5)


def test_a_request_that_another_follows_takes_both_places() -> None:
    """One asking for two; the second request asks for none."""
    asked: list[int] = []

    class Counting(NoLimit):
        async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
            asked.append(want)
            return await super().take(lane, want)

    _, reports, error = called(
        Script(Answer(status=200), Answer(status=200)), READ_TO_WRITE, WRITE_SOON, tickets=Counting()
    )

    assert error is None
    assert [2] == asked
    assert [Ending.ANSWERED] * 2 == [report.ending for report in reports]


@pytest.mark.parametrize(("within_s", "calls"), [(0.9, 1), (1.0, 2)])
def test_what_comes_too_late_after_the_request_before_it_is_not_sent(within_s: float, calls: int) -> None:
    """The read took one second. Its place in the budget is free again."""
    write = Request(method="PATCH", path="/lists/1", body={}, within_s=within_s)

    line, reports, error = called(Script(Answer(status=200), Answer(status=200)), READ_TO_WRITE, write)

    assert (calls, 1.0) == (line.calls, line.window_s)
    assert (calls == 1) == isinstance(error, Late)
    assert [Ending.ANSWERED, Ending.ANSWERED if calls == 2 else Ending.UNSENT] == [one.ending for one in reports]


def test_a_write_that_relies_on_a_read_waits_no_longer_than_it_may() -> None:
    """Whose patience ends first is served first, so its ticket comes before those of others who wait."""
    patience: list[float | None] = []

    class Impatient(NoLimit):
        async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
            patience.append(patience_s)
            return replace(await super().take(lane), why=Wait.BREAKER)

    called(Script(Answer(status=200), Answer(status=200)), READ_TO_WRITE, WRITE_SOON, tickets=Impatient())

    assert [None, 0.5] == patience


def test_what_relies_on_a_read_is_not_sent_without_one() -> None:
    """There is no request before it."""
    line, _, error = called(Script(), WRITE_SOON)

    assert isinstance(error, Late)
    assert 0 == line.calls


def test_a_window_is_measured_only_where_there_is_one() -> None:
    """Other requests rely on nothing."""
    line, _, _ = called(Script(Answer(status=200), Answer(status=200)), READ, WRITE)

    assert line.window_s is None


@pytest.mark.parametrize(
    ("lines", "limit", "seconds"),
    [(2, 1, 1.0), (16, 1, 1.0), (6, 2, 1.0), (6, 3, 1.0), (10, 10, 1.0), (30, 10, 1.0), (4, 4, 60.0)],
)
def test_lines_that_hold_one_ticket_do_not_wait_for_each_other(lines: int, limit: int, seconds: float) -> None:
    """Each has one ticket in hand and needs two, and there are no others: all get through, by two calls each."""
    loop = VirtualLoop()
    throttle = Throttle(MemoryBudget([Window(limit=limit, seconds=seconds)], hold_s=30.0, now=loop.time), loop.time)

    class Quick:
        async def exchange(self, _: Request) -> Answer:
            await asyncio.sleep(0.05)
            return Answer(status=200)

    async def one() -> int:
        held = (await throttle.take(Lane.LIVE)).tickets
        with Line(Quick(), throttle, Lane.LIVE, refused, held=held, now=loop.time) as line:
            await line(READ_TO_WRITE)
            await line(Request(method="PATCH", path="/lists/1", body={}, within_s=3.0))
            return line.calls

    async def everybody() -> list[int]:
        return list(await asyncio.gather(*(one() for _ in range(lines))))

    calls = run_virtually(everybody(), loop)

    assert [2] * lines == calls
    # Where there is room for one only, the wait for a second is in vain each time.
    assert loop.time() < lines * (6 if limit == 1 else 3) / limit * seconds + 5
