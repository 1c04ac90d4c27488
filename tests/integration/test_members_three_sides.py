"""Members between the three simulators: exact on each side, by the fewest calls, and nobody lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from models.lead_list import Standing
from models.person import LONGEST, Details, Person
from tests.support.members import adds_up, strangers
from tests.support.receiver import Receiver, receiving
from tests.support.stores import opened
from tests.support.three_sides import ThreeSides, three_sides
from tests.support.waiting import wait_until
from worker.ports import Tx
from worker.remotes.lance import connector
from worker.sync.identity import keys_of
from worker.sync.learning import learn

PEOPLE = 5_000
NO_EMAIL = range(200)
NO_LANCE = range(150, 250)


@pytest.fixture
def sides(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreeSides]:
    """On both databases, with time for a large list on a machine that is busy with other tests."""
    monkeypatch.setattr(connector, "WINDOW_S", 60.0)
    with three_sides(database_url) as three:
        yield three


def who(number: int) -> dict[str, object]:
    """A person as the CRM tells it; some have no address, some are not known to Lance."""
    email = {} if number in NO_EMAIL else {"email": f"fake{number}@example.com"}
    ids = {} if number in NO_LANCE else {"ids": {"lance": f"lead_{number}"}}
    return {"id": f"p{number}", "first_name": f"Fake{number}", "last_name": "Person", **email, **ids}


def linked(sides: ThreeSides, numbers: range) -> dict[str, str]:
    """One list with these people in the CRM, and empty ones that are tied to it."""
    row = {"name": "People", "kind": "person", "members": []}
    crm = {**row, "members": [f"p{number}" for number in numbers]}
    ids = {remote: one.seed([crm if remote == "crm" else row])[0] for remote, one in sides.simulators.items()}
    links = {remote: one for remote, one in ids.items() if remote != "crm"}
    sides.tell("crm", ids["crm"], {"fields": {**row, "members": [who(n) for n in numbers]}, "links": links})
    sides.intake()
    sides.push()
    return ids


def test_five_thousand_people_go_to_both_and_back(sides: ThreeSides) -> None:
    """
    Those whom a side cannot be told of are excluded there with the reason. Five bulk adds, one PATCH; then silence.
    """
    sides.simulators["lance"].switch(addressless_share=1.0)
    sides.forget_calls()
    ids = linked(sides, range(PEOPLE))
    there = {remote: sides.members(remote, one) for remote, one in ids.items()}
    assert {f"p{n}" for n in range(PEOPLE)} == there["crm"]
    assert {f"fake{n}@example.com" for n in range(PEOPLE) if n not in NO_EMAIL} == there["instantly"]
    assert {f"lead_{n}" for n in range(PEOPLE) if n not in NO_LANCE} == there["lance"]
    assert 5 == sides.calls("instantly").count(("POST", "/api/v2/leads/add"))
    assert ["PATCH"] == [method for method, _ in sides.calls("lance") if method != "GET"]
    assert [] == [method for method, _ in sides.calls("crm") if method != "GET"]

    lead_list = sides.lead_list("crm", ids["crm"])
    adds_up(lead_list)
    excluded = {
        remote: {key: one.excluded[remote] for key, one in lead_list.members.items() if remote in one.excluded}
        for remote in ("instantly", "lance")
    }
    assert {f"p{n}": "no e-mail address of its own is known" for n in NO_EMAIL} == excluded["instantly"]
    assert {f"p{n}": "no id on lance is known" for n in NO_LANCE} == excluded["lance"]
    assert (200, 100) == tuple(lead_list.copies[remote].excluded for remote in ("instantly", "lance"))
    assert Standing.IN_SYNC is lead_list.copies["crm"].standing
    assert {Standing.EXCLUDED} == {lead_list.copies[remote].standing for remote in ("instantly", "lance")}

    sides.forget_calls()
    for remote in ids:
        assert sides.scan(remote).drift == 0
    assert 0 == sides.push()
    assert [] == [call for remote in ids for call in sides.calls(remote) if _writes(call)]


def _writes(call: tuple[str, str]) -> bool:
    return call[0] != "GET" and not call[1].endswith("/leads/list")


def test_edits_on_every_side_meet(sides: ThreeSides) -> None:
    """
    One is removed in the CRM, one leaves on Instantly, one comes on Lance whom the CRM knows by that id.
    """
    ids = linked(sides, range(1_000, 1_012))
    sides.tell("crm", "x", {"fields": {"name": "Other"}, "members_added": [who(1_020)]})
    sides.simulators["crm"].edit(ids["crm"], members_removed=["p1001"])
    sides.tell("crm", ids["crm"], {"members_removed": ["p1001"]})
    sides.simulators["instantly"].edit(ids["instantly"], members_removed=["fake1002@example.com"])
    sides.simulators["lance"].edit(ids["lance"], members_added=["lead_1020"])
    sides.intake()
    sides.push()
    for remote in ("instantly", "lance"):
        sides.scan(remote)
    sides.push()
    numbers = {*range(1_000, 1_012), 1_020} - {1_001, 1_002}
    assert {f"p{n}" for n in numbers} == sides.members("crm", ids["crm"])
    assert {f"fake{n}@example.com" for n in numbers} == sides.members("instantly", ids["instantly"])
    assert {f"lead_{n}" for n in numbers} == sides.members("lance", ids["lance"])
    lead_list = sides.lead_list("crm", ids["crm"])
    adds_up(lead_list)
    assert {Standing.IN_SYNC} == {copy.standing for copy in lead_list.copies.values()}


@pytest.fixture
def news() -> Iterator[Receiver]:
    """Where Lance tells what changed there."""
    with receiving() as receiver:
        yield receiver


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("first", [False, True])
def test_another_programs_edit_between_our_read_and_our_write_is_not_lost(
    sides: ThreeSides, news: Receiver, *, swapped: bool, first: bool
) -> None:
    """
    Our array is written over it, and the news of it brings it back, whenever it comes: after our answer or before, and
    in whatever order.
    """
    ids = linked(sides, range(1_000, 1_005))
    lance = sides.simulators["lance"]
    lance.switch(webhooks=[news.url], rival_adds=["lead_77"], rival_removes=["lead_1000"])
    sides.tell("crm", ids["crm"], {"members_added": [who(1_006)]})
    sides.simulators["crm"].edit(ids["crm"], members_added=["p1006"])
    sides.intake()
    if first:
        lance.switch(latency_s=0.4)
        asyncio.run(told_in_flight(sides, news))
    else:
        sides.push("lance")
        wait_until(lambda: len(news.got) >= 2, deadline_s=10, what="Lance has told of both")
        assert "lead_77" not in sides.members("lance", ids["lance"])
    lance.switch(rival_adds=[], rival_removes=[], webhooks=[], latency_s=0.0)
    told = [one.body for one in news.got]
    for body in reversed(told) if swapped else told:
        sides.log.add(body)
    sides.intake()
    sides.push()
    numbers = {*range(1_001, 1_005), 1_006}
    assert {*(f"lead_{n}" for n in numbers), "lead_77"} == sides.members("lance", ids["lance"])
    assert {f"p{n}" for n in numbers} == sides.members("crm", ids["crm"])
    for remote in ("lance", "instantly"):
        sides.scan(remote)
    sides.push()
    assert {*(f"lead_{n}" for n in numbers), "lead_77"} == sides.members("lance", ids["lance"])
    adds_up(sides.lead_list("crm", ids["crm"]))


async def told_in_flight(sides: ThreeSides, news: Receiver) -> None:
    """The rival's news is taken in while our write is on its way."""

    async def take_in() -> None:
        await asyncio.to_thread(wait_until, lambda: bool(news.got), deadline_s=10, what="Lance has told of it")
        sides.log.add(news.got[0].body)
        await sides.drain()

    await asyncio.gather(sides.pushing("lance"), take_in())


@pytest.mark.parametrize("long", ["x" * 512, "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}" * 300 + "@example.com"])
def test_what_is_too_long_to_be_kept_is_left_out_or_cut(database_url: str, long: str) -> None:
    """
    Names are cut, addresses left out, and keys that stand for long ids are digests.
    """

    def work(tx: Tx) -> tuple[dict[str, str], dict[str, Details]]:
        who = Person(id="x" * 512, email=long, first_name="N" * 4096, ids={"instantly": long})
        learn(tx, "lance", [who], strangers())
        keys = keys_of(tx, "lance", ["x" * 512, "y" * 512], strangers())
        return keys, tx.identities.details(keys.values())

    with opened(database_url) as store:
        keys, details = store.run_now(work)
    assert 2 == len(set(keys.values()))
    assert all(len(key) <= LONGEST for key in keys.values())
    assert {"N" * LONGEST} == {one.first_name for one in details.values()}
