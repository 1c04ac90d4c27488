"""Bulk delete, which empties a whole list when it names no leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.errors import Refused
from worker.remotes.base import Request
from worker.remotes.instantly.removing import deletion

LIST_ID = "00000000-0000-7000-8000-000000000001"

_ID = st.text(max_size=3)
_IDS = st.one_of(
    st.lists(_ID, max_size=5),
    st.sets(_ID, max_size=5),
    st.tuples(),
    _ID,
    st.integers(0, 2_000).map(lambda n: ["x"] * n),
)


@given(st.sampled_from(["", LIST_ID]), _IDS)
def test_no_request_is_built_that_does_not_name_its_leads(list_id: str, ids: list[str]) -> None:
    """Whatever it is given: a request of 1 to 1,000 real ids in one list, or none at all."""
    try:
        request = deletion(list_id, ids)
    except Refused:
        return
    assert Request(method="DELETE", path="/api/v2/leads", body={"list_id": LIST_ID, "ids": list(ids)}) == request
    assert 1 <= len(request.body["ids"]) <= 1_000
    assert all(request.body["ids"])
    assert not isinstance(ids, str)
    assert request.writes


@pytest.mark.parametrize(
    "ids", [[], (), set(), "", "abc", [""], ["x", ""], ["x"] * 1_001], ids=lambda ids: repr(ids)[:12]
)
def test_what_names_no_leads_is_refused(ids: list[str]) -> None:
    """None, empty ones, one text in place of many, and too many."""
    with pytest.raises(Refused, match="by their ids"):
        deletion(LIST_ID, ids)


def test_ids_that_are_taken_away_later_stay_in_the_request() -> None:
    """The request holds a copy."""
    ids = ["x"]
    request = deletion(LIST_ID, ids)
    ids.clear()

    assert ["x"] == request.body["ids"]
