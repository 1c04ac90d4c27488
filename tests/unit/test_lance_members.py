"""Lance's fresh read before a write: its window on the line's own clock, and places in the budget before the read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from models.lead_list import Field, Kind
from models.observation import MembersSeen, Shown
from models.patch import Patch
from worker.errors import BadAnswer, RateLimited, Transient
from worker.limits.base import Ending, Grant, Lane, Report, Wait
from worker.remotes.base import Answer, Request
from worker.remotes.lance.connector import AGAIN, LanceConnector
from worker.remotes.line import Line
from worker.remotes.memory import NoLimit

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
ADD_CARL = Patch({}, frozenset({"carl"}))


class Tenant:
    """A wire to one list of Lance's, on a clock of its own. Keeps the order in which things happened."""

    def __init__(self, *ids: str) -> None:
        self.ids = list(ids)
        self.now = 0.0
        self.happened: list[str] = []
        self.bodies: list[Any] = []
        #: Seconds that each read takes, then none.
        self.reads_take: list[float] = []
        #: What else happens when an answer is on its way, by method.
        self.meanwhile: dict[str, Callable[[], None]] = {}
        self.shows: Callable[[dict[str, Any]], Any] = lambda shown: shown
        self._changes = 0

    async def exchange(self, request: Request) -> Answer:
        """GET or PATCH."""
        self.happened.append(request.method)
        if request.method == "PATCH":
            self.bodies.append(request.body)
            self.ids = list(request.body.get("personIds", self.ids))
            self._changes += 1
        version = (FIRST + timedelta(seconds=self._changes)).isoformat()
        shown: Any = {"id": "1", "name": "N", "type": "person", "personIds": [*self.ids], "updatedAt": version}
        if request.method == "PATCH":
            shown = self.shows(shown)
        elif self.reads_take:
            self.now += self.reads_take.pop(0)
        self.meanwhile.get(request.method, lambda: None)()
        return Answer(status=200, body=orjson.dumps(shown))


class Tickets(NoLimit):
    """Tells the tenant when they are taken, and takes time for each asking."""

    def __init__(self, tenant: Tenant, *, most: int = 99, wait_s: float = 0.0, why: Wait = Wait.BREAKER) -> None:
        """`most` at a time, after `wait_s`, and `why` there are no more."""
        super().__init__()
        self._tenant, self._most, self._wait_s, self._why = tenant, most, wait_s, why

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """Up to `most`."""
        self._tenant.now += self._wait_s
        granted = await super().take(lane, min(want, self._most))
        self._tenant.happened.append(f"{len(granted.tickets)} of {want}")
        return Grant(tickets=granted.tickets, why=None if want <= self._most else self._why)


def patched(
    tenant: Tenant,
    patch: Patch,
    tickets: NoLimit | None = None,
    held: tuple[str, ...] = (),
    line: list[Line] | None = None,
) -> Shown:
    """The answer of the connector."""
    connector, tickets = LanceConnector("lance"), tickets or Tickets(tenant)

    async def run() -> Shown | None:
        with Line(tenant, tickets, Lane.LIVE, connector.error, held=held, now=lambda: tenant.now) as used:
            if line is not None:
                line.append(used)
            return await connector.patch(used, "1", Kind.PERSON, patch)

    answer = asyncio.run(run())
    assert answer is not None
    return answer


def test_both_places_are_taken_before_the_read() -> None:
    """Nothing stands between the read and the write: not even the budget."""
    tenant = Tenant("ada")

    patched(tenant, ADD_CARL)

    assert ["2 of 2", "GET", "PATCH"] == tenant.happened


def test_a_ticket_that_was_given_goes_back_for_two() -> None:
    """Everybody who holds one and waits for a second would wait for everybody else."""
    tenant = Tenant("ada")
    tickets = Tickets(tenant)

    patched(tenant, ADD_CARL, tickets, held=("given",))

    assert ["2 of 2", "GET", "PATCH"] == tenant.happened
    assert [("given", Ending.UNSENT), ("live-0", Ending.ANSWERED), ("live-1", Ending.ANSWERED)] == [
        (report.ticket, report.ending) for report in tickets.reports
    ]


def test_two_tickets_that_were_given_are_used() -> None:
    """Whoever knows better takes them along."""
    tenant = Tenant("ada")

    patched(tenant, ADD_CARL, held=("a", "b"))

    assert ["GET", "PATCH"] == tenant.happened


def test_a_place_that_is_not_needed_goes_back() -> None:
    """Somebody made the same edit there: nothing is written."""
    tenant = Tenant("ada", "carl")
    tickets = Tickets(tenant)

    shown = patched(tenant, ADD_CARL, tickets)

    assert (frozenset({"ada", "carl"}), None, None) == (shown.members, shown.moved, shown.before)
    assert [Ending.ANSWERED, Ending.UNSENT] == [report.ending for report in tickets.reports]


def test_a_name_takes_one_place() -> None:
    """As ever."""
    tenant = Tenant("ada")

    patched(tenant, Patch({Field.NAME: "N"}))

    assert ["1 of 1", "PATCH"] == tenant.happened


def test_one_place_is_enough_where_there_are_no_two() -> None:
    """An open breaker lets one probe out; its answer opens the way for the write."""
    tenant = Tenant("ada")

    assert patched(tenant, ADD_CARL, Tickets(tenant, most=1)).moved
    assert ["1 of 2", "GET", "1 of 1", "PATCH"] == tenant.happened


def test_the_second_place_is_awaited_before_the_read() -> None:
    """Places come free one by one: nothing is read until there are two, and each is soon to be had."""
    tenant = Tenant("ada")

    patched(tenant, ADD_CARL, Tickets(tenant, most=1, why=Wait.BUDGET))

    assert ["1 of 2", "1 of 1", "GET", "PATCH"] == tenant.happened


def test_without_a_place_nothing_is_read() -> None:
    """A read without its write would be for nothing."""
    tenant = Tenant("ada")

    class Spent(NoLimit):
        async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
            return Grant(wait_s=7.0, why=Wait.BACKOFF)

    tickets = Spent()
    with pytest.raises(RateLimited, match="no place in the rate budget"):
        patched(tenant, ADD_CARL, tickets, held=("given",))

    assert [] == tenant.happened
    assert [Report(ticket="given", ending=Ending.UNSENT)] == tickets.reports


@pytest.mark.parametrize(
    ("read_s", "methods", "read"),
    [(3.0, ["GET", "PATCH"], ["ada"]), (3.1, ["GET", "GET", "PATCH"], ["ada", "rival"])],
)
def test_a_slow_read_is_read_again(read_s: float, methods: list[str], read: list[str]) -> None:
    """Three seconds from asking to sending, no more; what came meanwhile is in the second read, and so in the write."""
    tenant = Tenant("ada")
    tenant.reads_take = [read_s]
    tenant.meanwhile["GET"] = lambda: setattr(tenant, "ids", ["ada", "rival"])

    answer = patched(tenant, ADD_CARL)

    assert methods == [one for one in tenant.happened if one.isalpha()]
    assert [{"personIds": [*read, "carl"]}] == tenant.bodies
    assert answer.before is not None
    assert frozenset(read) == answer.before.members


def test_waiting_for_the_writes_ticket_makes_a_read_old() -> None:
    """Where the budget gave only one, the clock decides: it is looked at last of all."""
    tenant = Tenant("ada")

    with pytest.raises(Transient, match="more than 3 s"):
        patched(tenant, ADD_CARL, Tickets(tenant, most=1, wait_s=4.0))

    assert [] == tenant.bodies


def test_reads_that_stay_slow_are_given_up() -> None:
    """Nothing was sent; somebody else may try again later, and no ticket is kept."""
    tenant = Tenant("ada")
    tenant.reads_take = [5.0] * 9
    tickets = Tickets(tenant)

    with pytest.raises(Transient, match=r"not sent: 4 times it took more than 3 s to read this list's members") as up:
        patched(tenant, ADD_CARL, tickets)

    assert Transient is type(up.value)
    assert ["GET"] * (1 + AGAIN) == [one for one in tenant.happened if one.isalpha()]
    assert [Ending.ANSWERED] * 4 == [one.ending for one in tickets.reports if one.ending is not Ending.UNSENT]
    assert tickets._taken == len(tickets.reports)


def test_the_window_is_measured() -> None:
    """From the asking of the read to the sending of the write."""
    tenant = Tenant("ada")
    tenant.reads_take = [0.25]
    line: list[Line] = []

    patched(tenant, ADD_CARL, line=line)

    assert (0.25, 2) == (line[0].window_s, line[0].calls)


def test_what_lance_lost_is_told_whole() -> None:
    """One of the others is missing in the answer: the whole set says so, and `before` says what was there."""
    tenant = Tenant("ada", "blaise")
    tenant.shows = lambda shown: {**shown, "personIds": ["ada", "carl"]}

    answer = patched(tenant, ADD_CARL)

    assert (frozenset({"ada", "carl"}), None) == (answer.members, answer.moved)
    assert answer.before is not None
    assert (frozenset({"ada", "blaise"}), FIRST) == (answer.before.members, answer.before.version)


def test_an_answer_without_members_says_nothing_of_them() -> None:
    """Neither whole nor moved: unknown stays unknown."""
    tenant = Tenant("ada")
    tenant.shows = lambda shown: {**shown, "personIds": None}

    answer = patched(tenant, ADD_CARL)

    assert (None, None) == (answer.members, answer.moved)
    assert answer.before is not None


def test_an_unreadable_answer_to_the_write_is_a_bad_answer() -> None:
    """The write may have been done: whoever decides must look."""
    tenant = Tenant("ada")
    tenant.shows = lambda shown: {"result": shown}

    with pytest.raises(BadAnswer):
        patched(tenant, ADD_CARL)


def test_ids_that_come_twice_are_one_member() -> None:
    """They are left as they are, and the answer is compared as a set."""
    tenant = Tenant("ada", "ada", "blaise")

    answer = patched(tenant, Patch({}, frozenset({"carl"}), frozenset({"blaise"})))

    assert [{"personIds": ["ada", "ada", "carl"]}] == tenant.bodies
    assert MembersSeen(whole=False, added=frozenset({"carl"}), removed=frozenset({"blaise"})) == answer.moved


def test_the_body_is_made_of_the_ids_that_were_read() -> None:
    """No second copy of a million strings: they are the same objects."""
    tenant = Tenant(*(f"lead_{n:06}" for n in range(100)))

    answer = patched(tenant, ADD_CARL)

    assert answer.before is not None
    read = {id(member) for member in answer.before.members or ()}
    assert read == {id(member) for member in tenant.bodies[0]["personIds"] if member != "carl"}
