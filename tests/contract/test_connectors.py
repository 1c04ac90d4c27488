"""CRM, Instantly and Lance over real HTTP, and the memory twin: all keep the same promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import orjson
import pytest

from models.lead_list import Field, Kind, Value
from models.observation import MembersSeen, Shown
from models.patch import Patch
from tests.contract.promises import (
    ADA,
    ALL_VALUES,
    BLAISE,
    CARL,
    NOBODY,
    Canned,
    ConnectorContract,
    There,
)
from tests.contract.promises_over_http import OverHttp
from worker.errors import AccessLost, BadAnswer, Refused
from worker.remotes.base import Answer, Connector
from worker.remotes.crm.connector import CrmConnector
from worker.remotes.instantly.connector import InstantlyConnector
from worker.remotes.lance.connector import LanceConnector
from worker.remotes.memory import MemoryConnector
from worker.simulators.running import RunningSimulator

#: CRM user to Instantly user.
OWNERS = {"crm-1": "00000000-0000-4000-8000-000000000001", "crm-2": "00000000-0000-4000-8000-000000000002"}


class TestMemory(ConnectorContract):
    """The twin."""

    VALUES = ALL_VALUES

    @pytest.fixture
    def there(self) -> There:
        connector = MemoryConnector("here")
        connector._owners = CrmConnector("here", others={"elsewhere"})._owners

        def seed(rows: Sequence[dict[str, Any]]) -> list[str]:
            for n, row in enumerate(rows):
                fields = {f: row[f] for f in self.VALUES}
                connector.wire.put(
                    Shown(remote_id=f"m{n}", kind=Kind(row["kind"]), fields=fields, members=frozenset(row["members"]))
                )
            return [f"m{n}" for n in range(len(rows))]

        return There(connector, lambda: connector.wire, seed)


class TestCrm(OverHttp):
    """The CRM."""

    KIND = "crm"
    VALUES = ALL_VALUES

    def connector(self) -> Connector:
        return CrmConnector("here", others={"elsewhere"})

    def test_members_travel_as_what_comes_and_goes(self, there: There, sim: RunningSimulator) -> None:
        """One member more in a list of a million is one word on the wire."""
        [remote_id] = there.seed([self.row()])

        there.patch(remote_id, Patch({}, frozenset({CARL}), frozenset({ADA})))

        assert {"members_added": [CARL], "members_removed": [ADA]} == sim.calls()[0]["body"]


class TestInstantly(OverHttp):
    """Instantly."""

    KIND = "instantly"
    VALUES = ALL_VALUES
    SPELLED = OWNERS

    def connector(self) -> Connector:
        return InstantlyConnector("here", OWNERS)

    def row(self, **other: Any) -> dict[str, Any]:
        return {**super().row(**other), "members": []}

    def test_a_company_list_cannot_be_created(self, there: There, sim: RunningSimulator) -> None:
        """Instantly's lists hold people; nothing is sent."""
        with pytest.raises(Refused, match="lists of people only"):
            there.create(Patch({Field.NAME: "New"}), Kind.COMPANY)

        assert [] == sim.calls()

    def test_words_are_instantlys_own(self, there: There, sim: RunningSimulator) -> None:
        """Only documented names leave, and owners as Instantly knows them."""
        [remote_id] = there.seed([self.row()])

        there.patch(remote_id, Patch({Field.OWNER: "crm-2", Field.ENRICHMENT: True}))

        assert {"owned_by": OWNERS["crm-2"], "has_enrichment_task": True} == sim.calls()[0]["body"]

    def test_what_is_left_out_is_null(self, there: There, sim: RunningSimulator) -> None:
        """Optional properties may be absent as well as null."""
        sim.switch(optional_absent=True)
        [remote_id] = there.seed([self.row(owner=None, enrichment=None)])

        assert {Field.NAME: "Old", Field.OWNER: None, Field.ENRICHMENT: None} == there.get(remote_id).fields

    def test_an_owner_whom_nobody_mapped_is_shown_and_can_be_written_back(
        self, there: There, sim: RunningSimulator
    ) -> None:
        """A stranger is marked with the remote's name, never lost."""
        [remote_id] = there.seed([self.row(owner=NOBODY)])
        stranger = there.get(remote_id).fields[Field.OWNER]

        there.patch(remote_id, Patch({Field.OWNER: "crm-1"}))
        there.patch(remote_id, Patch({Field.OWNER: stranger}))

        assert f"here:{NOBODY}" == stranger
        assert NOBODY == sim.lead_list(remote_id)["owner"]

    @pytest.mark.parametrize("last_cursor", ["never", "full", "always"])
    def test_the_last_page_may_carry_a_cursor(self, there: There, sim: RunningSimulator, last_cursor: str) -> None:
        """An empty page ends the walk, whatever the last one promised."""
        sim.switch(last_cursor=last_cursor)
        ids = there.seed([self.row(name=f"List {n}") for n in range(200)])

        assert sorted(ids) == sorted(shown.remote_id for page in there.pages() for shown in page)

    def test_a_cursor_that_repeats_is_a_bad_answer(self, there: There, sim: RunningSimulator) -> None:
        """More lists of one millisecond than a page holds, and an inclusive cursor: that would never end."""
        sim.switch(page_edge="repeated")
        there.seed([self.row(created_at="2026-01-01T00:00:00.000Z") for _ in range(150)])

        with pytest.raises(BadAnswer, match="same one again"):
            there.pages()

    def test_properties_that_are_stripped_change_nothing(self, there: There, sim: RunningSimulator) -> None:
        """We never send a property that Instantly would have to strip."""
        sim.switch(strip_unknown=False)
        [remote_id] = there.seed([self.row()])

        there.patch(remote_id, Patch({name: value for name, (_, value) in self.VALUES.items()}))

        assert [200] == [call["status"] for call in sim.calls()]


class TestLance(OverHttp):
    """Lance."""

    KIND = "lance"
    VALUES: ClassVar[dict[Field, tuple[Value, Value]]] = {Field.NAME: ("Old", "New")}

    def connector(self) -> Connector:
        return LanceConnector("here")

    @pytest.mark.parametrize("switches", [{"list_wrapped": True}, {"list_hydrated": True}], ids=["wrapped", "hydrated"])
    def test_both_documented_listings_are_read(
        self, there: There, sim: RunningSimulator, switches: dict[str, bool]
    ) -> None:
        """The documents say a bare array and an object; whole persons may be in it."""
        sim.switch(**switches)
        [remote_id] = there.seed([self.row()])

        people = there.get(remote_id).people if "list_hydrated" in switches else ()
        assert [[replace(there.get(remote_id), people=people)]] == there.pages()

    @pytest.mark.parametrize(("kind", "array"), [("person", "personIds"), ("company", "companyIds")])
    def test_members_travel_as_one_fresh_array(
        self, there: There, sim: RunningSimulator, kind: str, array: str
    ) -> None:
        """Read, merge, write: an edit made just before is not undone, and the other array is never sent."""
        [remote_id] = there.seed([self.row(kind=kind)])
        sim.edit(remote_id, members_added=[NOBODY])

        answer = there.patch(remote_id, Patch({}, frozenset({CARL}), frozenset({ADA})), Kind(kind))

        assert answer is not None
        assert answer.before is not None
        assert frozenset({ADA, BLAISE, NOBODY}) == answer.before.members
        assert MembersSeen(whole=False, added=frozenset({CARL}), removed=frozenset({ADA})) == answer.moved
        assert ["GET", "PATCH"] == [call["method"] for call in sim.calls()]
        assert {array: [BLAISE, NOBODY, CARL]} == sim.calls()[1]["body"]

    def test_members_that_are_there_already_are_not_written(self, there: There, sim: RunningSimulator) -> None:
        """Somebody made the same edit there: the read is enough."""
        [remote_id] = there.seed([self.row()])

        answer = there.patch(remote_id, Patch({}, frozenset({ADA}), frozenset({NOBODY})), Kind.PERSON)

        assert there.get(remote_id) == answer
        assert ["GET", "GET"] == [call["method"] for call in sim.calls()]

    def test_a_list_of_unknown_kind_cannot_be_created(self, there: There, sim: RunningSimulator) -> None:
        """Lance would take it for one of people; nothing is sent."""
        with pytest.raises(Refused, match="people or companies"):
            there.create(Patch({Field.NAME: "New"}), None)

        assert [] == sim.calls()

    @pytest.mark.parametrize("kind", Kind)
    def test_a_created_list_has_its_kind_and_lasts_a_year(
        self, there: There, sim: RunningSimulator, kind: Kind
    ) -> None:
        """Lance asks for dates and for both arrays."""
        made = there.create(Patch({Field.NAME: "New"}), kind)

        assert kind is made.kind
        assert {
            "name": "New",
            "type": kind,
            "icpId": None,
            "startDate": "2026-03-01T12:00:00.123456+00:00",
            "endDate": "2027-03-01T12:00:00.123456+00:00",
            "personIds": [],
            "companyIds": [],
        } == sim.calls()[0]["body"]

    def test_persons_never_reach_a_company_list(self, there: There, sim: RunningSimulator) -> None:
        """The wrong array is caught before it is sent."""
        [remote_id] = there.seed([self.row(kind="company")])

        with pytest.raises(Refused, match="this is a person list, and there it is a company list"):
            there.patch(remote_id, Patch({}, frozenset({CARL})), Kind.PERSON)

        assert 0 == sim.summary()["writes"]

    def test_a_company_needs_a_uuid(self, there: There, sim: RunningSimulator) -> None:
        """A company id of another system is caught before it is sent."""
        [remote_id] = there.seed([self.row(kind="company")])

        with pytest.raises(Refused, match="Lance knows companies by UUID"):
            there.patch(remote_id, Patch({}, frozenset({"acme"})), Kind.COMPANY)

        assert 0 == sim.summary()["writes"]

    def test_one_closed_list_does_not_pause_the_remote(self, there: There) -> None:
        """A 403 that names this list is about this list; the token is well."""
        body = orjson.dumps({"error": {"code": "FORBIDDEN", "message": "You do not have access to this lead list"}})

        with pytest.raises(Refused, match="add our user to the list"):
            there.get(ADA, Canned(Answer(status=403, body=body)))

    def test_a_missing_session_may_be_a_400(self, there: There) -> None:
        """By its message, as some of Lance's pages have it."""
        body = orjson.dumps({"error": {"code": "BAD_REQUEST", "message": "Organization ID required"}})

        with pytest.raises(AccessLost, match="check its token"):
            there.get(ADA, Canned(Answer(status=400, body=body)))
