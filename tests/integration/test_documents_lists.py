"""Lists, parked copies and single lists over real databases: pages that miss nothing, reasons, history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from models.lead_list import (
    Field,
    Kind,
    LeadList,
    Member,
    Parked,
    Presence,
    Seen,
    Stamp,
    Standing,
    Value,
    Waiting,
)
from models.ledger import Attempt, Change, ChangeKind
from tests.support.desk import NOW, Desk, desk_at, standing_copy
from tests.support.heart import agreed_list, copy_of, list_of
from worker.documents import lists as pages
from worker.documents.show import AttemptDocument, ChangeDocument, Some
from worker.errors import NotPossible, UsageError
from worker.ports import Tx
from worker.store.views import ParkedFilter
from worker.sync import operate


@pytest.fixture
def desk(database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """CRM, Instantly and Lance are configured; no settings file is around."""
    monkeypatch.chdir(tmp_path)
    with desk_at(database_url, redis_url, "crm", "instantly", "lance") as desk:
        yield desk


def test_pages_show_every_list_once(desk: Desk) -> None:
    """In the order of their numbers, whatever the page's length."""
    desk.put(*(list_of(standing_copy("crm", str(number), Standing.IN_SYNC)) for number in range(7)))
    expected = [str(number) for number in range(7)]

    for limit in (1, 3, 7, 50):
        assert expected == [one.copies["crm"].id for one in desk.lists(limit=limit)]


def test_lists_are_chosen_by_the_standing_of_any_copy(desk: Desk) -> None:
    """Several standings show the union; a list shows all of its copies all the same."""
    desk.put(*(list_of(standing_copy("crm", standing.value, standing)) for standing in Standing))
    mixed = list_of(standing_copy("crm", "m", Standing.IN_SYNC), standing_copy("lance", "m", Standing.PARKED))
    desk.put(mixed)
    count = Counter(one.standing for one in desk.lists())

    assert count[Standing.PARKED] == len(desk.lists(Standing.PARKED)) == 2
    assert count[Standing.DUE] == len(desk.lists(Standing.DUE)) == 1
    assert 3 == len(desk.lists(Standing.PARKED, Standing.CONFLICT))
    assert {"crm", "lance"} == set(desk.lists(Standing.PARKED)[-1].copies)


def test_a_line_tells_name_kind_and_what_to_do(desk: Desk) -> None:
    """A list that is known on one remote only names the command that links it."""
    desk.put(
        replace(agreed_list("crm", name="Spring"), kind=Kind.PERSON), list_of(copy_of("lance"), copy_of("instantly"))
    )
    spring, other = desk.lists()

    assert ("Spring", "person") == (spring.name, spring.kind)
    assert "not linked: leadsync link crm:crm-1 instantly:ID lance:ID" == spring.next_step
    assert (None, None, None) == (other.name, other.kind, other.next_step)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "٣", "9" * 40])
def test_a_cursor_that_is_none_is_wrong_usage(desk: Desk, cursor: str) -> None:
    """One sentence, on every page."""
    for ask in (
        pages.lists(desk.runtime, desk.views, (), limit=5, after=cursor),
        pages.parked(desk.views, ParkedFilter(), limit=5, after=cursor),
        pages.rejects(desk.views, limit=5, after=cursor),
    ):
        with pytest.raises(UsageError, match="--after: expected the cursor"):
            desk.runtime.run(ask)


def test_parked_copies_are_chosen_by_remote_and_cause(desk: Desk) -> None:
    """The cause is searched as plain text, in any case: a per cent sign is one."""

    def parked(remote: str, remote_id: str, cause: str) -> LeadList:
        copy = standing_copy(remote, remote_id, Standing.PARKED)
        return list_of(replace(copy, parked=Parked(cause, "next", "")))

    desk.put(
        parked("crm", "1", "Answered 422"), parked("lance", "2", "answered 404"), parked("lance", "3", "100% full")
    )

    def ids(which: ParkedFilter, limit: int = 10) -> list[str]:
        page = desk.runtime.run(pages.parked(desk.views, which, limit=limit, after=None))
        return [one.id for one in page.items]

    assert ["1", "2", "3"] == ids(ParkedFilter())
    assert ["2", "3"] == ids(ParkedFilter(remote="lance"))
    assert ["1", "2"] == ids(ParkedFilter(cause="ANSWERED"))
    assert ["3"] == ids(ParkedFilter(cause="0%"))
    assert ["2"] == ids(ParkedFilter("lance", "404"))
    assert [("lance", "2"), ("lance", "3")] == desk.views.look(lambda view: view.parked_keys(ParkedFilter("lance")))


def test_pages_of_parked_copies_split_within_a_list(desk: Desk) -> None:
    """The cursor names list and remote, so that no copy is shown twice or left out."""
    copies = [standing_copy(remote, "1", Standing.PARKED) for remote in ("crm", "instantly", "lance")]
    desk.put(list_of(*copies), list_of(standing_copy("crm", "2", Standing.PARKED)))
    seen, after = [], None
    while True:
        page = desk.runtime.run(pages.parked(desk.views, ParkedFilter(), limit=2, after=after))
        seen += [(one.remote, one.id) for one in page.items]
        after = page.next
        if after is None:
            break

    assert [("crm", "1"), ("instantly", "1"), ("lance", "1"), ("crm", "2")] == seen


def test_show_sets_wanted_beside_each_copy(desk: Desk) -> None:
    """With the reason for every field, and what would be sent now."""
    equal: dict[Field, Value] = {Field.NAME: "new", Field.OWNER: "u1", Field.ENRICHMENT: True}
    stale = replace(copy_of("instantly", {Field.NAME: "old", Field.ENRICHMENT: True}), standing=Standing.DUE)
    lead_list = list_of(copy_of("crm", equal), stale, wanted=equal)
    [number] = desk.put(replace(lead_list, kind=Kind.COMPANY))
    found = desk.show("instantly", "instantly-1")
    copy = found.copies["instantly"]

    assert (number, "company", Standing.DUE) == (found.id, found.kind, found.standing)
    assert ("new", "crm") == (found.wanted["name"].value, found.wanted["name"].origin)
    assert {"name": "old", "enrichment": True} == copy.fields
    assert {
        "name": "differs",
        "enrichment": "equal",
        "owner": "direction",
        "members": "direction",
    } == copy.reasons
    assert copy.would_send is not None
    assert {"name": "new"} == copy.would_send.fields
    assert found.copies["crm"].would_send is None
    assert {"wanted", "copies", "history"} <= set(orjson.loads(orjson.dumps(found)))


def test_show_counts_members_and_names_twenty(desk: Desk) -> None:
    """A list of a million must not fill the screen; the database counts, and the differing ones are compared."""
    both = {remote: Presence(True, Stamp(NOW)) for remote in ("crm", "lance")}
    members = {f"all-{number:03}": Member(True, both) for number in range(40)}
    members |= {f"new-{number:03}": Member(True, {"crm": both["crm"]}, differs=True) for number in range(25)}
    members["gone"] = Member(False, {"crm": Presence(False, Stamp(NOW)), "lance": both["lance"]}, differs=True)
    floor = {Field.MEMBERS: Seen(None, Stamp(NOW))}
    copies = (replace(copy_of(remote), seen=floor) for remote in ("crm", "lance"))
    desk.put(replace(list_of(*copies), members=members))
    found = desk.show("crm", "crm-1")

    assert 65 == found.members
    assert (65, 41) == (found.copies["crm"].fields["members"], found.copies["lance"].fields["members"])
    lance, would_send = found.copies["lance"], found.copies["lance"].would_send
    assert Some(25, [f"new-{number:03}" for number in range(20)]) == lance.members_missing
    assert Some(1, ["gone"]) == lance.members_surplus
    assert would_send is not None
    assert (25, 1) == (would_send.members_added.count, would_send.members_removed.count)
    assert Some(0, []) == found.copies["crm"].members_missing


def test_show_tells_why_a_copy_is_parked_or_held(desk: Desk) -> None:
    """Cause and next step, whether a person, lost access or the settings hold it."""
    parked = standing_copy("crm", "1", Standing.PARKED)
    desk.put(list_of(parked, standing_copy("lance", "2", Standing.DUE), standing_copy("old", "3", Standing.DUE)))
    desk.runtime.run(operate.pause(desk.runtime.store, desk.runtime.registry.rules, "lance"))
    found = desk.show("crm", "1")

    assert ("crm answered 422", "change the list") == (found.copies["crm"].cause, found.copies["crm"].next_step)
    assert "leadsync resume lance" == found.copies["lance"].next_step
    assert Waiting.PAUSED is found.copies["lance"].waiting
    assert "old is not in the settings" == found.copies["old"].cause
    assert {} == found.copies["old"].reasons
    assert found.needs_a_person


def test_history_merges_changes_and_attempts_newest_last(desk: Desk) -> None:
    """The last steps of both ledgers; long memberships are counted, not listed."""
    [number] = desk.put(list_of(copy_of("crm")))

    def write(tx: Tx) -> None:
        for second in range(4):
            tx.attempted([_attempt(number, NOW - timedelta(hours=1, seconds=-second))])
        tx.note(number, [_change(Field.MEMBERS, [], [f"m{n}" for n in range(30)])])

    desk.runtime.store.run_now(write)
    history = desk.show("crm", "crm-1").history
    change, attempt = history[-1], history[0]

    assert ["attempt"] * 4 + ["change"] == [one.what for one in history]
    assert isinstance(change, ChangeDocument)
    assert isinstance(attempt, AttemptDocument)
    assert (30, "m0") == (change.new.count, change.new.first[0])
    assert ({"name": "A"}, 200, 12.3) == (attempt.sent, attempt.status, attempt.duration_ms)
    assert history[-2:] == desk.show("crm", "crm-1", history=2).history
    assert [] == desk.show("crm", "crm-1", history=0).history


def _attempt(number: int, at: datetime) -> Attempt:
    return Attempt(
        list_id=number,
        remote="crm",
        action="patch",
        lane="live",
        at=at,
        sent={"name": "A"},
        status=200,
        outcome="done",
        note="",
        duration_ms=12.34,
        lag_ms=None,
    )


def _change(field: Field, old: Any, new: Any) -> Change:
    kind = ChangeKind.WANTED
    return Change(kind=kind, field=field, old=old, new=new, origin="crm", stamp=Stamp(NOW, 7), cause="event e1")


def test_a_list_that_nobody_knows_cannot_be_shown(desk: Desk) -> None:
    """One sentence that says how leadsync learns of lists."""
    with pytest.raises(NotPossible, match="leadsync knows no list crm:404"):
        desk.show("crm", "404")
