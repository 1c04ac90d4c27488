"""Every switch that spoils a call, on a clock that the test moves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulators import LIST_ID, Talk
from worker.simulators.wire import Delivery

PATHS = {
    "crm": f"/lead-lists/{LIST_ID}",
    "instantly": f"/api/v2/lead-lists/{LIST_ID}",
    "lance": f"/api/v1/entities/leadlists/{LIST_ID}",
}


@pytest.fixture(params=["crm", "instantly", "lance"])
def talk(request: pytest.FixtureRequest) -> Talk:
    """Each simulator with one list, without limits."""
    talk = Talk(request.param, limits=[], nameless_share=0)
    talk.seed({"id": LIST_ID, "name": "Old"})
    return talk


def path(talk: Talk) -> str:
    """The path of the one list."""
    return PATHS[talk.simulator.kind]


def name(talk: Talk) -> str:
    """The name that is stored, whatever reads show."""
    stored: str = talk.get(f"/_sim/state?id={LIST_ID}").json["items"][0]["name"]
    return stored


@pytest.mark.parametrize(
    ("switch", "applied", "delivery", "statuses"),
    [
        ("error_rate", False, Delivery.ANSWER, {500, 502, 503}),
        ("error_after_rate", True, Delivery.ANSWER, {500}),
        ("timeout_after_rate", True, Delivery.HANG, {200}),
        ("cut_after_rate", True, Delivery.CUT, {200}),
        ("drop_rate", False, Delivery.HANG, {0}),
        ("late_apply_rate", False, Delivery.HANG, {0}),
    ],
)
def test_what_each_fault_does(
    talk: Talk, switch: str, statuses: set[int], delivery: Delivery, *, applied: bool
) -> None:
    """
    Whether the write is applied, and what the client hears of it.
    """
    talk.switch(**{switch: 1})

    reply = talk.patch(path(talk), {"name": "New"})

    assert ("New" if applied else "Old", delivery) == (name(talk), reply.response.delivery)
    assert reply.status in statuses
    assert 0 == talk.summary()["patches_that_changed_nothing"]


def test_an_error_before_applying_has_many_faces(talk: Talk) -> None:
    """
    500 in the API's envelope; 502 and 503 as the page of some proxy.
    """
    talk.switch(error_rate=1)

    replies = {reply.status: reply for reply in (talk.get(path(talk)) for _ in range(60))}

    assert {500, 502, 503} == replies.keys()
    assert replies[500].json is not None
    assert replies[502].json is None


def test_a_late_write_lands_after_the_client_gave_up(talk: Talk) -> None:
    """
    Not before its time; and it overwrites what came in between.
    """
    talk.switch(late_apply_s=30)
    talk.post("/_sim/next", {"fault": "late_apply"})
    assert talk.patch(path(talk), {"name": "Late"}).hangs
    talk.patch(path(talk), {"name": "Between"})

    talk.now += 29.9
    assert name(talk) == "Between"
    talk.now += 0.1
    assert name(talk) == "Late"


def test_late_writes_land_in_the_order_they_came_due(talk: Talk) -> None:
    """
    However many are waiting when the next request comes.
    """
    for text in ("First", "Second"):
        talk.post("/_sim/next", {"fault": "late_apply"})
        talk.patch(path(talk), {"name": text})
        talk.now += 1
    talk.now += 100

    assert (name(talk), talk.get(f"/_sim/state?id={LIST_ID}").json["items"][0]["version"]) == ("Second", 3)


def test_rates_are_kept_roughly_and_repeat_exactly() -> None:
    """
    About 30 % of a thousand calls; the same calls for the same seed, others for another.
    """

    def failures(seed: int) -> list[int]:
        talk = Talk("crm", seed=seed, error_rate=0.3)
        return [n for n in range(1000) if talk.get("/lead-lists").status >= 500]

    assert 250 < len(failures(1)) < 350
    assert failures(1) == failures(1) != failures(2)


def test_a_fault_more_does_not_move_the_others() -> None:
    """
    Each kind has a chance of its own, so that a history can be shrunk.
    """

    def dropped(**switches: Any) -> list[int]:
        talk = Talk("crm", timeout_after_rate=0.2, **switches)
        return [n for n in range(300) if talk.get("/lead-lists").hangs]

    assert dropped() == dropped(jitter_s=1.0)


def test_planned_faults_meet_the_next_calls_of_their_method(talk: Talk) -> None:
    """
    One each, then all is well again; other methods pass by.
    """
    talk.post("/_sim/next", {"fault": "rate_limit", "times": 2, "methods": ["patch"]})

    assert talk.get(path(talk)).status == 200
    assert [429, 429, 200] == [talk.patch(path(talk), {"name": "New"}).status for _ in range(3)]
    assert 2 == talk.summary()["rate_limited"]


@pytest.mark.parametrize(
    ("shape", "begins", "is_json"),
    [
        ("html", b"<!doctype html>", False),
        ("truncated", b"{", False),
        ("not_json", b"OK", False),
        ("list_instead", b"[{", True),
        ("error_in_200", b'{"error":', True),
    ],
)
def test_answers_in_another_shape(talk: Talk, shape: str, begins: bytes, *, is_json: bool) -> None:
    """
    Status 200, and not what is documented.
    """
    talk.switch(answer_shape=shape)

    reply = talk.get(path(talk))

    assert (200, is_json) == (reply.status, reply.json is not None)
    assert reply.response.body.startswith(begins)


def test_an_object_instead_of_a_list() -> None:
    """
    Lance's bare array comes as an object.
    """
    assert {"result": []} == Talk("lance", answer_shape="list_instead").get("/api/v1/entities/leadlists").json


def test_errors_keep_their_shape(talk: Talk) -> None:
    """
    Only successes are spoiled.
    """
    talk.switch(answer_shape="html")

    assert talk.get(path(talk)[:-1] + "f").json is not None


def test_latency_and_jitter_are_on_the_response(talk: Talk) -> None:
    """
    The object does not wait; whoever carries the response does.
    """
    talk.switch(latency_s=0.2, jitter_s=0.1)

    delays = [talk.get(path(talk)).response.delay_s for _ in range(50)]

    assert all(0.2 <= delay < 0.3 for delay in delays)
    assert len(set(delays)) > 1


@pytest.mark.parametrize(
    ("form", "header"), [("none", None), ("seconds", "2"), ("http-date", "Fri, 15 Jan 2027 08:00:02 GMT")]
)
def test_forms_of_retry_after(talk: Talk, form: str, header: str | None) -> None:
    """
    None, whole seconds, or a date; waiting that long is enough.
    """
    talk.switch(limits=[[1, 2]], retry_after=form)
    talk.get(path(talk))

    refused = talk.get(path(talk))

    assert (429, header) == (refused.status, refused.response.headers.get("retry-after"))
    talk.now += 2
    assert talk.get(path(talk)).status == 200


def test_limits_can_be_measured_without_refusing(talk: Talk) -> None:
    """
    For benches: nothing is refused, the peak is told.
    """
    talk.switch(limits=[[1, 1]], counting="off")

    assert [200] * 5 == [talk.get(path(talk)).status for _ in range(5)]
    assert {"1": 5} == talk.summary()["max_in_window"]


@pytest.mark.parametrize(
    ("switches", "kept"),
    [
        ({"normalise": True}, "A long name"),
        ({"name_limit": 5}, "  A l"),
        ({"normalise": True, "name_limit": 6}, "A long"),
    ],
)
def test_names_kept_in_the_remotes_own_way(talk: Talk, switches: dict[str, Any], kept: str) -> None:
    """
    200, and another name than was sent.
    """
    talk.switch(**switches)

    assert kept == talk.patch(path(talk), {"name": "  A long \t name "}).json["name"]
    assert kept == talk.get(path(talk)).json["name"]


def test_ignored_fields_keep_their_old_value(talk: Talk) -> None:
    """
    200 with the old value for our writes; a person at the remote can still edit.
    """
    talk.switch(ignore_fields=["name"])

    assert (200, "Old") == ((reply := talk.patch(path(talk), {"name": "New"})).status, reply.json["name"])
    assert 1 == talk.summary()["patches_that_changed_nothing"]
    talk.post("/_sim/edit", {"id": LIST_ID, "name": "By hand"})
    assert "By hand" == name(talk)


def test_reads_may_lag(talk: Talk) -> None:
    """
    GET and list show the state of some seconds ago; the answer to a PATCH does not.
    """
    talk.switch(stale_read_s=3)
    assert "New" == talk.patch(path(talk), {"name": "New"}).json["name"]
    talk.now += 1
    talk.patch(path(talk), {"name": "Newer"})

    shown = []
    for _ in range(5):
        shown.append(talk.get(path(talk)).json["name"])
        talk.now += 1

    assert ["Old", "Old", "New", "Newer", "Newer"] == shown


def test_a_lagging_read_does_not_know_a_new_list_and_still_knows_a_deleted_one() -> None:
    """
    404 for what is there, 200 for what is gone.
    """
    talk = Talk("crm", stale_read_s=3)
    made = talk.post("/lead-lists", {"name": "Fresh"}).json["id"]
    assert talk.get(f"/lead-lists/{made}").status == 404
    talk.now += 3
    assert talk.get(f"/lead-lists/{made}").status == 200

    talk.post("/_sim/edit", {"id": made, "deleted": True})

    assert talk.get(f"/lead-lists/{made}").status == 200
    talk.now += 3
    assert talk.get(f"/lead-lists/{made}").status == 404


@pytest.mark.parametrize("access", ["401", "402", "403"])
def test_lost_access_and_outages_change_nothing(talk: Talk, access: str) -> None:
    """
    Refused at the gate, in the envelope of this API.
    """
    talk.switch(access=access)
    assert int(access) == talk.patch(path(talk), {"name": "New"}).status
    talk.switch(access="ok", unavailable=True)

    assert (503, "Old") == (talk.patch(path(talk), {"name": "New"}).status, name(talk))
