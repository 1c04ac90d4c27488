"""Instantly's lead lists, jobs and webhooks, held against what its API document states."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulators import LIST_ID, NOBODY, START, Talk
from worker.simulators.wire import iso

LISTS = "/api/v2/lead-lists"
PATH = f"{LISTS}/{LIST_ID}"
USER = "0190a000-0000-7000-8000-0000000000aa"

#: What the document says of a lead list, in our words: property → (types, required).
LEAD_LIST = {
    "id": (str, True),
    "organization_id": (str, True),
    "name": (str, True),
    "timestamp_created": (str, True),
    "has_enrichment_task": (bool | None, False),
    "owned_by": (str | None, False),
}


@pytest.fixture
def instantly() -> Talk:
    """A workspace with one list."""
    talk = Talk("instantly")
    talk.seed({"id": LIST_ID, "name": "Old", "owner": USER, "enrichment": False})
    return talk


def is_lead_list(row: Any) -> bool:
    """Whether *row* keeps to the document."""
    known = all(name in LEAD_LIST and isinstance(value, LEAD_LIST[name][0]) for name, value in row.items())
    return known and all(name in row for name, (_, required) in LEAD_LIST.items() if required)


def test_every_answer_about_a_list_keeps_to_the_document(instantly: Talk) -> None:
    """
    Create, get, patch and delete all answer 200 with the list, and nothing undocumented in it.
    """
    made = instantly.post(LISTS, {"name": "Fresh"})
    path = f"{LISTS}/{made.json['id']}"
    replies = [made, instantly.get(path), instantly.patch(path, {"name": "Newer"}), instantly.delete(path)]

    assert [200] * 4 == [reply.status for reply in replies]
    assert all(is_lead_list(reply.json) for reply in replies)
    assert ["Fresh", "Fresh", "Newer", "Newer"] == [reply.json["name"] for reply in replies]
    assert instantly.get(path).status == 404


def test_a_new_list_belongs_to_its_creator(instantly: Talk) -> None:
    """
    `owned_by` defaults to the user behind the token; null when asked for.
    """
    assert instantly.post(LISTS, {"name": "Mine"}).json["owned_by"] is not None
    assert instantly.post(LISTS, {"name": "Nobody's", "owned_by": None}).json["owned_by"] is None


@pytest.mark.parametrize(
    "body", [{"name": "New"}, {"has_enrichment_task": True}, {"has_enrichment_task": None}, {"owned_by": None}]
)
def test_a_patch_changes_what_it_names(instantly: Talk, body: dict[str, Any]) -> None:
    """
    Null is an instruction, absence is none.
    """
    before = instantly.get(PATH).json

    assert {**before, **body} == instantly.patch(PATH, body).json == instantly.get(PATH).json


@pytest.mark.parametrize(
    ("method", "path", "body", "message"),
    [
        ("POST", LISTS, {}, "body must have required property 'name'"),
        ("POST", LISTS, {"name": None}, "body/name must be string"),
        ("POST", LISTS, {"name": "x", "owned_by": "me"}, 'body/owned_by must match format "uuid"'),
        ("POST", LISTS, {"name": "x", "colour": 1}, "body must NOT have additional properties"),
        ("PATCH", PATH, {}, "body must NOT have fewer than 1 properties"),
        ("PATCH", PATH, {"name": None}, "body/name must be string"),
        ("PATCH", PATH, {"id": USER}, "body must NOT have additional properties"),
        ("PATCH", PATH, {"has_enrichment_task": "true"}, "body/has_enrichment_task must be boolean,null"),
        ("PATCH", PATH, [], "body must be object"),
        ("PATCH", f"{LISTS}/not-a-uuid", {"name": "x"}, 'params/id must match format "uuid"'),
        ("GET", f"{LISTS}/not-a-uuid", None, 'params/id must match format "uuid"'),
        ("GET", f"{LISTS}?limit=0", None, "querystring/limit must be >= 1"),
        ("GET", f"{LISTS}?limit=101", None, "querystring/limit must be <= 100"),
        ("GET", f"{LISTS}?limit=ten", None, "querystring/limit must be integer"),
        ("GET", f"{LISTS}?starting_after=soon", None, "querystring/starting_after must be a timestamp"),
        ("GET", f"{LISTS}?has_enrichment_task=1", None, "querystring/has_enrichment_task must be boolean"),
    ],
)
def test_bad_input_is_400_in_the_documented_envelope(
    instantly: Talk, method: str, path: str, body: Any, message: str
) -> None:
    """
    statusCode, error, message: all three, and the message names the place.
    """
    reply = instantly(method, path, body)

    assert {"statusCode": 400, "error": "Bad Request", "message": message} == reply.json
    assert (400, "Old") == (reply.status, instantly.get(PATH).json["name"])


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)])
def test_an_unknown_list_is_404(instantly: Talk, method: str, body: Any) -> None:
    """
    With the document's own words.
    """
    reply = instantly(method, f"{LISTS}/{NOBODY}", body)

    assert {"statusCode": 404, "error": "Not Found", "message": "Resource not found"} == reply.json


@pytest.mark.parametrize(
    ("token", "switches", "status", "error"),
    [
        (None, {}, 401, "Unauthorized"),
        ("wrong", {}, 401, "Unauthorized"),
        ("sim-token", {"access": "401"}, 401, "Unauthorized"),
        ("sim-token", {"access": "402"}, 402, "Payment Required"),
        ("sim-token", {"access": "403"}, 403, "Forbidden"),
        ("sim-token", {"limits": [[0, 1]]}, 429, "Too Many Requests"),
        ("sim-token", {"unavailable": True}, 503, "Service Unavailable"),
    ],
)
def test_the_gates_answer_in_the_envelope(token: str | None, switches: dict[str, Any], status: int, error: str) -> None:
    """
    Credentials, plan, scope, limits and outages; a 429 names no time to come back.
    """
    reply = Talk("instantly", token=token, **switches).get(LISTS)

    assert (status, status, error) == (reply.status, reply.json["statusCode"], reply.json["error"])
    assert "retry-after" not in reply.response.headers


def test_the_published_limits_hold_by_default(instantly: Talk) -> None:
    """
    100 in a second are served and the next is not; 6,000 a minute later likewise.
    """
    statuses = [instantly.get(PATH).status for _ in range(101)]
    assert ([200] * 100, 429) == (statuses[:100], statuses[100])

    for _ in range(59):
        instantly.now += 1
        assert all(instantly.get(PATH).status == 200 for _ in range(100))
    instantly.now += 0.99

    assert instantly.get(PATH).status == 429
    assert {"1": 101, "60": 6002} == instantly.summary()["max_in_window"]


def pages(talk: Talk, query: str = "limit=3", most: int = 50) -> list[list[str]]:
    """Ids page by page, until a page is empty or without cursor, or repeats its cursor."""
    found: list[list[str]] = []
    cursor = ""
    for _ in range(most):
        page = talk.get(f"{LISTS}?{query}" + (f"&starting_after={cursor}" if cursor else "")).json
        found.append([row["id"] for row in page["items"]])
        if page.get("next_starting_after", cursor) == cursor:
            break
        cursor = page["next_starting_after"]
    return found


@pytest.mark.parametrize("newest_first", [True, False])
@pytest.mark.parametrize("count", [0, 1, 3, 7])
def test_pages_hold_every_list_once(count: int, *, newest_first: bool) -> None:
    """
    In either order, as long as no two lists share a time stamp.
    """
    talk = Talk("instantly", newest_first=newest_first)
    ids = talk.seed(*({"name": f"List {n}"} for n in range(count)))

    seen = [list_id for page in pages(talk) for list_id in page]

    assert (ids[::-1] if newest_first else ids) == seen


@pytest.mark.parametrize(
    ("rule", "count", "sizes"),
    [
        ("never", 6, [3, 3]),
        ("never", 5, [3, 2]),
        ("full", 6, [3, 3, 0]),
        ("full", 5, [3, 2]),
        ("always", 5, [3, 2, 0]),
    ],
)
def test_the_last_page_may_carry_a_cursor(rule: str, count: int, sizes: list[int]) -> None:
    """
    Then the walk ends with an empty page.
    """
    talk = Talk("instantly", last_cursor=rule)
    talk.seed(*({"name": f"List {n}"} for n in range(count)))

    assert sizes == [len(page) for page in pages(talk)]


def test_lists_of_one_millisecond_are_lost_at_a_page_edge() -> None:
    """
    The trap of a cursor that is a time stamp: exclusive skips, inclusive repeats.
    """
    stamp = iso(START)
    lists = [{"name": f"List {n}", "created_at": stamp} for n in range(4)] + [{"name": "Early", "created_at": iso(1.0)}]

    skipping, repeating = Talk("instantly"), Talk("instantly", page_edge="repeated")
    for talk in (skipping, repeating):
        talk.seed(*lists)

    assert [3, 1] == [len(page) for page in pages(skipping)]
    walk = pages(repeating)
    assert walk[0] == walk[1], "more lists than fit share the stamp: the cursor repeats for ever"
    assert 5 == len({list_id for page in pages(repeating, "limit=5") for list_id in page})


def test_filters_of_the_list(instantly: Talk) -> None:
    """
    `search` looks into names, `has_enrichment_task` compares; without a limit a page is small.
    """
    instantly.seed(*({"name": f"Bakers {n}", "enrichment": True} for n in range(20)))

    assert len(instantly.get(LISTS).json["items"]) == 10
    assert [LIST_ID] == [row["id"] for row in instantly.get(f"{LISTS}?search=oL&limit=100").json["items"]]
    assert 20 == len(instantly.get(f"{LISTS}?has_enrichment_task=true&limit=100").json["items"])
    assert [LIST_ID] == [row["id"] for row in instantly.get(f"{LISTS}?has_enrichment_task=false").json["items"]]


def test_a_body_announced_and_not_sent_is_400(instantly: Talk) -> None:
    """
    As Fastify does; a body of JSON null on DELETE is what the document types.
    """
    from worker.simulators.wire import SimRequest

    headers = {"authorization": "Bearer sim-token", "content-type": "application/json"}
    request = SimRequest(method="DELETE", path=PATH, headers=headers)

    assert instantly.simulator.answer(request, START).status == 400
    assert instantly("DELETE", PATH, raw=b"null").status == 200


def test_unknown_properties_are_refused_or_stripped() -> None:
    """
    The document refuses, Fastify's default strips: then a body of junk is a 200 that changes nothing.
    """
    talk = Talk("instantly", strip_unknown=True)
    talk.seed({"id": LIST_ID, "name": "Old"})

    assert "New" == talk.patch(PATH, {"name": "New", "junk": 1}).json["name"]
    assert (200, 1) == (talk.patch(PATH, {"junk": 1}).status, talk.summary()["patches_that_changed_nothing"])
    assert talk.patch(PATH, {}).status == 400


@pytest.mark.parametrize(
    ("sent", "kept"),
    [({"name": 5}, 5), ({"has_enrichment_task": "true"}, True), ({"has_enrichment_task": "maybe"}, None)],
)
def test_coercion_is_a_switch(sent: dict[str, Any], kept: Any) -> None:
    """
    Ajv may bend values towards the type; what cannot be bent stays a 400.
    """
    talk = Talk("instantly", coerce=True)
    talk.seed({"id": LIST_ID, "name": "Old"})

    reply = talk.patch(PATH, sent)

    if kept is None:
        assert reply.status == 400
    else:
        assert (str(kept) if "name" in sent else kept) == next(reply.json[word] for word in sent)


def test_null_fields_may_be_absent() -> None:
    """
    Both are within the document: optional and nullable.
    """
    talk = Talk("instantly", optional_absent=True)
    talk.seed({"id": LIST_ID, "name": "Old"})

    assert {"id", "organization_id", "name", "timestamp_created"} == talk.get(PATH).json.keys()


def test_verification_stats_count_the_leads(instantly: Talk) -> None:
    """
    `stats` and `total_leads`; the only cheap member count there is.
    """
    instantly.post("/_sim/edit", {"id": LIST_ID, "members_added": ["a@example.com", "b@example.com"]})

    reply = instantly.get(f"{PATH}/verification-stats")

    assert (200, 2, True) == (reply.status, reply.json["total_leads"], isinstance(reply.json["stats"], dict))


def test_the_workspace_shows_the_documented_fields(instantly: Talk) -> None:
    """
    The credential check of a careful client.
    """
    reply = instantly.get("/api/v2/workspaces/current")

    assert {"id", "name", "owner", "timestamp_created", "timestamp_updated"} == reply.json.keys()


def test_webhook_subscriptions_come_and_go(instantly: Talk) -> None:
    """
    Create, list, get, delete; deliveries carry the subscription's own headers and no signature.
    """
    hooks = "/api/v2/webhooks"
    assert instantly.post(hooks, {"target_hook_url": "ftp://x"}).status == 400
    made = instantly.post(hooks, {"target_hook_url": "http://127.0.0.1:1/h", "headers": {"x-key": "k"}})

    instantly.patch(PATH, {"name": "New"})
    sent = instantly.simulator.outbox.popleft()

    assert ("http://127.0.0.1:1/h", "k") == (sent.url, sent.headers["x-key"])
    assert b"list" not in sent.body, "no list id: all that it says is look"
    assert [made.json] == instantly.get(hooks).json["items"]
    assert made.json == instantly.get(f"{hooks}/{made.json['id']}").json
    assert (200, 404) == tuple(instantly.delete(f"{hooks}/{made.json['id']}").status for _ in range(2))
