"""A write of Lance's whole array: nobody is lost, nobody comes back, and its answer is believed only when it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from models.lead_list import Kind
from models.observation import Shown
from models.patch import Patch
from worker.remotes.lance import mapping
from worker.remotes.lance.members import Fresh, after_adding, after_replacing, merged

IDS = st.sampled_from([f"lead_{n}" for n in range(8)])
SETS = st.frozensets(IDS)
ARRAYS = st.lists(IDS, max_size=10)
PATCHES = st.builds(lambda add, remove: Patch({}, add, remove), SETS, SETS)
#: Whatever JSON can be, with the words that hydrated persons are made of.
WORDS = st.sampled_from(["id", "emails", "firstName", "lastName", "company", "name", "lead_1", "a@example.com"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)
ROWS = st.lists(st.dictionaries(WORDS, ANYTHING).map(lambda row: {"id": "lead_1", **row}) | ANYTHING, max_size=4)


def fresh_of(ids: list[str]) -> Fresh:
    """As the connector reads it."""
    shown = Shown(remote_id="1", kind=Kind.PERSON, members=frozenset(ids))
    return Fresh(shown=shown, kind=Kind.PERSON, ids=ids, members=frozenset(ids))


@given(ids=ARRAYS, patch=PATCHES)
def test_the_array_is_what_was_read_and_what_is_wanted(ids: list[str], patch: Patch) -> None:
    """As a set: read, plus added, minus removed. Who stays, stays in order; nothing to write is no array."""
    wanted = (frozenset(ids) | patch.add) - patch.remove

    meant = merged(fresh_of(ids), patch)

    assert (meant is None) == (wanted == frozenset(ids))
    if meant is not None:
        stay = [member for member in ids if member in wanted]
        assert wanted == frozenset(meant.ids)
        assert len(wanted) == meant.size
        assert stay == meant.ids[: len(stay)]
        assert sorted(wanted - frozenset(ids)) == meant.ids[len(stay) :]


@given(ids=ARRAYS, patch=PATCHES, answered=SETS | st.none())
def test_an_answer_is_what_was_meant_or_the_whole_truth(
    ids: list[str], patch: Patch, answered: frozenset[str] | None
) -> None:
    """Either way the observer ends with the members that the answer showed."""
    fresh = fresh_of(ids)
    meant = merged(fresh, patch)
    if meant is None:
        return
    answer = Shown(remote_id="1", kind=Kind.PERSON, members=answered)

    shown = after_replacing(answer, meant, patch, fresh)

    assert fresh.shown == shown.before
    assert (shown.moved is None) or (shown.members is None)
    if shown.moved is None:
        assert answered == shown.members
    else:
        assert answered == (fresh.members | shown.moved.added) - shown.moved.removed == frozenset(meant.ids)


@given(patch=st.builds(lambda add: Patch({}, add), SETS), answered=SETS | st.none())
def test_additions_are_believed_when_all_of_them_are_there(patch: Patch, answered: frozenset[str] | None) -> None:
    """Else the whole answer is told, which lacks some."""
    answer = Shown(remote_id="1", kind=Kind.COMPANY, members=answered)

    shown = after_adding(answer, patch)

    if answered is not None and patch.add <= answered:
        assert shown.moved is not None
        assert (None, patch.add) == (shown.members, shown.moved.added)
    else:
        assert replace(shown, moved=None) == shown == answer


@given(persons=ANYTHING | ROWS)
def test_persons_never_change_what_else_a_list_shows(persons: Any) -> None:
    """Whatever stands there: no error, no other member, and nobody who is not a member."""
    row = {"id": "1", "name": "N", "type": "person", "personIds": ["lead_1"], "updatedAt": "2026-01-31T12:00:00Z"}

    shown = mapping.parse({**row, "persons": persons})

    assert mapping.parse(row) == replace(shown, people=())
    assert {person.id for person in shown.people} <= {"lead_1"}
    assert all(person.says_more for person in shown.people)
