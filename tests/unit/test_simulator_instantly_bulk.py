"""Instantly's bulk calls: add with counters, delete with its traps, moves that finish later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.simulators import (
    CAMPAIGN,
    LEADS,
    LIST_ID,
    NOBODY,
    OTHER_ID,
    Talk,
    lead_ids,
    members,
    workspace_with_leads,
)

#: Required by the document in the answer to a bulk add.
ADD_REQUIRED = {
    *("status", "total_sent", "leads_uploaded", "in_blocklist", "blocklist_used", "duplicated_leads"),
    *("skipped_count", "invalid_email_count", "incomplete_count", "duplicate_email_count"),
    *("remaining_in_plan", "created_leads"),
}
JOB_REQUIRED = {"id", "workspace_id", "type", "progress", "status", "created_at", "updated_at"}


@pytest.fixture
def instantly() -> Talk:
    """A workspace with two lists and three leads in the first."""
    return workspace_with_leads()


def test_bulk_add_counts_every_reason_and_maps_by_index(instantly: Talk) -> None:
    """
    One row for each counter; those who come in are told by their place in the payload.
    """
    instantly.switch(blocklist=["blocked@example.com"])
    instantly.post(LEADS, {"list_id": OTHER_ID, "email": "elsewhere@example.com"})
    leads = [
        {"email": "new@example.com", "first_name": "Nora"},
        {"email": "a@example.com"},
        {"email": "not an address"},
        {"phone": "1"},
        {"email": "NEW@example.com"},
        {"email": "blocked@example.com"},
        {"email": "elsewhere@example.com"},
        {"last_name": "Nameless"},
    ]

    answer = instantly.post(f"{LEADS}/add", {"list_id": LIST_ID, "leads": leads, "skip_if_in_list": True}).json

    assert ADD_REQUIRED == answer.keys()
    counters = ("total_sent", "leads_uploaded", "duplicated_leads", "invalid_email_count", "incomplete_count")
    assert (8, 2, 1, 1, 1) == tuple(answer[word] for word in counters)
    assert (1, 1, 1) == tuple(answer[word] for word in ("duplicate_email_count", "in_blocklist", "skipped_count"))
    assert [(0, "new@example.com"), (7, None)] == [(row["index"], row["email"]) for row in answer["created_leads"]]
    assert {row["id"] for row in answer["created_leads"]} <= set(lead_ids(instantly).values())
    assert len(members(instantly)) == 5


def test_bulk_add_is_idempotent_by_address_only(instantly: Talk) -> None:
    """
    A repeat is a duplicate; a lead without address comes in again.
    """
    body = {"list_id": LIST_ID, "leads": [{"email": "new@example.com"}, {"first_name": "Nora"}]}

    first, second = (instantly.post(f"{LEADS}/add", body).json for _ in range(2))

    assert (2, 1, 1) == (first["leads_uploaded"], second["leads_uploaded"], second["duplicated_leads"])


@pytest.mark.parametrize(
    ("flag", "skipped"),
    [("skip_if_in_workspace", 2), ("skip_if_in_list", 1), ("skip_if_in_campaign", 1), (None, 0)],
)
def test_skip_flags(instantly: Talk, flag: str | None, skipped: int) -> None:
    """
    Each bars what lives there, and "in list" means any list.
    """
    instantly.post(LEADS, {"campaign": CAMPAIGN, "email": "d@example.com"})
    leads = [{"email": "a@example.com"}, {"email": "d@example.com"}]

    answer = instantly.post(f"{LEADS}/add", {"list_id": OTHER_ID, "leads": leads, **({flag: True} if flag else {})})

    assert (skipped, 2 - skipped) == (answer.json["skipped_count"], answer.json["leads_uploaded"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"list_id": LIST_ID}, 400),
        ({"list_id": LIST_ID, "leads": []}, 400),
        ({"list_id": LIST_ID, "leads": [{"email": f"{n}@example.com"} for n in range(1001)]}, 400),
        ({"list_id": LIST_ID, "leads": [{"email": f"{n}@example.com"} for n in range(1000)]}, 200),
        ({"leads": [{"email": "d@example.com"}]}, 400),
        ({"list_id": LIST_ID, "campaign_id": CAMPAIGN, "leads": [{"email": "d@example.com"}]}, 400),
        ({"list_id": LIST_ID, "leads": [{"email": "d@example.com", "junk": 1}]}, 400),
        ({"list_id": LIST_ID, "leads": [{"email": "d@example.com"}], "anything": "goes"}, 200),
        ({"list_id": NOBODY, "leads": [{"email": "d@example.com"}]}, 404),
    ],
)
def test_what_bulk_add_takes(instantly: Talk, body: dict[str, Any], status: int) -> None:
    """
    One to a thousand closed rows for a list or a campaign; the top level is open.
    """
    assert status == instantly.post(f"{LEADS}/add", body).status


def test_bulk_delete_takes_the_named_rows(instantly: Talk) -> None:
    """
    Ids of another list, or of nobody, are not counted and not touched.
    """
    other = instantly.post(LEADS, {"list_id": OTHER_ID, "email": "d@example.com"}).json["id"]
    ids = [lead_ids(instantly)["a@example.com"], other, NOBODY]

    reply = instantly("DELETE", LEADS, {"list_id": LIST_ID, "ids": ids})

    assert {"count": 1} == reply.json
    assert (["b@example.com", "c@example.com"], ["d@example.com"]) == (
        members(instantly),
        members(instantly, OTHER_ID),
    )


@pytest.mark.parametrize(
    ("body", "empty_ids", "left"),
    [
        ({}, "all", 0),
        ({"limit": 2}, "all", 1),
        ({"status": 3}, "all", 3),
        ({"ids": []}, "all", 0),
        ({"ids": []}, "none", 3),
        ({"ids": []}, "refused", 3),
    ],
)
def test_bulk_delete_without_ids_empties_the_list(
    instantly: Talk, body: dict[str, Any], empty_ids: str, left: int
) -> None:
    """
    The trap: no ids is every id; what an empty array means is a switch, and by default the worst.
    """
    instantly.switch(empty_ids=empty_ids)

    reply = instantly("DELETE", LEADS, {"list_id": LIST_ID, **body})

    assert (left, 400 if empty_ids == "refused" else 200) == (len(members(instantly)), reply.status)


def test_bulk_delete_without_a_body_or_list_is_refused(instantly: Talk) -> None:
    """
    A proxy that drops the body of a DELETE must not empty the workspace.
    """
    assert (400, 400) == (instantly.delete(LEADS).status, instantly("DELETE", LEADS, {"ids": []}).status)
    assert instantly("DELETE", LEADS, {"list_id": NOBODY}).status == 404
    assert len(members(instantly)) == 3


def test_a_move_is_a_job_that_ends_later(instantly: Talk) -> None:
    """
    Until then reads show the old membership; the job counts from 0 to 100.
    """
    instantly.switch(job_s=10)
    ids = lead_ids(instantly)

    job = instantly.post(
        f"{LEADS}/move", {"list_id": LIST_ID, "ids": [ids["a@example.com"]], "to_list_id": OTHER_ID}
    ).json
    path = f"/api/v2/background-jobs/{job['id']}"
    assert job.keys() >= JOB_REQUIRED
    assert ("pending", 0, 24) == (job["status"], job["progress"], len(job["id"]))

    instantly.now += 5
    assert ("in-progress", 50) == tuple(instantly.get(path).json[word] for word in ("status", "progress"))
    assert (3, 0) == (len(members(instantly)), len(members(instantly, OTHER_ID)))

    instantly.now += 5
    done = instantly.get(path).json
    assert ("success", 100, 1) == (done["status"], done["progress"], done["data"]["moved_leads"])
    assert (["b@example.com", "c@example.com"], ["a@example.com"]) == (
        members(instantly),
        members(instantly, OTHER_ID),
    )
    assert {"a@example.com": ids["a@example.com"]} == lead_ids(instantly, OTHER_ID), "the row keeps its id"


def test_a_copy_has_new_ids(instantly: Talk) -> None:
    """
    "Add an existing lead to a second list" means another row.
    """
    instantly.post(f"{LEADS}/move", {"list_id": LIST_ID, "to_list_id": OTHER_ID, "copy_leads": True})
    instantly.now += 1

    one, two = lead_ids(instantly), lead_ids(instantly, OTHER_ID)

    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())


def test_an_import_that_is_to_be_verified_is_a_job(instantly: Talk) -> None:
    """
    The leads are there at once, and a background job is at work on their list.
    """
    lead = {"email": "new@example.com"}
    instantly.post(f"{LEADS}/add", {"list_id": LIST_ID, "leads": [lead], "verify_leads_on_import": True})

    [job] = instantly.get(f"/api/v2/background-jobs?entity_id={LIST_ID}&status=pending,in-progress").json["items"]

    assert ("import-leads", LIST_ID) == (job["type"], job["entity_id"])
    assert "new@example.com" in members(instantly)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_may_end_badly(instantly: Talk, end: str) -> None:
    """
    Failed and cancelled are final, and nothing has moved.
    """
    instantly.switch(job_end=end)
    job = instantly.post(f"{LEADS}/move", {"list_id": LIST_ID, "to_list_id": OTHER_ID}).json
    instantly.now += 60

    jobs = instantly.get(f"/api/v2/background-jobs?entity_type=list&entity_id={OTHER_ID}").json["items"]

    assert [(job["id"], end)] == [(row["id"], row["status"]) for row in jobs]
    assert (3, 0) == (len(members(instantly)), len(members(instantly, OTHER_ID)))


def test_duplicates_can_stay_behind(instantly: Talk) -> None:
    """
    `check_duplicates` leaves rows whose address is in the target already.
    """
    instantly.post(LEADS, {"list_id": OTHER_ID, "email": "a@example.com"})
    instantly.post(f"{LEADS}/move", {"list_id": LIST_ID, "to_list_id": OTHER_ID, "check_duplicates": True})
    instantly.now += 1

    assert (["a@example.com"], 3) == (members(instantly), len(members(instantly, OTHER_ID)))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"list_id": LIST_ID}, 400),
        ({"list_id": LIST_ID, "to_list_id": OTHER_ID, "to_campaign_id": CAMPAIGN}, 400),
        ({"ids": [NOBODY], "to_list_id": OTHER_ID}, 400),
        ({"list_id": LIST_ID, "to_list_id": NOBODY}, 404),
        ({"list_id": LIST_ID, "to_list_id": OTHER_ID, "queries": []}, 400),
    ],
)
def test_what_a_move_needs(instantly: Talk, body: dict[str, Any], status: int) -> None:
    """
    One target, and a source where rows are named; filters that are not simulated are refused, not ignored.
    """
    assert status == instantly.post(f"{LEADS}/move", body).status


def test_jobs_are_paged_and_filtered(instantly: Talk) -> None:
    """
    Newest first, by id as cursor; an unknown job is 404.
    """
    ids = []
    for _ in range(3):
        ids.append(instantly.post(f"{LEADS}/move", {"list_id": LIST_ID, "to_list_id": OTHER_ID}).json["id"])
        instantly.now += 10
    jobs = "/api/v2/background-jobs"

    first = instantly.get(f"{jobs}?limit=2").json
    second = instantly.get(f"{jobs}?limit=2&starting_after={first['next_starting_after']}").json

    assert ids[::-1] == [row["id"] for row in first["items"] + second["items"]]
    assert [] == instantly.get(f"{jobs}?status=pending").json["items"]
    assert [ids[0]] == [row["id"] for row in instantly.get(f"{jobs}?ids={ids[0]}").json["items"]]
    assert instantly.get(f"{jobs}/{'0' * 24}").status == 404


def test_the_small_bulk_calls_have_error_bodies_of_their_own(instantly: Talk) -> None:
    """
    bulk-assign answers {"message"}, update-interest-status {"error"}, and both 202 when it works.
    """
    assign, rate = f"{LEADS}/bulk-assign", f"{LEADS}/update-interest-status"

    assert {"message"} == instantly.post(assign, {}).json.keys()
    assert {"error"} == instantly.post(rate, {}).json.keys()
    assert 202 == instantly.post(assign, {"organization_user_ids": [NOBODY], "list_id": LIST_ID}).status
    assert 202 == instantly.post(rate, {"lead_email": "a@example.com", "interest_value": 1}).status
    lead = instantly.get(f"{LEADS}/{lead_ids(instantly)['a@example.com']}").json
    assert (NOBODY, 1) == (lead["assigned_to"], lead["lt_interest_status"])
    assert 404 == instantly.post(rate, {"lead_email": "z@example.com", "interest_value": 1}).status
