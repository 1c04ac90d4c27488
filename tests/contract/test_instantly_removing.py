"""Members removed from an Instantly list over real HTTP: looked up, deleted by id, and never without ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import worker.remotes.instantly
from models.lead_list import Field
from models.observation import MembersSeen
from tests.support.instantly import FIRST_ROW, LAST_ROW, LEADS, A, B, C, Workspace, emails, once, saying
from worker.errors import BadAnswer, NotThere, Unclear
from worker.remotes.base import Answer, Request
from worker.simulators.running import RunningSimulator

NOBODY = "00000000-0000-7000-8000-0000000000ff"


@pytest.fixture
def instantly(simulators: Mapping[str, RunningSimulator]) -> Workspace:
    """A workspace without lists, in which `ids: []` empties a list."""
    workspace = Workspace(simulators["instantly"])
    workspace.sim.switch(empty_ids="all")
    return workspace


def removed(*members: str) -> MembersSeen:
    """These went."""
    return MembersSeen(whole=False, removed=frozenset(members))


def test_members_are_deleted_by_the_ids_of_their_rows(instantly: Workspace) -> None:
    """By address or by the id of a row without one; the others stay."""
    list_id = instantly.seed("Ada@Example.com", B, C, FIRST_ROW, LAST_ROW)

    shown = instantly.patch(list_id, remove={A, B, FIRST_ROW})

    assert (removed(A, B, FIRST_ROW), None, {}) == (shown.moved, shown.members, shown.fields)
    assert {C, LAST_ROW} == instantly.there(list_id)
    [body] = instantly.bodies("DELETE", LEADS)
    assert {"list_id", "ids"} == body.keys()
    assert 3 == len(body["ids"])
    assert [("POST", "list"), ("POST", "list"), ("DELETE", "leads")] == instantly.calls()


def test_five_thousand_members_are_five_deletes(instantly: Workspace) -> None:
    """A thousand at a time, looked up a hundred at a time in the list they leave."""
    list_id = instantly.seed(C, *emails(5_000))

    shown = instantly.patch(list_id, remove=emails(5_000))

    assert removed(*emails(5_000)) == shown.moved
    assert {C} == instantly.there(list_id)
    assert [1_000] * 5 == [len(body["ids"]) for body in instantly.bodies("DELETE", LEADS)]
    looks = instantly.bodies("POST", f"{LEADS}/list")
    assert {(list_id, 100)} == {(look["list_id"], look["limit"]) for look in looks}


def test_every_row_of_an_address_goes(instantly: Workspace) -> None:
    """However it is spelled, and over several pages of one look."""
    instantly.sim.switch(last_cursor="always")
    list_id = instantly.seed(C, *emails(90))
    instantly.double(list_id, *(email.upper() for email in emails(90)))
    instantly.double(list_id, *emails(90))

    shown = instantly.patch(list_id, remove=emails(90))

    assert removed(*emails(90)) == shown.moved
    assert {C} == instantly.there(list_id)


def test_the_same_person_in_another_list_stays_there(instantly: Workspace) -> None:
    """A row belongs to one list."""
    other = instantly.seed(A)
    list_id = instantly.seed(A)

    instantly.patch(list_id, remove={A})

    assert (set(), {A}) == (instantly.there(list_id), instantly.there(other))


def test_a_row_of_another_list_is_not_deleted_by_its_id(instantly: Workspace) -> None:
    """An id that was learned in another list is none of this one."""
    other = instantly.seed(LAST_ROW)
    list_id = instantly.seed(A)

    assert instantly.doubts(list_id, remove={LAST_ROW})
    assert ({A}, {LAST_ROW}) == (instantly.there(list_id), instantly.there(other))
    assert [] == instantly.bodies("DELETE", LEADS)


def test_who_is_not_found_is_left_in_doubt(instantly: Workspace) -> None:
    """A look may leave somebody out: only a whole read that was counted tells that nobody is there."""
    list_id = instantly.seed(B, C)

    assert instantly.doubts(list_id, remove={A, LAST_ROW})
    assert instantly.doubts(list_id, remove={A, B})
    assert 1 == len(instantly.bodies("DELETE", LEADS))
    assert {C} == instantly.there(list_id)


def test_a_list_that_is_not_there_is_not_an_empty_one(instantly: Workspace) -> None:
    """Another workspace's list shows no rows either: absence is not removal."""
    with pytest.raises(NotThere):
        instantly.patch(NOBODY, remove={A})


def test_an_odd_address_goes_by_search(instantly: Workspace) -> None:
    """Instantly takes no such address as a filter; search finds others too, and they stay."""
    list_id = instantly.seed("ä@example.com", "bä@example.com", C)

    assert removed("ä@example.com") == instantly.patch(list_id, remove={"ä@example.com"}).moved
    assert {"bä@example.com", C} == instantly.there(list_id)


def test_a_filter_that_is_not_honoured_removes_nobody_else(instantly: Workspace) -> None:
    """Rows that were not asked for are left alone."""
    list_id = instantly.seed(A, B, C)
    rows = instantly.ask("POST", f"{LEADS}/list", {"list_id": list_id, "limit": 100})["items"]

    assert removed(A) == instantly.patch(list_id, saying("/leads/list", items=rows), remove={A}).moved
    assert {B, C} == instantly.there(list_id)


def test_rows_of_another_list_in_a_look_are_a_bad_answer(instantly: Workspace) -> None:
    """Whatever went wrong there, nothing is deleted on its word."""
    list_id = instantly.seed(A)
    rows = [{"id": LAST_ROW, "list_id": NOBODY, "email": A}]

    with pytest.raises(BadAnswer, match="got one of another"):
        instantly.patch(list_id, saying("/leads/list", items=rows), remove={A})
    assert {A} == instantly.there(list_id)


def test_somebody_else_deletes_the_same_lead(instantly: Workspace) -> None:
    """Fewer went than were named: who that was, a whole read tells."""
    list_id = instantly.seed(A, B, C)
    sneaks_in = once("/leads/list", lambda: instantly.sim.edit(list_id, members_removed=[A]))

    assert instantly.doubts(list_id, sneaks_in, remove={A, B})
    assert [("POST", "list"), ("DELETE", "leads")] == instantly.calls()


@pytest.mark.parametrize("count", [0, 1, None, ...], ids=repr)
def test_a_delete_that_does_not_say_that_all_went_leaves_a_doubt(instantly: Workspace, count: object) -> None:
    """Who came with it is not told either: that somebody is gone would count as a person's edit."""
    list_id = instantly.seed(A, B, C)

    def says_less(request: Request, answer: Answer) -> Answer | None:
        return saying("/leads", count=count)(request, answer) if request.method == "DELETE" else None

    assert instantly.doubts(list_id, says_less, add={"new@example.com"}, remove={A, B})


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_an_unreadable_answer_leaves_nothing_told_in_part(instantly: Workspace, method: str) -> None:
    """What it did is read before anything else, whatever was answered before it."""
    list_id = instantly.seed(A)

    def cut(request: Request, answer: Answer) -> Answer | None:
        writes = request.method == method and not request.only_reads
        return replace(answer, body=answer.body[:5]) if writes else None

    with pytest.raises(BadAnswer):
        instantly.patch(list_id, cut, fields={Field.NAME: "New"}, add={B}, remove={A})


@pytest.mark.parametrize("count", ["1", -1, 1.0, True, [], 2], ids=repr)
def test_a_count_that_cannot_be_is_a_bad_answer(instantly: Workspace, count: object) -> None:
    """More than were named, or no number."""
    list_id = instantly.seed(A, B)

    with pytest.raises(BadAnswer, match="expected "):
        instantly.patch(list_id, saying("/leads", count=count), remove={A})


def test_what_went_before_a_failure_is_told(instantly: Workspace) -> None:
    """The first thousand are gone; the rest is asked for again."""
    list_id = instantly.seed(*emails(1_500))
    limited = once("/leads", lambda: instantly.sim.next("rate_limit"))

    gone = instantly.patch(list_id, limited, remove=emails(1_500)).moved

    assert gone is not None
    assert 1_000 == len(gone.removed)
    assert instantly.there(list_id) == set(emails(1_500)) - gone.removed
    assert removed(*instantly.there(list_id)) == instantly.patch(list_id, remove=instantly.there(list_id)).moved


def test_who_has_a_row_left_is_not_said_to_be_gone(instantly: Workspace) -> None:
    """One row went with the first thousand, and then came a limit."""
    list_id = instantly.seed(A)
    instantly.sim.edit(list_id, members_added=emails(1_000))
    instantly.double(list_id, A)
    limited = once("/leads", lambda: instantly.sim.next("rate_limit"))

    gone = instantly.patch(list_id, limited, remove={A, *emails(1_000)}).moved

    assert gone is not None
    assert 999 == len(gone.removed)
    assert A not in gone.removed
    assert A in instantly.there(list_id)


def test_who_came_is_told_when_who_goes_fails(instantly: Workspace) -> None:
    """Additions are done, removals are asked for again."""
    list_id = instantly.seed(A)
    limited = once("/add", lambda: instantly.sim.next("rate_limit"))

    shown = instantly.patch(list_id, limited, add={B}, remove={A})

    assert MembersSeen(whole=False, added=frozenset({B})) == shown.moved
    assert {A, B} == instantly.there(list_id)


@pytest.mark.parametrize("fault", ["drop", "timeout_after", "cut_after", "error_after"])
def test_a_delete_without_an_answer_is_unclear(simulators: Mapping[str, RunningSimulator], fault: str) -> None:
    """Also after others were answered; what a look shows then can be deleted."""
    instantly = Workspace(simulators["instantly"], timeout_s=1.0)
    list_id = instantly.seed(*emails(1_100))
    lost = once("/leads", lambda: instantly.sim.next(fault, methods=["DELETE"]))

    with pytest.raises(Unclear):
        instantly.patch(list_id, lost, remove=emails(1_100))

    left = instantly.there(list_id)
    assert not left or removed(*left) == instantly.patch(list_id, remove=left).moved
    assert set() == instantly.there(list_id)


def test_only_one_place_deletes() -> None:
    """The request that could empty a list is built by `deletion` and by nothing else."""
    sources = Path(worker.remotes.instantly.__file__).parent.glob("*.py")

    assert {"removing.py": 1} == {
        path.name: count for path in sources if (count := path.read_text().count('method="DELETE"'))
    }
