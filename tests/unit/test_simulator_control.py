"""`/_sim/...`: what may be seen, seeded, edited and switched, and what is refused."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.support.simulators import LIST_ID, NOBODY, Talk
from worker.errors import UsageError
from worker.simulators.instantly import user_uuid
from worker.simulators.lists import seed_lists
from worker.simulators.server import KINDS, simulator
from worker.simulators.switches import Switches


@pytest.fixture
def crm() -> Talk:
    """A CRM with one list."""
    talk = Talk("crm")
    talk.seed({"id": LIST_ID, "name": "Old", "members": ["a"]})
    return talk


def test_controls_need_no_token_and_leave_no_trace(crm: Talk) -> None:
    """
    Not refused, not counted, not in the log.
    """
    crm.switch(unavailable=True, limits=[[0, 1]])
    crm.token = None

    assert 200 == crm.get("/_sim/state").status
    assert ({}, []) == (crm.summary()["calls"], crm.get("/_sim/calls").json["items"])


def test_the_log_shows_each_call(crm: Talk) -> None:
    """
    Method, path, body, agent, status, whether it changed anything, and when.
    """
    crm.patch(f"/lead-lists/{LIST_ID}", {"name": "New"})
    crm("PATCH", f"/lead-lists/{LIST_ID}", raw=b"junk")

    first, second = crm.get("/_sim/calls").json["items"]

    assert {
        "n": 1,
        "method": "PATCH",
        "path": f"/lead-lists/{LIST_ID}",
        "body": {"name": "New"},
        "agent": "test",
        "status": 200,
        "changed": True,
        "arrived": crm.now,
        "answered": crm.now,
    } == first
    assert (400, "junk", False) == (second["status"], second["body"], second["changed"])
    assert [second] == crm.get("/_sim/calls?after=1").json["items"]
    assert 1 == crm.get("/_sim/calls?limit=1").json["next"]


def test_a_call_without_answer_has_no_status(crm: Talk) -> None:
    """
    The log does not claim what the client never heard.
    """
    crm.post("/_sim/next", {"fault": "timeout_after"})
    crm.patch(f"/lead-lists/{LIST_ID}", {"name": "New"})

    assert (None, True) == tuple(crm.get("/_sim/calls").json["items"][0][word] for word in ("status", "changed"))
    assert {"none": 1} == crm.summary()["statuses"]


@pytest.mark.parametrize(
    ("switches", "message"),
    [
        ({"latency": 1}, "unknown switch 'latency'; did you mean 'latency_s'?"),
        ({"qqq": 1}, "unknown switch 'qqq'"),
        ({"error_rate": 2}, "switch 'error_rate': Input should be less than or equal to 1"),
        ({"error_rate": "often"}, "switch 'error_rate': Input should be a valid number"),
        ({"access": "maybe"}, "switch 'access': Input should be 'ok', '401', '402' or '403'"),
    ],
)
def test_a_wrong_switch_is_named(crm: Talk, switches: dict[str, Any], message: str) -> None:
    """
    In one sentence; nothing is switched.
    """
    reply = crm.patch("/_sim/switches", {"unavailable": True, **switches})

    assert (400, True) == (reply.status, reply.json["error"].startswith(message))
    assert crm.get("/_sim/switches").json["unavailable"] is False
    with pytest.raises(UsageError, match="Simulator crm"):
        simulator("crm", switches)


def test_switches_can_be_read_back_and_set_again(crm: Talk) -> None:
    """
    What GET shows, PATCH takes.
    """
    crm.switch(limits=[[5, 1]], access="402")

    shown = crm.get("/_sim/switches").json

    assert ([[5, 1.0]], "402") == (shown["limits"], shown["access"])
    assert shown == crm.patch("/_sim/switches", shown).json


def test_every_switch_has_its_sentence() -> None:
    """
    A docstring stands under each field of `Switches`.
    """
    import ast
    import inspect

    body = ast.parse(inspect.getsource(Switches)).body[0].body  # type: ignore[attr-defined]
    fields = [n for n, node in enumerate(body) if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.dump(node)]

    assert all(isinstance(body[n + 1], ast.Expr) for n in fields)


def test_an_unknown_simulator_is_named() -> None:
    """
    With the list of those there are.
    """
    with pytest.raises(UsageError, match="no simulator 'hubspot'; choose one of crm, instantly, lance"):
        simulator("hubspot")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "body must have required property 'lists'"),
        ({"lists": [{"id": "x"}]}, "body/lists/0 must have required property 'name'"),
        ({"lists": [{"name": "x", "colour": 1}]}, "body/lists/0 must NOT have additional properties"),
        ({"lists": [{"name": "x", "id": LIST_ID}]}, "two lists would have the same id"),
        ({"lists": [{"name": "x", "id": "1"}, {"name": "y", "id": "1"}]}, "two lists would have the same id"),
        ({"lists": [{"name": "x"}, {"name": "y", "created_at": "soon"}]}, "created_at must be an ISO 8601 time"),
    ],
)
def test_a_bad_seed_puts_nothing_there(crm: Talk, body: dict[str, Any], message: str) -> None:
    """
    All of it or none.
    """
    assert {"error": message} == crm.post("/_sim/seed", body).json
    assert 1 == crm.summary()["lists"]


def test_a_person_edits(crm: Talk) -> None:
    """
    Canonical fields and members, told to nobody but the webhooks.
    """
    crm.now += 1

    edited = crm.post("/_sim/edit", {"id": LIST_ID, "owner": "u", "members_added": ["b"], "members_removed": ["a"]})
    assert ("u", ["b"], 2) == tuple(edited.json[word] for word in ("owner", "members", "version"))
    assert ["c"] == crm.post("/_sim/edit", {"id": LIST_ID, "members": ["c"]}).json["members"]
    assert {"id": LIST_ID, "deleted": True} == crm.post("/_sim/edit", {"id": LIST_ID, "deleted": True}).json
    assert 404 == crm.get(f"/lead-lists/{LIST_ID}").status


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("edit", {"id": NOBODY, "name": "x"}, 404),
        ("edit", {"name": "x"}, 400),
        ("edit", {"id": LIST_ID, "colour": 1}, 400),
        ("next", {"fault": "earthquake"}, 400),
        ("next", {}, 400),
        ("reset", {"only": "lists"}, 400),
        ("nothing", {}, 404),
    ],
)
def test_bad_controls_are_refused(crm: Talk, path: str, body: dict[str, Any], status: int) -> None:
    """
    With a sentence.
    """
    reply = crm.post(f"/_sim/{path}", body)

    assert (status, {"error"}) == (reply.status, reply.json.keys())


def test_a_product_keeps_only_its_fields() -> None:
    """
    A seed may name more than Lance has; an edit may not.
    """
    lance = Talk("lance")
    lance.seed({"id": LIST_ID, "name": "Old", "owner": "u", "enrichment": True})

    row = lance.get("/_sim/state").json["items"][0]

    assert (None, None) == (row["owner"], row["enrichment"])
    assert {"error": "lance has no owner"} == lance.post("/_sim/edit", {"id": LIST_ID, "owner": "u"}).json


def test_an_owner_is_spelled_as_the_product_spells_users() -> None:
    """
    Instantly knows users by UUID; other names get one that is always the same.
    """
    instantly = Talk("instantly")
    instantly.seed({"id": LIST_ID, "name": "Old", "owner": "crm-user-1"})
    seeded = instantly.get("/_sim/state").json["items"][0]["owner"]

    edited = instantly.post("/_sim/edit", {"id": LIST_ID, "owner": "crm-user-2"}).json["owner"]

    assert (user_uuid("crm-user-1"), user_uuid("crm-user-2")) == (seeded, edited)
    assert NOBODY == instantly.post("/_sim/edit", {"id": LIST_ID, "owner": NOBODY}).json["owner"]


def test_reset(crm: Talk) -> None:
    """
    Calls alone, or everything as on the first day.
    """
    crm.switch(unavailable=True)
    crm.get("/lead-lists")

    assert {"lists": 1} == crm.post("/_sim/reset", {"only": "calls"}).json
    assert {} == crm.summary()["calls"]
    assert {"lists": 0} == crm.post("/_sim/reset", {}).json
    assert crm.get("/_sim/switches").json["unavailable"] is False


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_answers(kind: str) -> None:
    """
    Byte for byte, ids included.
    """

    def history() -> list[bytes]:
        talk = Talk(kind, seed=7, error_rate=0.2, limits=[])
        talk.seed(*seed_lists(5, Random(1)))
        path = {"crm": "/lead-lists", "instantly": "/api/v2/lead-lists", "lance": "/api/v1/entities/leadlists"}[kind]
        new: dict[str, Any] = {
            "name": "x",
            "icpId": None,
            "startDate": "2026-01-01",
            "endDate": "2026-01-01",
            "personIds": [],
        }
        replies = [talk.post(path, new if kind == "lance" else {"name": "x"}) for _ in range(20)]
        return [reply.response.body for reply in [*replies, talk.get(path), talk.get("/_sim/state")]]

    assert history() == history()


@pytest.mark.parametrize("kind", ["person", "company"])
def test_seed_lists_are_fakes_and_repeat(kind: str) -> None:
    """
    The same for the same chance; persons live at example.com; every simulator takes them.
    """
    lists = seed_lists(50, Random(3), kind=kind)

    assert lists == seed_lists(50, Random(3), kind=kind) != seed_lists(50, Random(4), kind=kind)
    assert kind == "company" or all(m.endswith("@example.com") for row in lists for m in row["members"])
    for name in KINDS:
        talk = Talk(name)
        assert [row["id"] for row in lists] == talk.seed(*lists)
        assert [row["members"] for row in lists] == [row["members"] for row in talk.get("/_sim/state").json["items"]]
