"""Lance's lead lists: whole arrays, hydrated members, access by `userIds`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulators import LIST_ID, NOBODY, Talk

LISTS = "/api/v1/entities/leadlists"
COMPANY_LIST = "0190a000-0000-7000-8000-000000000002"
PATH = f"{LISTS}/{LIST_ID}"
COMPANY_PATH = f"{LISTS}/{COMPANY_LIST}"
COMPANIES = [f"0190a000-0000-7000-8000-0000000000c{n}" for n in range(3)]
NEW: dict[str, Any] = {
    "name": "Fresh",
    "icpId": None,
    "startDate": "2026-01-01T00:00:00.000Z",
    "endDate": "2026-02-01T00:00:00.000Z",
    "personIds": [],
}
FIELDS = {
    *("id", "icpId", "name", "type", "startDate", "endDate"),
    *("personIds", "companyIds", "userIds", "createdAt", "updatedAt"),
}


@pytest.fixture
def lance() -> Talk:
    """A tenant with a person list of Ada's, a company list of everybody's, and three users."""
    tokens = {"sim-token": "user_ada", "bob": "user_bob", "root": "user_root"}
    talk = Talk("lance", tokens=tokens, admins=["user_root"])
    talk.seed(
        {"id": LIST_ID, "name": "People", "members": ["lead_1", "lead_2"], "users": ["user_ada"]},
        {"id": COMPANY_LIST, "name": "Firms", "kind": "company", "members": COMPANIES[:2]},
    )
    return talk


def as_user(talk: Talk, token: str, method: str, path: str, body: Any = None) -> int:
    """The status that another user gets."""
    mine, talk.token = talk.token, token
    try:
        return talk(method, path, body).status
    finally:
        talk.token = mine


def test_the_list_of_lists_is_one_bare_array(lance: Talk) -> None:
    """
    Unpaged, with the ids of members and without the members.
    """
    rows = lance.get(LISTS).json

    assert [FIELDS, FIELDS] == [row.keys() for row in rows]
    assert [["lead_1", "lead_2"], []] == [row["personIds"] for row in rows]
    assert [[], COMPANIES[:2]] == [row["companyIds"] for row in rows]


def test_the_list_may_be_wrapped_or_hydrated(lance: Talk) -> None:
    """
    The documents say both, and show neither.
    """
    lance.switch(list_wrapped=True, list_hydrated=True)

    rows = lance.get(LISTS).json["leadlists"]

    assert ["lead_1", "lead_2"] == [person["id"] for person in rows[0]["persons"]]


@pytest.mark.parametrize(("path", "word"), [(PATH, "persons"), (COMPANY_PATH, "companies")])
def test_get_and_patch_answer_with_whole_members(lance: Talk, path: str, word: str) -> None:
    """
    One or the other by type; persons hold their company.
    """
    for reply in (lance.get(path), lance.patch(path, {"name": "New"})):
        assert {*FIELDS, word} == reply.json.keys()
        assert 2 == len(reply.json[word])
        assert word == "companies" or all("company" in person for person in reply.json[word])


def test_whole_members_may_be_left_out(lance: Talk) -> None:
    """
    For lists of so many members that nobody would answer with all of them.
    """
    lance.switch(hydrates=False)

    for reply in (lance.get(PATH), lance.patch(PATH, {"name": "New"})):
        assert reply.json.keys() == FIELDS


def test_arrays_replace_what_is_stored(lance: Talk) -> None:
    """
    Not merged: what is not sent is gone. A name alone leaves them be.
    """
    lance.now += 5

    assert ["lead_3"] == lance.patch(PATH, {"personIds": ["lead_3"]}).json["personIds"]
    assert ["lead_3"] == lance.patch(PATH, {"name": "New"}).json["personIds"]
    assert [] == lance.patch(PATH, {"personIds": []}).json["personIds"]
    assert "2027-01-15T08:00:05.000Z" == lance.get(PATH).json["updatedAt"]


@pytest.mark.parametrize(
    ("path", "body", "at"),
    [
        (PATH, {"companyIds": COMPANIES}, "companyIds"),
        (COMPANY_PATH, {"personIds": ["lead_1"]}, "personIds"),
        (COMPANY_PATH, {"companyIds": ["not-a-uuid"]}, "companyIds"),
        (PATH, {"name": None}, "name"),
        (PATH, {"personIds": "lead_1"}, "personIds"),
        (PATH, {"userIds": ["user_bob"]}, "userIds"),
        (PATH, {"type": "company"}, "type"),
    ],
)
def test_a_bad_patch_is_a_validation_error(lance: Talk, path: str, body: dict[str, Any], at: str) -> None:
    """
    The wrong array for the type, ids that are no UUID, what cannot be changed: 400 with details, nothing changed.
    """
    before = lance.get(path).json

    reply = lance.patch(path, body)

    assert (400, "BAD_REQUEST", at) == (
        reply.status,
        reply.json["error"]["code"],
        reply.json["error"]["details"][0]["path"][0],
    )
    assert before == lance.get(path).json


def test_a_create_needs_all_that_is_documented(lance: Talk) -> None:
    """
    icpId and personIds must be there, null and empty being allowed; the creator gets access.
    """
    made = lance.post(LISTS, NEW)

    assert (201, FIELDS, ["user_ada"]) == (made.status, made.json.keys(), made.json["userIds"])
    assert ("person", NEW["endDate"]) == (made.json["type"], made.json["endDate"])
    for missing in ("name", "icpId", "startDate", "endDate", "personIds"):
        assert lance.post(LISTS, {word: value for word, value in NEW.items() if word != missing}).status == 400
    assert lance.post(LISTS, {**NEW, "startDate": "soon"}).status == 400
    assert lance.post(LISTS, {**NEW, "companyIds": COMPANIES}).status == 400
    assert lance.post(LISTS, {**NEW, "type": "company", "companyIds": COMPANIES}).json["companyIds"] == COMPANIES


def test_the_status_of_a_create_is_a_switch(lance: Talk) -> None:
    """
    200 or 201: not visible in the documents.
    """
    lance.switch(created_status=200)

    assert lance.post(LISTS, NEW).status == 200


def test_access_is_by_user_ids(lance: Talk) -> None:
    """
    Others do not see a list, may not change it, and yet may read it by id; admins may everything.
    """
    ids = [row["id"] for row in lance.get(LISTS).json]
    assert [LIST_ID, COMPANY_LIST] == ids
    for method, path, body in (
        ("PATCH", PATH, {"name": "Mine"}),
        ("DELETE", PATH, None),
        ("POST", f"{PATH}/add-prospects", {"prospects": []}),
        ("GET", f"/api/v1/entities/leads/list/{LIST_ID}", None),
    ):
        assert 403 == as_user(lance, "bob", method, path, body)
    lance.token = "bob"
    assert [COMPANY_LIST] == [row["id"] for row in lance.get(LISTS).json]
    assert 200 == as_user(lance, "bob", "GET", PATH)
    assert 200 == as_user(lance, "root", "PATCH", PATH, {"name": "Root's"})


def test_errors_use_lances_envelope(lance: Talk) -> None:
    """
    code and message, as in the vendor's sample.
    """
    reply = lance.get(f"{LISTS}/{NOBODY}")
    message = f"LeadList with id '{NOBODY}' not found"

    assert (404, {"error": {"code": "NOT_FOUND", "message": message}}) == (reply.status, reply.json)
    assert 404 == lance.patch(f"{LISTS}/abc", {"name": "x"}).status == lance.delete(f"{LISTS}/abc").status


@pytest.mark.parametrize(
    ("status", "token", "expected"),
    [(401, None, (401, "UNAUTHORIZED")), (400, None, (400, "BAD_REQUEST")), (400, "bad", (401, "UNAUTHORIZED"))],
)
def test_a_missing_session_may_be_400(lance: Talk, status: int, token: str | None, expected: tuple[int, str]) -> None:
    """
    Some pages say 401, others 400; a wrong token is 401 in any case.
    """
    lance.switch(missing_session=status)
    lance.token = token

    reply = lance.get(LISTS)

    assert expected == (reply.status, reply.json["error"]["code"])


def test_delete_answers_204_with_nothing(lance: Talk) -> None:
    """
    And the list is gone.
    """
    reply = lance.delete(PATH)

    assert (204, b"", {}) == (reply.status, reply.response.body, reply.response.headers)
    assert lance.get(PATH).status == 404


def test_add_prospects_counts_only_new_ones(lance: Talk) -> None:
    """
    Those already in the list are skipped; the answer is nothing but a count.
    """
    ada, bea = ({"id": i, "firstName": "F", "lastName": "L"} for i in COMPANIES[:2])

    first = lance.post(f"{PATH}/add-prospects", {"prospects": [ada, {"firstName": "New", "lastName": "One"}]})
    second = lance.post(f"{PATH}/add-prospects", {"prospects": [ada, bea]})

    assert [{"addedCount": 2}, {"addedCount": 1}] == [first.json, second.json]
    stored = lance.get(PATH).json
    assert (5, True) == (len(stored["personIds"]), COMPANIES[1] in stored["personIds"])
    assert "F" == next(person["firstName"] for person in stored["persons"] if person["id"] == COMPANIES[0])


def test_prospects_may_be_stored_under_another_id(lance: Talk) -> None:
    """
    Tenant sync: the id sent is not the id kept, so a repeat adds once more.
    """
    lance.switch(remap_prospects=True)
    body = {"prospects": [{"id": COMPANIES[0], "firstName": "F", "lastName": "L"}]}

    counts = [lance.post(f"{PATH}/add-prospects", body).json["addedCount"] for _ in range(2)]

    assert [1, 1] == counts
    assert COMPANIES[0] not in lance.get(PATH).json["personIds"]


@pytest.mark.parametrize(
    ("body", "status", "added"),
    [
        ({"mode": "bulk", "targetCount": 5}, 200, 5),
        ({"mode": "bulk", "startIndex": 2, "targetCount": 3}, 200, 3),
        ({"mode": "manual", "includedIds": ["lead_1", "lead_9"]}, 200, 1),
        ({"mode": "bulk", "targetCount": 1001}, 400, 0),
        ({"mode": "all"}, 400, 0),
        ({"prospects": [{"firstName": "F"}]}, 400, 0),
        ({}, 400, 0),
    ],
)
def test_what_add_prospects_takes(lance: Talk, body: dict[str, Any], status: int, added: int) -> None:
    """
    Persons with both names, or a bulk selection.
    """
    reply = lance.post(f"{PATH}/add-prospects", body)

    assert (status, 2 + added) == (reply.status, len(lance.get(PATH).json["personIds"]))


def test_add_companies_drops_repeats_silently(lance: Talk) -> None:
    """
    At least one UUID; the answer is the hydrated list.
    """
    reply = lance.post(f"{COMPANY_PATH}/add-companies", {"companyIds": [COMPANIES[2], COMPANIES[2], COMPANIES[0]]})

    assert (COMPANIES, 3) == (reply.json["companyIds"], len(reply.json["companies"]))
    assert lance.post(f"{COMPANY_PATH}/add-companies", {"companyIds": []}).status == 400
    assert lance.post(f"{PATH}/add-companies", {"companyIds": COMPANIES}).status == 400
    assert lance.post(f"{COMPANY_PATH}/add-prospects", {"prospects": []}).status == 400


@pytest.mark.parametrize("touches", [True, False])
def test_whether_adding_moves_updated_at_is_a_switch(lance: Talk, *, touches: bool) -> None:
    """
    Undocumented: equal `updatedAt` is no proof of equal members.
    """
    lance.switch(adding_touches=touches)
    before = lance.get(COMPANY_PATH).json["updatedAt"]
    lance.now += 5

    after = lance.post(f"{COMPANY_PATH}/add-companies", {"companyIds": COMPANIES}).json["updatedAt"]

    assert touches == (before != after)


def test_leads_by_list_leaves_out_the_nameless(lance: Talk) -> None:
    """
    The trap: these ids are not the membership.
    """
    lance.patch(PATH, {"personIds": [f"lead_{n}" for n in range(200)]})
    leads = f"/api/v1/entities/leads/list/{LIST_ID}"

    some = lance.get(leads).json
    assert 0 < len(some) < 200
    assert all(person["company"]["name"] for person in some)
    assert COMPANIES[:2] == [row["id"] for row in lance.get(f"/api/v1/entities/leads/list/{COMPANY_LIST}").json]

    lance.switch(nameless_share=0)
    assert 200 == len(lance.get(leads).json)
    lance.switch(nameless_share=1)
    assert [] == lance.get(leads).json
    assert {None} == {person["company"]["name"] for person in lance.get(PATH).json["persons"]}


@pytest.mark.parametrize(("after", "shown"), [("GET", False), ("PATCH", True)])
def test_another_program_may_edit_after_a_call(lance: Talk, *, after: str, shown: bool) -> None:
    """
    After a read, which then is old; after a write, whose answer then shows it. Every time.
    """
    lance.switch(rival_after=after, rival_adds=["lead_9"], rival_removes=["lead_1"])
    method = {"GET": lance.get(PATH), "PATCH": lance.patch(PATH, {"name": "New"})}[after]

    assert shown == ("lead_9" in method.json["personIds"])

    lance.switch(rival_adds=[], rival_removes=[])
    assert ["lead_2", "lead_9"] == lance.get(PATH).json["personIds"]
