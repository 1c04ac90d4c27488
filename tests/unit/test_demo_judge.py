"""The demo's judge and its stop watch: what counts as equal, and which PATCH carries which event."""

from __future__ import annotations

from typing import Any

import pytest

from worker.demo.equality import Difference, differences
from worker.demo.measuring import Lags
from worker.demo.scenario import OWNERS

IDS = {"crm": ["c"], "instantly": ["i"], "lance": ["l"]}
[(OURS, THEIRS), *_] = OWNERS.items()


def states(**changes: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """One list, equal on all sides but for *changes*."""
    rows: dict[str, dict[str, Any]] = {
        "crm": {"name": " Spring  fair ", "owner": OURS, "enrichment": True, "members": ["a", "b"]},
        "instantly": {"name": " Spring  fair ", "owner": THEIRS, "enrichment": True, "members": []},
        "lance": {"name": "Spring fair", "owner": None, "enrichment": None, "members": ["b", "a"]},
    }
    return {remote: {IDS[remote][0]: {**row, **changes.get(remote, {})}} for remote, row in rows.items()}


def test_copies_are_equal_as_each_remote_shows_them() -> None:
    """Lance trims names, Instantly has its own users, members have no order; what a remote has not is left out."""
    assert [] == differences(states(), IDS)


@pytest.mark.parametrize(
    ("remote", "change", "field"),
    [
        ("instantly", {"name": "Spring fair"}, "name"),
        ("lance", {"name": "Spring  fair"}, "name"),
        ("instantly", {"owner": OURS[:-1]}, "owner"),
        ("instantly", {"enrichment": None}, "enrichment"),
        ("crm", {"members": ["a"]}, "members"),
        ("lance", {"members": ["a", "b", "c"]}, "members"),
    ],
)
def test_every_difference_is_found(remote: str, change: dict[str, Any], field: str) -> None:
    """One field on one remote is enough."""
    assert [Difference("c", (field,))] == differences(states(**{remote: change}), IDS)


def test_a_list_that_is_gone_is_a_difference() -> None:
    """A missing copy equals nothing, not even another missing one."""
    gone = {**states(), "lance": {}, "crm": {}}

    assert [Difference("c", ("name", "owner", "enrichment", "members"))] == differences(gone, IDS)


def patch(body: dict[str, Any], arrived: float, answered: float) -> dict[str, Any]:
    """A call as `/_sim/calls` shows it."""
    return {"body": body, "arrived": arrived, "answered": answered}


def test_a_lag_ends_with_the_patch_that_carries_the_value() -> None:
    """From the event in the stream to the end of the call; a PATCH that left before it does not count."""
    lags = Lags()
    lags.expect("instantly", "i", "name", "New", at=10.0)
    lags.landed(patch({"name": "New"}, 9.9, 10.1), "instantly", "i")
    lags.landed(patch({"name": "Other"}, 10.1, 10.2), "instantly", "i")
    lags.landed(patch({"name": "New"}, 10.2, 10.5), "instantly", "another")
    assert [] == lags.ms

    lags.landed(patch({"name": "New"}, 10.2, 10.5), "instantly", "i")
    lags.landed(patch({"name": "New"}, 11.2, 11.5), "instantly", "i")
    assert [pytest.approx(500.0)] == lags.ms


def test_overtaken_events_travel_with_the_newest() -> None:
    """Ten events and one PATCH: each of the ten has its lag, and a later one goes on waiting."""
    lags = Lags()
    for at, name in ((1.0, "A"), (1.1, "B"), (1.2, "C"), (9.0, "D")):
        lags.expect("lance", "l", "name", name, at)
    lags.landed(patch({"name": "C"}, 1.3, 1.5), "lance", "l")

    assert [pytest.approx(ms) for ms in (500.0, 400.0, 300.0)] == lags.ms


def test_fields_are_told_apart_and_translated() -> None:
    """Instantly's words and users; Lance's whole array; the CRM's additions and removals."""
    lags = Lags()
    lags.expect("instantly", "i", "owner", OURS, at=1.0)
    lags.expect("instantly", "i", "enrichment", False, at=1.0)
    lags.expect("lance", "l", "members", ("+", "a"), at=1.0)
    lags.expect("lance", "l", "members", ("-", "b"), at=1.0)
    lags.expect("crm", "c", "members", ("-", "b"), at=1.0)

    lags.landed(patch({"owned_by": THEIRS, "has_enrichment_task": True}, 2.0, 2.0), "instantly", "i")
    assert 1 == len(lags.ms)
    lags.landed(patch({"personIds": ["a", "c"]}, 2.0, 2.0), "lance", "l")
    assert 3 == len(lags.ms)
    lags.landed(patch({"members_added": ["b"]}, 2.0, 2.0), "crm", "c")
    assert 3 == len(lags.ms)
    lags.landed(patch({"members_removed": ["b"]}, 2.0, 2.0), "crm", "c")
    assert 4 == len(lags.ms)
