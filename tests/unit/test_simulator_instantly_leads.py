"""Instantly's leads: rows of one list each, one at a time and page by page."""

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

#: Required by the document in every lead.
LEAD_REQUIRED = {
    *("id", "timestamp_created", "timestamp_updated", "organization", "status", "status_summary"),
    *("email_open_count", "email_reply_count", "email_click_count", "company_domain"),
}


@pytest.fixture
def instantly() -> Talk:
    """A workspace with two lists and three leads in the first."""
    return workspace_with_leads()


def test_a_lead_has_the_documented_fields(instantly: Talk) -> None:
    """
    All that the document requires, and its list.
    """
    made = instantly.post(LEADS, {"list_id": LIST_ID, "email": "d@example.com", "first_name": "Dora"})

    assert made.json.keys() >= LEAD_REQUIRED
    assert (LIST_ID, "d@example.com", "Dora", "example.com") == tuple(
        made.json[word] for word in ("list_id", "email", "first_name", "company_domain")
    )
    assert made.json == instantly.get(f"{LEADS}/{made.json['id']}").json
    assert "d@example.com" in members(instantly)


def test_a_repeated_lead_is_the_one_that_is_there(instantly: Talk) -> None:
    """
    Per list and address, whatever its case.
    """
    first, second = (
        instantly.post(LEADS, {"list_id": LIST_ID, "email": email}) for email in ("d@example.com", "D@Example.com")
    )

    assert (first.json["id"], 4) == (second.json["id"], len(members(instantly)))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "d@example.com"}, 400),
        ({"email": "d@example.com", "list_id": LIST_ID, "campaign": CAMPAIGN}, 400),
        ({"campaign": CAMPAIGN, "first_name": "Dora"}, 400),
        ({"list_id": LIST_ID, "phone": "1"}, 400),
        ({"list_id": LIST_ID, "email": "d@example.com", "junk": 1}, 400),
        ({"list_id": NOBODY, "email": "d@example.com"}, 404),
        ({"list_id": LIST_ID, "first_name": "Dora"}, 200),
        ({"campaign": CAMPAIGN, "email": "d@example.com"}, 200),
    ],
)
def test_what_a_new_lead_needs(instantly: Talk, body: dict[str, Any], status: int) -> None:
    """
    A list or a campaign, and a name or an address as that demands.
    """
    assert status == instantly.post(LEADS, body).status


def test_a_lead_can_be_patched_but_not_moved(instantly: Talk) -> None:
    """
    Names yes; address, list and campaign no; an empty body is refused.
    """
    path = f"{LEADS}/{lead_ids(instantly)['a@example.com']}"

    assert "Ada" == instantly.patch(path, {"first_name": "Ada"}).json["first_name"]
    for body in ({}, {"list_id": OTHER_ID}, {"email": "z@example.com"}, {"lt_interest_status": 7}):
        assert instantly.patch(path, body).status == 400
    assert instantly.patch(f"{LEADS}/{NOBODY}", {"phone": "1"}).status == 404


def test_a_deleted_lead_leaves_its_list(instantly: Talk) -> None:
    """
    The answer is the deleted row.
    """
    lead_id = lead_ids(instantly)["a@example.com"]

    assert "a@example.com" == instantly.delete(f"{LEADS}/{lead_id}").json["email"]
    assert ["b@example.com", "c@example.com"] == members(instantly)
    assert instantly.delete(f"{LEADS}/{lead_id}").status == 404


def test_leads_are_paged_by_id(instantly: Talk) -> None:
    """
    Ascending, with the last id as cursor, until a page is empty or says nothing more.
    """
    ids = sorted(lead_ids(instantly).values())

    first = instantly.post(f"{LEADS}/list", {"list_id": LIST_ID, "limit": 2}).json
    second = instantly.post(
        f"{LEADS}/list", {"list_id": LIST_ID, "limit": 2, "starting_after": first["next_starting_after"]}
    ).json

    assert ids == [row["id"] for row in first["items"] + second["items"]]
    assert "next_starting_after" not in second


def test_filters_of_leads(instantly: Talk) -> None:
    """
    By list, ids, contacts, search and distinct contacts; an unknown list is empty, not an error.
    """
    instantly.post(LEADS, {"list_id": OTHER_ID, "email": "a@example.com", "first_name": "Ada"})
    ids = lead_ids(instantly)

    def found(**body: Any) -> list[str]:
        return [row["email"] for row in instantly.post(f"{LEADS}/list", {"limit": 100, **body}).json["items"]]

    assert ["a@example.com"] == found(list_id=LIST_ID, ids=[ids["a@example.com"]])
    assert 2 == len(found(list_id=LIST_ID, excluded_ids=[ids["a@example.com"]]))
    assert ["a@example.com"] * 2 == found(contacts=["a@example.com"])
    assert ["a@example.com"] * 2 == found(contacts=["A@Example.com"])
    assert ["a@example.com"] == found(search="ADA")
    assert ["a@example.com", "b@example.com", "c@example.com"] == found(distinct_contacts=True)
    assert [] == found(list_id=NOBODY) == found(in_campaign=True)
    assert 4 == len(found(in_list=True))
    assert instantly.post(f"{LEADS}/list", {"filter": "FILTER_VAL_ACTIVE"}).status == 400
    assert instantly.post(f"{LEADS}/list", {"limit": 101}).status == 400
    assert instantly.post(f"{LEADS}/list", {"contacts": ["a@example.com", "ä@example.com"]}).status == 400


def test_merged_leads_are_one(instantly: Talk) -> None:
    """
    The destination keeps its own values and gains those it lacked.
    """
    ids = lead_ids(instantly)
    instantly.patch(f"{LEADS}/{ids['a@example.com']}", {"first_name": "Ada", "phone": "1"})
    instantly.patch(f"{LEADS}/{ids['b@example.com']}", {"first_name": "Bea"})

    body = {"lead_id": ids["a@example.com"], "destination_lead_id": ids["b@example.com"]}
    merged = instantly.post(f"{LEADS}/merge", body).json

    assert ("b@example.com", "Bea", "1") == tuple(merged[word] for word in ("email", "first_name", "phone"))
    assert ["b@example.com", "c@example.com"] == members(instantly)


@pytest.mark.parametrize(("keep", "status"), [(False, 404), (True, 200)])
def test_the_fate_of_a_deleted_lists_leads_is_a_switch(instantly: Talk, status: int, *, keep: bool) -> None:
    """
    Undocumented, so by default they are lost.
    """
    instantly.switch(keep_leads=keep)
    lead_id = lead_ids(instantly)["a@example.com"]

    instantly.delete(f"/api/v2/lead-lists/{LIST_ID}")

    assert status == instantly.get(f"{LEADS}/{lead_id}").status


def test_writes_to_leads_count_as_writes_of_their_list(instantly: Talk) -> None:
    """
    Two bulk adds to one list in flight are an overlap, wherever the list is named.
    """
    body = {"list_id": LIST_ID, "leads": [{"email": "d@example.com"}]}

    instantly("POST", f"{LEADS}/add", body, stays_open=True)
    instantly("POST", f"{LEADS}/add", body)

    assert (2, 1) == tuple(instantly.summary()[word] for word in ("writes", "overlaps"))
