"""News of changes: CloudEvents from the CRM and Lance, Instantly's own shape, proofs, losses and repeats."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import orjson
import pytest

from tests.support.simulators import LIST_ID, Talk

URL = "http://127.0.0.1:1/webhooks/crm"
PATH = f"/lead-lists/{LIST_ID}"


def told(talk: Talk) -> list[Any]:
    """The bodies that wait to be sent, which are then gone."""
    bodies = [orjson.loads(webhook.body) for webhook in talk.simulator.outbox]
    talk.simulator.outbox.clear()
    return bodies


def crm(**switches: Any) -> Talk:
    """A CRM with one list that tells of changes."""
    talk = Talk("crm", webhooks=[URL], **switches)
    talk.seed({"id": LIST_ID, "name": "Old", "members": ["a"]})
    return talk


def test_a_change_is_a_cloud_event_with_what_changed() -> None:
    """
    The envelope of the contract; only fields that differ.
    """
    talk = crm()
    talk.patch(PATH, {"name": "New", "owner": None, "members_added": ["b"], "members_removed": ["a"]})

    (event,) = told(talk)

    event_id = event.pop("id")
    assert len(event_id) == 36
    assert {
        "specversion": "1.0",
        "source": "crm",
        "type": "leadlist.changed",
        "subject": LIST_ID,
        "time": "2027-01-15T08:00:00.000Z",
        "data": {"fields": {"name": "New"}, "members_added": ["b"], "members_removed": ["a"]},
    } == event


def test_seeds_and_idle_patches_are_no_news() -> None:
    """
    Nothing changed, so nothing is told.
    """
    talk = crm()
    talk.patch(PATH, {"name": "Old"})

    assert [] == told(talk)


def test_a_new_list_is_told_whole_and_a_deleted_one_by_type() -> None:
    """
    Edits by a person included.
    """
    talk = crm()
    made = talk.post("/lead-lists", {"name": "Fresh", "members": ["x"]}).json["id"]
    talk.post("/_sim/edit", {"id": made, "deleted": True})

    new, gone = told(talk)

    fields = {"name": "Fresh", "owner": None, "enrichment": None, "kind": "person", "members": ["x"]}
    assert ("leadlist.changed", {"fields": fields}) == (new["type"], new["data"])
    assert ("leadlist.deleted", made, False) == (gone["type"], gone["subject"], "data" in gone)


def test_lance_tells_only_of_fields_it_has() -> None:
    """
    No owner that is null because Lance has none.
    """
    talk = Talk("lance", webhooks=[URL], webhook_source="lance-eu")
    new: dict[str, Any] = {
        "name": "x",
        "icpId": None,
        "startDate": "2026-01-01",
        "endDate": "2026-01-01",
        "personIds": [],
    }
    talk.post("/api/v1/entities/leadlists", new)

    (event,) = told(talk)

    assert ("lance-eu", {"name", "kind", "members"}) == (event["source"], event["data"]["fields"].keys())


def test_events_may_be_bare_or_numbered() -> None:
    """
    Without data they say "look again"; the sequence is the list's version.
    """
    talk = crm(webhook_data=False, webhook_sequence=True)
    talk.patch(PATH, {"name": "New"})
    talk.post("/_sim/edit", {"id": LIST_ID, "deleted": True})

    events = told(talk)

    assert (["2", "3"], True) == ([event["sequence"] for event in events], all("data" not in e for e in events))


def test_instantly_can_only_say_look() -> None:
    """
    Its documented fields, no event id, no list id.
    """
    talk = Talk("instantly", webhooks=[URL], webhook_header="X-Hook-Key: k")
    talk.seed({"id": LIST_ID, "name": "Old"})
    talk.post("/_sim/edit", {"id": LIST_ID, "name": "New"})

    sent = talk.simulator.outbox[0]

    assert "k" == sent.headers["x-hook-key"]
    assert {"timestamp", "event_type", "workspace", "campaign_id", "campaign_name"} == told(talk)[0].keys()


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """
    HMAC-SHA256 over id, time and body, with the secret behind `whsec_`.
    """
    key = b"0123456789abcdef"
    talk = crm(webhook_secret="whsec_" + base64.b64encode(key).decode())
    talk.patch(PATH, {"name": "New"})

    sent = talk.simulator.outbox[0]

    signed = f"{sent.headers['webhook-id']}.{sent.headers['webhook-timestamp']}.".encode() + sent.body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert f"v1,{digest}" == sent.headers["webhook-signature"]
    assert (orjson.loads(sent.body)["id"], "1800000000") == (
        sent.headers["webhook-id"],
        sent.headers["webhook-timestamp"],
    )


@pytest.mark.parametrize(("switch", "count"), [("webhook_lost_rate", 0), ("webhook_twice_rate", 2)])
def test_news_may_be_lost_or_told_twice(switch: str, count: int) -> None:
    """
    A repeat has the same id.
    """
    talk = crm(**{switch: 1})
    talk.patch(PATH, {"name": "New"})

    events = told(talk)

    assert (count, count) == (len(events), talk.summary()["webhooks"])
    assert len({event["id"] for event in events}) == min(1, count)
