"""The CRM simulator speaks contract section 5."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulators import LIST_ID, NOBODY, Talk

PATH = f"/lead-lists/{LIST_ID}"
SEED = {"id": LIST_ID, "name": "Old", "owner": "crm-user-1", "enrichment": False, "members": ["a", "b"]}


@pytest.fixture
def crm() -> Talk:
    """A CRM with one list."""
    talk = Talk("crm")
    talk.seed(SEED)
    return talk


def test_a_list_has_the_canonical_fields(crm: Talk) -> None:
    """
    id, kind, name, owner, enrichment, members, updated_at: nothing else.
    """
    expected = {**SEED, "kind": "person", "updated_at": "2027-01-15T08:00:00.000Z"}

    assert expected == crm.get(PATH).json


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({"name": "New"}, {"name": "New"}),
        ({"owner": None}, {"owner": None}),
        ({"enrichment": True}, {"enrichment": True}),
        ({"members_added": ["c", "a"]}, {"members": ["a", "b", "c"]}),
        ({"members_removed": ["a", "z"]}, {"members": ["b"]}),
        ({"members_added": ["c"], "members_removed": ["a"]}, {"members": ["b", "c"]}),
    ],
)
def test_a_patch_is_a_merge(crm: Talk, body: dict[str, Any], changes: dict[str, Any]) -> None:
    """
    Named fields change, others stay, and `updated_at` moves.
    """
    before = crm.get(PATH).json
    crm.now += 5

    reply = crm.patch(PATH, body)

    assert (200, {**before, **changes, "updated_at": "2027-01-15T08:00:05.000Z"}) == (reply.status, reply.json)
    assert crm.get(PATH).json == reply.json


@pytest.mark.parametrize("body", [{}, {"name": "Old"}, {"members_added": ["a"]}, {"members_removed": ["z"]}])
def test_a_patch_that_says_nothing_new_is_counted(crm: Talk, body: dict[str, Any]) -> None:
    """
    It is answered with 200, moves nothing, and shows in the summary.
    """
    before = crm.get(PATH).json
    crm.now += 5

    assert before == crm.patch(PATH, body).json
    assert (1, 1) == tuple(crm.summary()[key] for key in ("patches", "patches_that_changed_nothing"))


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"name": None}, 422, "body/name must be string"),
        ({"name": 5}, 422, "body/name must be string"),
        ({"enrichment": "yes"}, 422, "body/enrichment must be boolean,null"),
        ({"members": ["a"]}, 422, "body must NOT have additional properties"),
        ({"kind": "company"}, 422, "body must NOT have additional properties"),
        ({"members_added": "c"}, 422, "body/members_added must be array"),
        ({"members_added": [1]}, 422, "body/members_added/0 must be string"),
        (["name"], 422, "body must be object"),
    ],
)
def test_a_bad_patch_is_refused(crm: Talk, body: Any, status: int, message: str) -> None:
    """
    With one sentence that names the place, and nothing changes.
    """
    reply = crm.patch(PATH, body)

    assert (status, {"error": {"code": "invalid", "message": message}}) == (reply.status, reply.json)
    assert crm.get(PATH).json["name"] == "Old"


def test_a_body_that_is_not_json_is_400(crm: Talk) -> None:
    """
    Told apart from JSON that says something wrong.
    """
    reply = crm("PATCH", PATH, raw=b'{"name": ')

    assert (400, "bad_request") == (reply.status, reply.json["error"]["code"])


def test_a_create_answers_201_with_the_list(crm: Talk) -> None:
    """
    Fields that are not given are null or empty, kind is person.
    """
    reply = crm.post("/lead-lists", {"name": "Fresh", "members": ["x", "x"]})

    assert reply.status == 201
    assert {"name": "Fresh", "kind": "person", "owner": None, "enrichment": None, "members": ["x"]}.items() <= (
        reply.json.items()
    )
    assert reply.json == crm.get(f"/lead-lists/{reply.json['id']}").json
    assert crm.post("/lead-lists", {"owner": "u"}).status == 422


def test_unknown_lists_and_paths_are_404(crm: Talk) -> None:
    """
    In the CRM's own envelope.
    """
    for reply in (crm.get(f"/lead-lists/{NOBODY}"), crm.patch(f"/lead-lists/{NOBODY}", {}), crm.get("/nope")):
        assert (404, "not_found") == (reply.status, reply.json["error"]["code"])
    assert crm.delete(PATH).status == 404


@pytest.mark.parametrize(("count", "limit"), [(0, 3), (1, 3), (6, 3), (7, 3), (7, 500)])
def test_pages_hold_every_list_once_and_end(count: int, limit: int) -> None:
    """
    The cursor is opaque; the last page says null, also when it is full.
    """
    crm = Talk("crm")
    ids = crm.seed(*({"name": f"List {n}"} for n in range(count)))
    seen, cursor, pages = [], "", 0
    while True:
        page = crm.get(f"/lead-lists?limit={limit}&cursor={cursor}").json
        seen += [row["id"] for row in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            break

    assert (ids, max(1, -(-count // limit))) == (seen, pages)


def test_a_page_survives_the_end_of_its_cursor() -> None:
    """
    A list that is deleted between two pages does not break the walk.
    """
    crm = Talk("crm")
    ids = crm.seed(*({"name": f"List {n}"} for n in range(4)))
    cursor = crm.get("/lead-lists?limit=2").json["next_cursor"]

    crm.post("/_sim/edit", {"id": ids[1], "deleted": True})

    assert ids[2:] == [row["id"] for row in crm.get(f"/lead-lists?cursor={cursor}").json["items"]]


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=many", "cursor=junk", "cursor=1-"])
def test_bad_paging_is_400(crm: Talk, query: str) -> None:
    """
    Never an empty page, which would look like a remote without lists.
    """
    assert crm.get(f"/lead-lists?{query}").status == 400
