"""Members added to an Instantly list over real HTTP: batches, counters, reasons, and what fails in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson
import pytest

from models.lead_list import Field
from models.observation import MembersSeen
from models.person import Person
from tests.support.instantly import LAST_ROW, LEADS, A, B, C, Meddle, Workspace, emails, once, saying
from worker.errors import AccessLost, BadAnswer, NotThere, RateLimited, Refused, Unclear
from worker.remotes.base import Answer, Request
from worker.simulators.running import RunningSimulator

NOBODY = "00000000-0000-7000-8000-0000000000ff"
ADD = f"{LEADS}/add"
#: Each counter of leads that were not made, except those that were there already, and what it says.
REASONS = {
    "in_blocklist": "on the blocklist",
    "skipped_count": "skipped by the workspace's settings",
    "invalid_email_count": "invalid e-mail address",
    "incomplete_count": "incomplete",
    "duplicate_email_count": "said to be sent twice",
}


@pytest.fixture
def instantly(simulators: Mapping[str, RunningSimulator]) -> Workspace:
    """A workspace without lists."""
    return Workspace(simulators["instantly"])


def added(*members: str) -> MembersSeen:
    """These came."""
    return MembersSeen(whole=False, added=frozenset(members))


def test_members_become_leads_with_what_is_known_of_them(instantly: Workspace) -> None:
    """One call of one body: the list, addresses and names, and no flag that skips or verifies."""
    list_id = instantly.seed()
    ada = Person(id=A, email=A, first_name="Ada", last_name="Lovelace", company_name="Engine")

    shown = instantly.patch(list_id, add={A, B, C}, people={A: ada, B: Person(id=B, first_name="Blaise")})

    assert (added(A, B, C), None, {}) == (shown.moved, shown.members, shown.fields)
    assert {A, B, C} == {person.id for person in shown.people} == {person.email for person in shown.people}
    assert {"Ada", "Blaise", None} == {person.first_name for person in shown.people}
    assert [("POST", "add")] == instantly.calls()
    [body] = instantly.bodies("POST", ADD)
    who = {"email": A, "first_name": "Ada", "last_name": "Lovelace", "company_name": "Engine"}
    assert {"list_id": list_id, "leads": [who, {"email": B, "first_name": "Blaise"}, {"email": C}]} == body
    assert {A, B, C} == instantly.there(list_id)


def test_five_thousand_members_are_five_calls(instantly: Workspace) -> None:
    """A thousand at a time, and nothing else."""
    list_id = instantly.seed()

    shown = instantly.patch(list_id, add=emails(5_000))

    assert added(*emails(5_000)) == shown.moved
    assert [("POST", "add")] * 5 == instantly.calls()
    assert set(emails(5_000)) == instantly.there(list_id)


def test_a_thousand_and_one_are_two_calls(instantly: Workspace) -> None:
    """At the edge of a batch."""
    list_id = instantly.seed()

    instantly.patch(list_id, add=emails(1_001))

    assert [1_000, 1] == [len(body["leads"]) for body in instantly.bodies("POST", ADD)]


def test_fields_and_members_travel_in_order(instantly: Workspace) -> None:
    """Fields first, then who comes, then who goes; the answer shows the fields."""
    list_id = instantly.seed(A)

    shown = instantly.patch(list_id, fields={Field.NAME: "New"}, add={B}, remove={A})

    assert "New" == shown.fields[Field.NAME]
    assert MembersSeen(whole=False, added=frozenset({B}), removed=frozenset({A})) == shown.moved
    calls = [("PATCH", list_id), ("POST", "add"), ("POST", "list"), ("DELETE", "leads")]
    assert calls == instantly.calls()
    assert {B} == instantly.there(list_id)


def test_a_member_without_an_address_is_never_sent(instantly: Workspace) -> None:
    """A row without one could not be recognised; the others are not kept waiting."""
    list_id = instantly.seed()

    assert {LAST_ROW: "has no e-mail"} == instantly.patch(list_id, add={LAST_ROW}).refused
    assert [] == instantly.calls()

    shown = instantly.patch(list_id, add={LAST_ROW, A})

    assert ({LAST_ROW: "has no e-mail"}, added(A)) == (shown.refused, shown.moved)


def test_members_that_are_there_already_are_there(instantly: Workspace) -> None:
    """As after an unclear outcome: a repeat is one call and tells the same."""
    list_id = instantly.seed("ADA@example.com", B)

    assert added(A, B, C) == instantly.patch(list_id, add={A, B, C}).moved
    assert added(A, B, C) == instantly.patch(list_id, add={A, B, C}).moved
    assert [("POST", "add")] * 2 == instantly.calls()
    assert 3 == instantly.count(list_id)


def test_who_lives_in_another_list_comes_all_the_same(instantly: Workspace) -> None:
    """`skip_if_in_list` would mean any list, so it is never said."""
    instantly.seed(A)
    list_id = instantly.seed()

    assert added(A) == instantly.patch(list_id, add={A}).moved


@pytest.mark.parametrize("counter", REASONS)
def test_each_counter_is_a_reason(instantly: Workspace, counter: str) -> None:
    """One counter explains everybody who is not there."""
    instantly.sim.switch(blocklist=[A])
    list_id = instantly.seed(B)

    shown = instantly.patch(list_id, saying("/add", **{"in_blocklist": 0, counter: 1}), add={A, B, C})

    assert {A: REASONS[counter]} == shown.refused
    assert added(B, C) == shown.moved


def test_several_counters_leave_several_reasons(instantly: Workspace) -> None:
    """The answer does not say whom it means, so neither do we."""
    instantly.sim.switch(blocklist=[A, B])
    list_id = instantly.seed(C)

    shown = instantly.patch(list_id, saying("/add", in_blocklist=1, skipped_count=1), add={A, B, C})

    assert dict.fromkeys([A, B], "one of: on the blocklist, skipped by the workspace's settings") == shown.refused
    assert added(C) == shown.moved


def test_a_blocklisted_member_that_is_there_is_there(instantly: Workspace) -> None:
    """The counter names a reason, the list itself has the last word."""
    instantly.sim.switch(blocklist=[A, B])
    list_id = instantly.seed(A)

    shown = instantly.patch(list_id, add={A, B})

    assert (added(A), {B: "on the blocklist"}) == (shown.moved, shown.refused)


def test_addresses_that_cannot_be_looked_up_spoil_nothing(instantly: Workspace) -> None:
    """Instantly answers 400 to a filter by an address that is none, and to everybody beside it."""
    odd = {"a@@example.com", "two words@example.com", "@"}
    list_id = instantly.seed()

    shown = instantly.patch(list_id, add={A, *odd})

    assert (added(A), dict.fromkeys(odd, "invalid e-mail address")) == (shown.moved, shown.refused)
    assert [("POST", "add")] == instantly.calls()


def test_odd_addresses_beside_known_ones_are_searched_for(instantly: Workspace) -> None:
    """An address beyond ASCII is taken, and found by search; nobody is said to be there who is not."""
    odd = "ä@example.com"
    list_id = instantly.seed(odd)

    shown = instantly.patch(list_id, add={odd, "b@@example.com"})

    assert (added(odd), {"b@@example.com": "invalid e-mail address"}) == (shown.moved, shown.refused)
    assert odd in instantly.who(list_id)


def test_an_odd_address_that_is_there_is_not_taken_for_the_invalid_one(instantly: Workspace) -> None:
    """One of two is invalid: to guess wrong would say that somebody is there who is not."""
    odd = "ä@example.com"
    instantly.sim.switch(blocklist=[A])
    list_id = instantly.seed(odd)

    shown = instantly.patch(list_id, saying("/add", in_blocklist=0, invalid_email_count=1), add={odd, A})

    assert (added(odd), {A: "invalid e-mail address"}) == (shown.moved, shown.refused)


def test_who_is_said_to_be_there_and_is_not_shown_is_not_taken_for_there(instantly: Workspace) -> None:
    """A read that lags, or an address that is spelled in a way of its own: all reasons are named."""
    instantly.sim.switch(blocklist=[A])
    list_id = instantly.seed(B)

    shown = instantly.patch(list_id, saying("/leads/list", items=[]), add={A, B})

    assert dict.fromkeys([A, B], "one of: said to be there already, on the blocklist") == shown.refused
    assert shown.moved is None


def test_refused_members_are_looked_up_a_hundred_at_a_time(instantly: Workspace) -> None:
    """By address, in this list only."""
    instantly.sim.switch(blocklist=emails(250))
    instantly.seed(*emails(250))
    list_id = instantly.seed()

    shown = instantly.patch(list_id, add=emails(250))

    assert dict.fromkeys(emails(250), "on the blocklist") == shown.refused
    looks = instantly.bodies("POST", f"{LEADS}/list")
    assert [100, 100, 50] == [len(look["contacts"]) for look in looks]
    assert {(list_id, 100)} == {(look["list_id"], look["limit"]) for look in looks}


COUNTERS = ["total_sent", "leads_uploaded", "duplicated_leads", *REASONS]


@pytest.mark.parametrize("value", [None, -1, "1", True, 1.0, [], 7, ...], ids=repr)
@pytest.mark.parametrize("counter", COUNTERS)
def test_counters_that_do_not_add_up_are_a_bad_answer(instantly: Workspace, counter: str, value: object) -> None:
    """Absent, negative, of another type, or of another sum: nobody is written down by guess."""
    list_id = instantly.seed(A)

    with pytest.raises(BadAnswer, match="expected "):
        instantly.patch(list_id, saying("/add", **{counter: value}), add={A, B})


@pytest.mark.parametrize(
    "created",
    [
        None,
        {},
        [],
        [None],
        [{"id": LAST_ROW}],
        [{"index": 0}],
        [{"id": LAST_ROW, "index": -1}],
        [{"id": LAST_ROW, "index": 2}],
        [{"id": LAST_ROW, "index": "0"}],
        [{"id": LAST_ROW, "index": True}],
        [{"id": LAST_ROW, "index": 0, "email": B}],
        [{"id": LAST_ROW, "index": 0, "email": 7}],
        [{"id": LAST_ROW, "index": 0}, {"id": LAST_ROW, "index": 0}],
        ...,
    ],
    ids=repr,
)
def test_created_leads_that_cannot_be_meant_are_a_bad_answer(instantly: Workspace, created: object) -> None:
    """A place that was not sent, a place twice, or another address than was sent there."""
    list_id = instantly.seed(B)

    with pytest.raises(BadAnswer, match="expected "):
        instantly.patch(list_id, saying("/add", created_leads=created), add={A, B})


def test_created_leads_are_told_by_place_in_any_order(instantly: Workspace) -> None:
    """Their order says nothing, and the address may be left out."""
    list_id = instantly.seed()

    def shuffled(_: Request, answer: Answer) -> Answer:
        said = orjson.loads(answer.body)
        said["created_leads"] = [{"id": lead["id"], "index": lead["index"]} for lead in said["created_leads"][::-1]]
        return replace(answer, body=orjson.dumps(said))

    shown = instantly.patch(list_id, shuffled, add={A, B, C})

    assert added(A, B, C) == shown.moved
    assert {A, B, C} == {person.email for person in shown.people}


def fails_second(instantly: Workspace, fault: str) -> Meddle:
    """The call after the first add meets a fault."""
    return once("/add", lambda: instantly.sim.next(fault))


@pytest.mark.parametrize("fault", ["rate_limit", "drop", "error"])
def test_what_was_done_before_a_failure_is_told(simulators: Mapping[str, RunningSimulator], fault: str) -> None:
    """A limit in the middle leaves the rest for later; a write without an answer leaves all of it unclear."""
    instantly = Workspace(simulators["instantly"], timeout_s=1.0)
    list_id = instantly.seed()

    if fault == "rate_limit":
        shown = instantly.patch(list_id, fails_second(instantly, fault), add=emails(1_500))
        assert added(*emails(1_000)) == shown.moved
    else:
        with pytest.raises(Unclear):
            instantly.patch(list_id, fails_second(instantly, fault), add=emails(1_500))

    assert added(*emails(1_500)) == instantly.patch(list_id, add=emails(1_500)).moved


def test_a_refusal_in_the_middle_leaves_what_was_done(instantly: Workspace) -> None:
    """The next attempt begins with what was refused, and says why."""
    list_id = instantly.seed()

    def revoke() -> None:
        instantly.sim.switch(access="402")

    shown = instantly.patch(list_id, once("/add", revoke), add=emails(1_500))

    assert added(*emails(1_000)) == shown.moved
    with pytest.raises(AccessLost):
        instantly.patch(list_id, add=emails(1_500)[1_000:])


def test_fields_that_were_told_are_told_when_members_fail(instantly: Workspace) -> None:
    """The name is there; the members are asked for again."""
    list_id = instantly.seed()
    limited = once(f"/{list_id}", lambda: instantly.sim.next("rate_limit"))

    shown = instantly.patch(list_id, limited, fields={Field.NAME: "New"}, add={A})

    assert ("New", None) == (shown.fields[Field.NAME], shown.moved)


def test_a_failure_at_the_very_beginning_is_raised(instantly: Workspace) -> None:
    """Nothing was done, so there is nothing to tell."""
    list_id = instantly.seed()
    instantly.sim.next("rate_limit")

    with pytest.raises(RateLimited):
        instantly.patch(list_id, add={A})


def test_a_look_back_that_fails_leaves_what_was_made(instantly: Workspace) -> None:
    """Those who were made are made; of the others nothing is known yet."""
    instantly.sim.switch(blocklist=[B])
    list_id = instantly.seed()

    shown = instantly.patch(list_id, fails_second(instantly, "error"), add={A, B})

    assert (added(A), {}) == (shown.moved, shown.refused)


def test_a_list_that_is_not_there_takes_nobody(instantly: Workspace) -> None:
    """The list is named in the body, and 404 is about it all the same."""
    with pytest.raises(NotThere):
        instantly.patch(NOBODY, add={A})
    with pytest.raises(Refused, match="cannot be an id"):
        instantly.patch("", add={A})


def test_a_refusal_names_nobody(instantly: Workspace) -> None:
    """Reasons are shown to people who need not see addresses."""
    instantly.sim.switch(blocklist=[A])

    shown = instantly.patch(instantly.seed(), add={A, "b@@example.com", LAST_ROW})

    assert 3 == len(shown.refused)
    assert not any("@" in reason or LAST_ROW in reason for reason in shown.refused.values())
