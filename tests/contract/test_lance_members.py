"""Members of Lance's lists over real HTTP: the fresh read, the window, the answer, and the additive way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from models.lead_list import Field, Kind
from models.observation import MembersSeen, Shown
from models.patch import Patch
from models.person import Naming, Person
from tests.contract.promises import ADA, BLAISE, CARL, NOBODY, There
from tests.contract.promises_over_http import wire_to
from worker.errors import Refused, Unclear
from worker.remotes.lance.connector import LanceConnector
from worker.simulators.running import RunningSimulator


@pytest.fixture
def sim(simulators: Mapping[str, RunningSimulator]) -> RunningSimulator:
    """Lance, as on its first day."""
    simulators["lance"].sim_post("reset", {})
    return simulators["lance"]


@pytest.fixture
def there(sim: RunningSimulator) -> There:
    """Lance with its connector."""
    return There(LanceConnector("here"), lambda: wire_to(sim), sim.seed)


def seeded(there: There, *members: str, kind: str = "person") -> str:
    """One list with these members."""
    return there.seed([{"name": "Old", "kind": kind, "members": members}])[0]


def patched(
    there: There, remote_id: str, kind: Kind | None, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> Shown:
    """The answer to a patch of members."""
    answer = there.patch(remote_id, Patch({}, frozenset(add), frozenset(remove)), kind)
    assert answer is not None
    return answer


def calls(sim: RunningSimulator) -> list[tuple[str, Any]]:
    """Method and body of each call."""
    return [(call["method"], call["body"]) for call in sim.calls()]


def moved(added: Iterable[str] = (), removed: Iterable[str] = ()) -> MembersSeen:
    """What only our patch moved."""
    return MembersSeen(whole=False, added=frozenset(added), removed=frozenset(removed))


def test_members_are_ids_of_lances_own(there: There) -> None:
    """The CRM's keys never reach it, unless settings say that both use the same."""
    assert Naming.ID is there.connector.capabilities.naming
    assert not there.connector.capabilities.members_apart
    assert there.connector.capabilities.members_at_once is None


def test_what_was_meant_is_told_as_what_moved(there: There, sim: RunningSimulator) -> None:
    """With what the read before it showed, whole and with its version; name and members are one request."""
    remote_id = seeded(there, ADA, BLAISE)
    read = there.get(remote_id)
    sim.forget_calls()

    answer = there.patch(
        remote_id, Patch({Field.NAME: "New"}, frozenset({CARL}), frozenset({ADA, NOBODY})), Kind.PERSON
    )

    assert answer is not None
    assert (None, moved({CARL}, {ADA, NOBODY})) == (answer.members, answer.moved)
    assert read == answer.before
    assert ("New", Kind.PERSON) == (answer.fields[Field.NAME], answer.kind)
    assert there.get(remote_id).version == answer.version
    assert [("GET", None), ("PATCH", {"name": "New", "personIds": [BLAISE, CARL]})] == calls(sim)[:2]


def test_the_array_keeps_lances_order(there: There, sim: RunningSimulator) -> None:
    """What is new comes last; nobody's list is shuffled."""
    remote_id = seeded(there, "z", "b", "y", "a")

    patched(there, remote_id, Kind.PERSON, {"n", "m"}, {"y"})

    assert ["z", "b", "a", "m", "n"] == sim.lead_list(remote_id)["members"]


def test_an_edit_before_the_read_is_kept_and_told(there: There, sim: RunningSimulator) -> None:
    """Another program adds one and removes one after we last looked: both stay so, and `before` tells of them."""
    remote_id = seeded(there, ADA, BLAISE)
    there.get(remote_id)
    sim.edit(remote_id, members_added=[NOBODY], members_removed=[BLAISE])

    answer = patched(there, remote_id, Kind.PERSON, {CARL})

    assert answer.before is not None
    assert frozenset({ADA, NOBODY}) == answer.before.members
    assert [ADA, NOBODY, CARL] == sim.lead_list(remote_id)["members"]


def test_an_edit_between_read_and_write_is_the_window(there: There, sim: RunningSimulator) -> None:
    """Lance has no conditional write: what was sent and what was read before it say what nobody could know."""
    sim.switch(rival_adds=[NOBODY])
    remote_id = seeded(there, ADA)

    answer = patched(there, remote_id, Kind.PERSON, {CARL})

    assert ("PATCH", {"personIds": [ADA, CARL]}) == calls(sim)[-1]
    assert answer.before is not None
    assert frozenset({ADA}) == answer.before.members
    assert moved({CARL}) == answer.moved


def test_an_edit_that_the_answer_shows_is_told_whole(there: There, sim: RunningSimulator) -> None:
    """Another program takes out what we put in, and adds its own, before Lance answers us."""
    sim.switch(rival_after="PATCH", rival_adds=[NOBODY], rival_removes=[CARL])
    remote_id = seeded(there, ADA)

    answer = patched(there, remote_id, Kind.PERSON, {CARL})

    assert (frozenset({ADA, NOBODY}), None) == (answer.members, answer.moved)
    assert answer.before is not None
    assert frozenset({ADA}) == answer.before.members


def test_members_that_lance_did_not_take_are_told_whole(there: There, sim: RunningSimulator) -> None:
    """It answers 200 and keeps what was there."""
    sim.switch(ignore_fields=["members"])
    remote_id = seeded(there, ADA)

    answer = patched(there, remote_id, Kind.PERSON, {CARL}, {ADA})

    assert (frozenset({ADA}), None) == (answer.members, answer.moved)


def test_a_name_alone_needs_no_read(there: There, sim: RunningSimulator) -> None:
    """And its answer shows the members whole."""
    remote_id = seeded(there, ADA)

    answer = there.patch(remote_id, Patch({Field.NAME: "New"}), Kind.PERSON)

    assert answer == there.get(remote_id)
    assert [("PATCH", {"name": "New"})] == calls(sim)[:1]


def test_a_name_is_sent_without_members_that_are_there_already(there: There, sim: RunningSimulator) -> None:
    """The array is not written for nothing."""
    remote_id = seeded(there, ADA)

    answer = there.patch(remote_id, Patch({Field.NAME: "New"}, frozenset({ADA})), Kind.PERSON)

    assert answer == there.get(remote_id)
    assert [("GET", None), ("PATCH", {"name": "New"})] == calls(sim)[:2]


def test_the_last_member_can_go(there: There, sim: RunningSimulator) -> None:
    """An empty array is an array."""
    remote_id = seeded(there, ADA)

    assert moved((), {ADA}) == patched(there, remote_id, Kind.PERSON, (), {ADA}).moved
    assert ("PATCH", {"personIds": []}) == calls(sim)[-1]


def test_companies_that_are_only_added_need_no_read(there: There, sim: RunningSimulator) -> None:
    """One call that can undo nobody's edit, and its answer says that they are there."""
    remote_id = seeded(there, ADA, kind="company")
    sim.edit(remote_id, members_added=[NOBODY])

    answer = patched(there, remote_id, Kind.COMPANY, {ADA, CARL})

    assert [("POST", {"companyIds": [ADA, CARL]})] == calls(sim)
    assert (None, moved({ADA, CARL}), None) == (answer.members, answer.moved, answer.before)
    assert [ADA, NOBODY, CARL] == sim.lead_list(remote_id)["members"]


def test_companies_that_were_not_added_are_told_whole(there: There, sim: RunningSimulator) -> None:
    """Lance answers 200 and lacks one."""
    sim.switch(ignore_fields=["members"])
    remote_id = seeded(there, ADA, kind="company")

    answer = patched(there, remote_id, Kind.COMPANY, {ADA, CARL})

    assert (frozenset({ADA}), None) == (answer.members, answer.moved)


@pytest.mark.parametrize(("fields", "remove"), [({Field.NAME: "New"}, ()), ({}, (ADA,))], ids=["name", "removal"])
def test_companies_are_replaced_when_there_is_more_to_say(
    there: There, sim: RunningSimulator, fields: dict[Field, str], remove: tuple[str, ...]
) -> None:
    """A name or a removal needs the PATCH anyway."""
    remote_id = seeded(there, ADA, kind="company")

    there.patch(remote_id, Patch(fields, frozenset({CARL}), frozenset(remove)), Kind.COMPANY)

    assert ["GET", "PATCH"] == [method for method, _ in calls(sim)]


def test_companies_of_a_list_of_unknown_kind_are_read_first(there: There, sim: RunningSimulator) -> None:
    """Nobody has said yet what it holds; Lance does."""
    remote_id = seeded(there, ADA, kind="company")

    assert moved({CARL}) == patched(there, remote_id, None, {CARL}).moved
    assert [("GET", None), ("PATCH", {"companyIds": [ADA, CARL]})] == calls(sim)


@pytest.mark.parametrize(("kind", "reads"), [(Kind.COMPANY, 0), (None, 1)])
def test_a_company_without_uuid_is_never_sent(
    there: There, sim: RunningSimulator, kind: Kind | None, reads: int
) -> None:
    """Not even a read, when the kind is known; and the message does not quote the id."""
    remote_id = seeded(there, ADA, kind="company")

    with pytest.raises(Refused, match="by UUID, and a member of this list") as refused:
        patched(there, remote_id, kind, {CARL, "acme"})

    assert "acme" not in str(refused.value)
    assert [("GET", None)] * reads == calls(sim)


def test_companies_never_reach_a_person_list(there: There, sim: RunningSimulator) -> None:
    """By the read before a PATCH; what is only added, Lance refuses itself."""
    remote_id = seeded(there, ADA)

    with pytest.raises(Refused, match="this is a company list, and there it is a person list"):
        patched(there, remote_id, Kind.COMPANY, {CARL}, {ADA})
    with pytest.raises(Refused, match="not a company list"):
        patched(there, remote_id, Kind.COMPANY, {CARL})

    assert [ADA] == sim.lead_list(remote_id)["members"]


def test_persons_without_a_company_name_stay_members(there: There, sim: RunningSimulator) -> None:
    """Leads-by-list leaves them out; `personIds` does not."""
    sim.switch(nameless_share=1.0)
    remote_id = seeded(there, ADA, BLAISE)

    answer = patched(there, remote_id, Kind.PERSON, {CARL})

    assert [ADA, BLAISE, CARL] == sim.lead_list(remote_id)["members"]
    assert {None} == {person.company_name for person in answer.people}


def test_persons_are_told_with_their_address(there: There) -> None:
    """Those of the read whole; those of the answer only if they came by our patch."""
    remote_id = seeded(there, "ada.fake1@example.com")

    answer = patched(there, remote_id, Kind.PERSON, {"carl.fake2@example.com"})

    assert answer.before is not None
    assert ["ada.fake1@example.com"] == [person.email for person in answer.before.people]
    [carl] = answer.people
    assert ("carl.fake2@example.com", "carl.fake2@example.com") == (carl.id, carl.email)
    assert None not in (carl.first_name, carl.last_name)
    assert isinstance(carl, Person)


def test_a_write_whose_answer_is_lost_is_unclear(there: There, sim: RunningSimulator) -> None:
    """A lost read is not: nothing was sent."""
    there.wire = lambda: wire_to(sim, timeout_s=0.5)
    remote_id = seeded(there, ADA)
    sim.next("timeout_after", methods=["PATCH"])

    with pytest.raises(Unclear):
        patched(there, remote_id, Kind.PERSON, {CARL})

    assert [ADA, CARL] == sim.lead_list(remote_id)["members"]
    answer = patched(there, remote_id, Kind.PERSON, {CARL})
    assert (frozenset({ADA, CARL}), None) == (answer.members, answer.before)


def test_five_thousand_members_are_two_calls(there: There, sim: RunningSimulator) -> None:
    """Whatever the size of the list."""
    members = [f"lead_{n}" for n in range(5000)]
    remote_id = seeded(there, *members)

    answer = patched(there, remote_id, Kind.PERSON, {ADA}, {"lead_7"})

    assert moved({ADA}, {"lead_7"}) == answer.moved
    assert ["GET", "PATCH"] == [method for method, _ in calls(sim)]
    assert {*members, ADA} - {"lead_7"} == set(sim.lead_list(remote_id)["members"])
