"""Instantly's members, read and counted over real HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from models.lead_list import Field
from models.person import Naming, Person
from tests.support.instantly import FIRST_ROW, LAST_ROW, LEADS, A, B, C, Workspace, emails, once, saying
from worker.errors import BadAnswer, NotThere, Refused, Transient
from worker.remotes.base import Answer, Request
from worker.remotes.instantly.connector import InstantlyConnector
from worker.simulators.running import RunningSimulator

NOBODY = "00000000-0000-7000-8000-0000000000ff"


@pytest.fixture
def instantly(simulators: Mapping[str, RunningSimulator]) -> Workspace:
    """A workspace without lists."""
    return Workspace(simulators["instantly"])


def test_members_are_rows_apart_that_are_known_by_email() -> None:
    """What the use cases must know of this kind of remote."""
    here = InstantlyConnector("here").capabilities

    assert Field.MEMBERS in here.fields
    assert (Naming.EMAIL, True, 5_000) == (here.naming, here.members_apart, here.members_at_once)


def test_members_are_shown_with_the_list_and_who_they_are(instantly: Workspace) -> None:
    """By address as it is compared, or by the id of the row; names as far as they are known."""
    list_id = instantly.seed("Ada@Example.com", LAST_ROW)
    who = {"email": B, "first_name": "Blaise", "last_name": "", "company_name": "Abacus"}
    instantly.ask("POST", f"{LEADS}/add", {"list_id": list_id, "leads": [who]})

    shown = instantly.members(list_id)

    assert "One" == shown.fields[Field.NAME]
    assert frozenset({A, B, LAST_ROW}) == shown.members
    assert [
        Person(id=A, email=A),
        Person(id=B, email=B, first_name="Blaise", company_name="Abacus"),
        Person(id=LAST_ROW),
    ] == sorted(shown.people, key=lambda person: person.id)


def test_get_does_not_say_who_is_in_the_list(instantly: Workspace) -> None:
    """Unknown is not empty."""
    list_id = instantly.seed(A)

    assert instantly(lambda send: instantly.connector.get(send, list_id)).members is None


@pytest.mark.parametrize("last_cursor", ["never", "full", "always"])
@pytest.mark.parametrize("size", [0, 1, 100, 101, 200])
def test_every_page_is_read_once(instantly: Workspace, size: int, last_cursor: str) -> None:
    """Whatever the last page promises, and at the edge of a page."""
    instantly.sim.switch(last_cursor=last_cursor)
    list_id = instantly.seed(*emails(size))

    assert set(emails(size)) == instantly.who(list_id)
    pages = instantly.bodies("POST", f"{LEADS}/list")
    assert len(pages) <= size // 100 + 2
    assert {100} == {page["limit"] for page in pages}


def test_several_rows_of_one_address_are_one_member(instantly: Workspace) -> None:
    """They are counted as rows, so that none can be missed, and told once."""
    list_id = instantly.seed(A, B)
    instantly.double(list_id, A, "ADA@example.com")

    shown = instantly.members(list_id)

    assert frozenset({A, B}) == shown.members
    assert 2 == len(shown.people)
    assert 4 == instantly.count(list_id)


def test_count_is_one_call(instantly: Workspace) -> None:
    """The cheap question of a scan."""
    list_id = instantly.seed(*emails(150))
    instantly.sim.forget_calls()

    assert 150 == instantly.count(list_id)
    assert [("GET", "verification-stats")] == instantly.calls()


@pytest.mark.parametrize("total", [None, "3", -1, True, 1.5, {}, ...], ids=repr)
def test_a_count_that_is_none_is_a_bad_answer(instantly: Workspace, total: object) -> None:
    """Neither the count nor the read takes it for nothing."""
    list_id = instantly.seed(A)

    for ask in (instantly.count, instantly.members):
        with pytest.raises(BadAnswer, match="total_leads: a whole number"):
            ask(list_id, saying("verification-stats", total_leads=total))


def test_a_row_that_came_behind_the_cursor_is_noticed(instantly: Workspace) -> None:
    """Fewer rows than there are is no membership: it would take somebody out who is there."""
    list_id = instantly.seed(*emails(150))
    sneaks_in = once("/leads/list", lambda: instantly.sim.edit(list_id, members_added=[FIRST_ROW]))

    with pytest.raises(Transient, match="changed while they were read, or a page is missing"):
        instantly.members(list_id, sneaks_in)
    assert 151 == len(instantly.who(list_id))


def test_a_page_that_is_missing_is_noticed(instantly: Workspace) -> None:
    """A cursor that is left out ends the walk, but not the count."""
    list_id = instantly.seed(*emails(150))

    with pytest.raises(Transient, match="a page is missing"):
        instantly.members(list_id, saying("/leads/list", next_starting_after=...))


def test_a_row_that_comes_twice_does_not_stand_for_another(instantly: Workspace) -> None:
    """What is counted is different rows."""
    list_id = instantly.seed(A, B)

    def twice(request: Request, answer: Answer) -> Answer | None:
        if not request.path.endswith("/leads/list"):
            return None
        items = orjson.loads(answer.body)["items"]
        return replace(answer, body=orjson.dumps({"items": items[:1] * 2}))

    with pytest.raises(Transient, match="a page is missing"):
        instantly.members(list_id, twice)


def test_leads_that_went_while_they_were_read_are_noticed(instantly: Workspace) -> None:
    """More rows than there are: of an old page nobody can tell whom else it lacks."""
    list_id = instantly.seed(A, B)
    goes = once("/leads/list", lambda: instantly.sim.edit(list_id, members_removed=[B]))

    with pytest.raises(Transient, match="a page is missing or old"):
        instantly.members(list_id, goes)
    assert {A} == instantly.who(list_id)


@pytest.mark.parametrize(("told", "why"), [("11", "same one again"), ("121", "an earlier one again")])
def test_a_cursor_that_repeats_is_a_bad_answer(instantly: Workspace, told: str, why: str) -> None:
    """At once, or after another one: either would never end."""
    list_id = instantly.seed(A)
    cursors = iter(told)

    def in_circles(request: Request, answer: Answer) -> Answer | None:
        if not request.path.endswith("/leads/list"):
            return None
        page = {"items": [row(list_id)], "next_starting_after": next(cursors)}
        return replace(answer, body=orjson.dumps(page))

    with pytest.raises(BadAnswer, match=why):
        instantly.members(list_id, in_circles)


def row(list_id: str | None, **other: Any) -> dict[str, Any]:
    """A lead as the API shows it."""
    return {"id": FIRST_ROW, "list_id": list_id, "email": A, **other}


@pytest.mark.parametrize(
    "item",
    [
        None,
        "lead",
        row(None),
        row(NOBODY),
        row("", id=None),
        row("", id=""),
        row("", id=7),
        row("", email=["a"]),
        row("", email="nul\0@example.com"),
        row("", first_name={}),
    ],
    ids=repr,
)
def test_rows_that_are_none_of_this_list_are_a_bad_answer(instantly: Workspace, item: Any) -> None:
    """Rows of another list, rows without an id, and rows that are no rows."""
    list_id = instantly.seed(A)
    if isinstance(item, dict) and item["list_id"] == "":
        item = {**item, "list_id": list_id}

    with pytest.raises(BadAnswer, match="expected "):
        instantly.members(list_id, saying("/leads/list", items=[item]))


@pytest.mark.parametrize("items", [None, {}, "[]", ...], ids=repr)
@pytest.mark.parametrize("path", ["/leads/list", "/background-jobs"])
def test_pages_without_items_are_a_bad_answer(instantly: Workspace, path: str, items: object) -> None:
    """Never read as empty."""
    list_id = instantly.seed(A)

    with pytest.raises(BadAnswer, match="items: a list"):
        instantly.members(list_id, saying(path, items=items))


@pytest.mark.parametrize(
    "email", [None, "", " ", "nobody", "a" * 600 + "@example.com"], ids=lambda email: repr(email)[:9]
)
def test_a_row_without_a_usable_address_has_its_own_id(instantly: Workspace, email: str | None) -> None:
    """What has no @ in it would be taken for the id of a row later."""
    list_id = instantly.seed(A)

    shown = instantly.members(list_id, saying("/leads/list", items=[row(list_id, email=email)]))

    assert frozenset({FIRST_ROW}) == shown.members
    assert (None,) == tuple(person.email for person in shown.people)


def test_a_list_that_is_not_there_has_no_members(instantly: Workspace) -> None:
    """The filter by an unknown list finds nothing, which is not to be taken for an emptied list."""
    for ask in (instantly.members, instantly.count):
        with pytest.raises(NotThere):
            ask(NOBODY)
        with pytest.raises(Refused, match="cannot be an id"):
            ask("..")


def test_members_are_not_read_while_a_job_moves_them(instantly: Workspace) -> None:
    """A move answers before it works: reads are stale until it has ended."""
    list_id, other = instantly.seed(A), instantly.seed(B)
    instantly.sim.switch(job_s=60)
    instantly.ask("POST", f"{LEADS}/move", {"list_id": other, "to_list_id": list_id})

    with pytest.raises(Transient, match="background job"):
        instantly.members(list_id)
    assert ("POST", "list") not in instantly.calls()
    assert {B} == instantly.who(other)


def test_members_are_not_read_while_an_import_is_verified(instantly: Workspace) -> None:
    """Somebody else's import, which asked for it."""
    list_id = instantly.seed(A)
    instantly.sim.switch(job_s=60)
    lead = {"email": B}
    instantly.ask("POST", f"{LEADS}/add", {"list_id": list_id, "leads": [lead], "verify_leads_on_import": True})

    with pytest.raises(Transient, match="background job"):
        instantly.members(list_id)


@pytest.mark.parametrize(("end", "members"), [("success", {A, B}), ("failed", {A}), ("cancelled", {A})])
def test_a_job_that_has_ended_is_over(instantly: Workspace, end: str, members: set[str]) -> None:
    """Cancelled and failed are final too: waiting for a success would never end."""
    list_id, other = instantly.seed(A), instantly.seed(B)
    instantly.sim.switch(job_end=end)
    instantly.ask("POST", f"{LEADS}/move", {"list_id": other, "to_list_id": list_id})

    assert members == instantly.who(list_id)


@pytest.mark.parametrize(
    ("job", "what"),
    [
        ({}, "waits"),
        ({"status": "pending"}, "waits"),
        ({"status": "draining"}, "waits"),
        ({"type": "a-new-type"}, "waits"),
        ({"status": "paused"}, "reads"),
        ({"status": "cancelled"}, "reads"),
        ({"type": "export-leads"}, "reads"),
        ({"entity_id": NOBODY}, "reads"),
        ({"entity_id": None}, "reads"),
    ],
    ids=repr,
)
def test_only_jobs_that_change_this_list_are_waited_for(
    instantly: Workspace, job: dict[str, object], what: str
) -> None:
    """Even when the filters of the question are not honoured."""
    list_id = instantly.seed(A)
    shown = {"type": "move-leads", "status": "in-progress", "entity_id": list_id, **job}
    asked = saying("/background-jobs", items=[shown])

    if what == "waits":
        with pytest.raises(Transient, match="background job"):
            instantly.members(list_id, asked)
    else:
        assert {A} == instantly.who(list_id, asked)


@pytest.mark.parametrize("job", [None, {}, {"status": 1, "type": "move-leads"}], ids=repr)
def test_a_job_that_is_none_is_a_bad_answer(instantly: Workspace, job: object) -> None:
    """Not taken for a job that has ended."""
    with pytest.raises(BadAnswer, match="a background job"):
        instantly.members(instantly.seed(A), saying("/background-jobs", items=[job]))


def test_reading_writes_nothing(instantly: Workspace) -> None:
    """The POST that lists leads is a read: when its answer is lost it is simply asked again."""
    list_id = instantly.seed(A, B, C)
    instantly.sim.next("error", methods=["POST"])

    with pytest.raises(Transient) as caught:
        instantly.members(list_id)

    assert "RemoteDown" == type(caught.value).__name__
    assert 0 == instantly.sim.summary()["writes"]
