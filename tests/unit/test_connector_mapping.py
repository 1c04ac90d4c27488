"""Between each API's own objects and canonical fields: parse, render, spell; and the owners in between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from models.person import Person
from worker.engine.rules import NoMapping
from worker.errors import BadAnswer, Refused
from worker.remotes.crm import mapping as crm
from worker.remotes.instantly import mapping as instantly
from worker.remotes.lance import mapping as lance
from worker.remotes.owners import MappedOwners, PlainOwners, to_send

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
MAPPED = MappedOwners("mars", {"crm-1": "m-1", "crm-2": "m-2"})
PLAIN = PlainOwners({"mars", "venus"})
UUID = "00000000-0000-7000-8000-000000000001"


class TestOwners:
    """CRM users are canonical; other remotes have a map, and strangers."""

    def test_a_mapped_user_is_the_crm_user(self) -> None:
        """And the way back is the same way."""
        assert "crm-1" == MAPPED.parse("m-1")
        assert "m-1" == MAPPED.render("crm-1")

    def test_a_stranger_is_marked_and_kept(self) -> None:
        """A user whom nobody mapped is visible, and can be written back where he came from."""
        assert "mars:m-9" == MAPPED.parse("m-9")
        assert "m-9" == MAPPED.render("mars:m-9")

    @pytest.mark.parametrize("owner", ["crm-9", "venus:v-1", "mars:", ":", ""])
    def test_whoever_is_not_mapped_has_no_counterpart(self, owner: str) -> None:
        """Planning excludes the field and says why."""
        with pytest.raises(NoMapping):
            MAPPED.render(owner)

    def test_a_stranger_who_was_mapped_since_is_shown_as_mapped(self) -> None:
        """An old wanted value still names the marked user; a write of it will be shown as the CRM user."""
        shown = instantly.spell(Field.OWNER, "mars:m-1", MAPPED)

        assert "crm-1" == shown

    @pytest.mark.parametrize("owners", [MAPPED, PLAIN], ids=["mapped", "plain"])
    def test_nobody_is_nobody(self, owners: MappedOwners | PlainOwners) -> None:
        """No owner on one side is no owner on the other; empty text is no owner either."""
        assert owners.parse(None) is None
        assert owners.parse("") is None
        assert owners.render(None) is None

    @pytest.mark.parametrize("owner", ["crm-1", "auth0:77", "crm-1:", "mars"])
    def test_the_crm_takes_its_own_users_as_they_are(self, owner: str) -> None:
        """Also those whose id has a colon in it."""
        assert owner == PLAIN.render(owner)

    def test_the_crm_cannot_take_a_stranger_of_another_remote(self) -> None:
        """It would create a user called `mars:m-9` at best."""
        with pytest.raises(NoMapping, match=r"remotes\.mars\.owners"):
            PLAIN.render("mars:m-9")

    @pytest.mark.parametrize("owners", [MAPPED, PLAIN], ids=["mapped", "plain"])
    def test_an_owner_is_never_a_boolean(self, owners: MappedOwners | PlainOwners) -> None:
        """Values of two fields that were mixed up are not sent."""
        with pytest.raises(NoMapping):
            owners.render(True)

    def test_a_patch_that_cannot_be_rendered_is_refused(self) -> None:
        """Settings may have changed since it was planned."""
        with pytest.raises(Refused, match=r"not sent: the owner is not in remotes\.mars\.owners"):
            to_send(MAPPED, "crm-9")

    @given(user=st.none() | st.text(min_size=1), pairs=st.dictionaries(st.text(min_size=1), st.text(min_size=1)))
    def test_every_user_finds_the_way_back(self, user: str | None, pairs: dict[str, str]) -> None:
        """Whatever a remote shows can be written there again, unless a CRM user has just that marked name."""
        users = {owner: user_there for user_there, owner in {v: k for k, v in pairs.items()}.items()}
        owners = MappedOwners("mars", users)

        shown = owners.parse(user)

        if shown is None or not shown.startswith("mars:"):
            assert user == owners.render(shown)


class TestCrm:
    """All canonical fields."""

    ROW: ClassVar[dict[str, Any]] = {
        "id": "1",
        "kind": "company",
        "name": "N",
        "owner": "crm-1",
        "enrichment": True,
        "members": ["b", "a", "b"],
        "updated_at": "2026-01-31T13:00:00+01:00",
    }

    def test_a_whole_list(self) -> None:
        """Each property finds its field; members are a set; the version is in UTC."""
        assert Shown(
            remote_id="1",
            kind=Kind.COMPANY,
            fields={Field.NAME: "N", Field.OWNER: "crm-1", Field.ENRICHMENT: True},
            members=frozenset({"a", "b"}),
            version=WHEN,
        ) == crm.parse(self.ROW, PLAIN)

    @pytest.mark.parametrize("name", ["owner", "enrichment"])
    def test_what_is_absent_was_not_shown(self, name: str) -> None:
        """Absent is unknown, null is empty: the two are never confused."""
        absent = {key: value for key, value in self.ROW.items() if key != name}

        assert Field(name) not in crm.parse(absent, PLAIN).fields
        assert crm.parse({**self.ROW, name: None}, PLAIN).fields[Field(name)] is None

    def test_members_may_be_objects_that_say_who_they_are(self) -> None:
        """As in events, and beside plain ids."""
        who = {"id": "c", "email": "c@example.com", "last_name": "Fake", "ids": {"lance": "l3"}}
        shown = crm.parse({**self.ROW, "members": ["a", who]}, PLAIN)
        assert frozenset({"a", "c"}) == shown.members
        assert (Person(id="c", email="c@example.com", last_name="Fake", ids={"lance": "l3"}),) == shown.people

    @pytest.mark.parametrize(
        "odd", [{}, {"id": ""}, {"id": "a", "email": 5}, {"id": "a", "ids": ["l"]}, 5, None, ["a"]]
    )
    def test_members_that_are_neither_are_a_bad_answer(self, odd: object) -> None:
        """Nothing is left out in silence: that would look like a removal."""
        with pytest.raises(BadAnswer):
            crm.parse({**self.ROW, "members": ["a", odd]}, PLAIN)

    @pytest.mark.parametrize("members", [{}, {"members": None}])
    def test_members_that_are_absent_were_not_shown(self, members: dict[str, None]) -> None:
        """No members said is not no members."""
        row = {key: value for key, value in self.ROW.items() if key != "members"}

        assert crm.parse({**row, **members}, PLAIN).members is None
        assert frozenset() == crm.parse({**row, "members": []}, PLAIN).members

    @pytest.mark.parametrize("name", ["id", "name", "updated_at"])
    def test_what_must_be_there(self, name: str) -> None:
        """Without these it is not a lead list; without a version two clocks would be mixed."""
        with pytest.raises(BadAnswer, match=name):
            crm.parse({key: value for key, value in self.ROW.items() if key != name}, PLAIN)

    def test_a_patch_is_a_merge_patch(self) -> None:
        """Canonical words, members as what comes and goes, in a fixed order."""
        patch = Patch({Field.NAME: "N", Field.OWNER: None}, frozenset({"b", "a"}), frozenset({"d", "c"}))

        assert {
            "name": "N",
            "owner": None,
            "members_added": ["a", "b"],
            "members_removed": ["c", "d"],
        } == crm.render(patch, PLAIN)


class TestInstantly:
    """Three fields, two of them under other names."""

    @pytest.mark.parametrize("nothing", [{}, {"owned_by": None, "has_enrichment_task": None}])
    def test_what_is_optional_may_be_absent_or_null(self, nothing: dict[str, None]) -> None:
        """Both mean empty: so says the vendor's document."""
        assert Shown(
            remote_id="1", fields={Field.NAME: "N", Field.OWNER: None, Field.ENRICHMENT: None}
        ) == instantly.parse({"id": "1", "name": "N", **nothing}, MAPPED)

    def test_a_list_has_no_version(self) -> None:
        """The time of creation is not one."""
        row = {"id": "1", "name": "N", "timestamp_created": "2026-01-31T12:00:00.000Z"}

        assert instantly.parse(row, MAPPED).version is None

    def test_a_patch_speaks_instantlys_words(self) -> None:
        """Only what differs, owners as Instantly knows them."""
        patch = Patch({Field.OWNER: "crm-2", Field.ENRICHMENT: None})

        assert {"owned_by": "m-2", "has_enrichment_task": None} == instantly.render(patch, MAPPED)

    @pytest.mark.parametrize(("field", "value"), [(Field.NAME, None), (Field.NAME, True), (Field.MEMBERS, "x")])
    def test_what_cannot_be_shown_has_no_spelling(self, field: Field, value: Value) -> None:
        """A name is text, and members are not a field of the list."""
        with pytest.raises(NoMapping):
            instantly.spell(field, value, MAPPED)


class TestLance:
    """A name, and members in one of two arrays."""

    ROW: ClassVar[dict[str, Any]] = {
        "id": "1",
        "name": "N",
        "type": "person",
        "personIds": ["lead_1"],
        "companyIds": [UUID],
        "updatedAt": "2026-01-31T12:00:00.000Z",
        "persons": [],
        "companies": [],
    }

    def test_members_come_from_the_array_of_the_type(self) -> None:
        """Never from the other one, and never from the hydrated rows, which leave some out."""
        assert frozenset({"lead_1"}) == lance.parse(self.ROW).members
        assert frozenset({UUID}) == lance.parse({**self.ROW, "type": "company"}).members

    @pytest.mark.parametrize("other", [{"type": "robot"}, {"type": None}, {"personIds": None}])
    def test_without_type_or_array_members_were_not_shown(self, other: dict[str, str | None]) -> None:
        """Unknown stays unknown."""
        assert lance.parse({**self.ROW, **other}).members is None

    def test_the_version_is_the_time_of_the_last_change(self) -> None:
        """`updatedAt` moves with every modification."""
        assert WHEN == lance.parse(self.ROW).version

    @pytest.mark.parametrize("member", ["lead_1", "", UUID + "\n", UUID.replace("-", "")])
    def test_a_company_is_a_uuid(self, member: str) -> None:
        """A person may be anything; so may a member of a list whose kind nobody has said yet."""
        with pytest.raises(Refused) as refused:
            lance.check_ids(Kind.COMPANY, {UUID, member})
        assert member == "" or member not in str(refused.value)
        for kind in (Kind.PERSON, None):
            lance.check_ids(kind, {member})

    def test_hydrated_persons_say_who_members_are(self) -> None:
        """Of each only what names it; the first of its addresses."""
        row = {
            "id": "lead_1",
            "firstName": " Ada ",
            "lastName": "Fake",
            "emails": ["ada@example.com", "b@example.com"],
            "company": {"name": "Example Ltd"},
            "phones": ["1"],
        }

        [person] = lance.parse({**self.ROW, "persons": [row]}).people

        assert person == Person(
            id="lead_1",
            email="ada@example.com",
            first_name="Ada",
            last_name="Fake",
            company_name="Example Ltd",
        )

    @pytest.mark.parametrize(
        "persons",
        [
            None,
            "lead_1",
            {"id": "lead_1"},
            [None, 7, "lead_1", [], {}],
            [{"id": ["lead_1"], "firstName": "Ada"}],
            [{"id": "stranger", "firstName": "Ada"}],
            [{"id": "lead_1"}],
            [{"id": "lead_1", "firstName": 7, "lastName": "", "emails": "a@example.com", "company": "Example"}],
            [{"id": "lead_1", "firstName": "a\0b", "emails": [None], "company": {"name": "x" * 513}}],
            [{"id": "lead_1", "firstName": None, "emails": ["no address"], "company": {}}],
            [{"id": "lead_1", "lastName": " ", "emails": [], "company": None}],
        ],
    )
    def test_what_is_odd_in_persons_is_passed_over(self, persons: object) -> None:
        """They are no truth about membership, and nothing else of the list is in doubt for it."""
        shown = lance.parse({**self.ROW, "persons": persons})

        assert (frozenset({"lead_1"}), ()) == (shown.members, shown.people)

    def test_a_company_list_has_no_persons(self) -> None:
        """Whatever stands there."""
        row = {**self.ROW, "type": "company", "persons": [{"id": UUID, "firstName": "Ada"}]}

        assert () == lance.parse(row).people

    @pytest.mark.parametrize("field", [Field.OWNER, Field.ENRICHMENT, Field.MEMBERS])
    def test_other_fields_have_no_spelling(self, field: Field) -> None:
        """Lance has no such field."""
        with pytest.raises(NoMapping):
            lance.spell(field, "x")
