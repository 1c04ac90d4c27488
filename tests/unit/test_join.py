"""Two lead lists turn out to be one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.lead_list import Field, Kind, LeadList, Member, Presence
from models.ledger import ChangeKind
from tests.support.heart import at, copy_of, list_of, rules_of
from worker.engine.join import CannotJoin, join

NAME = Field.NAME
RULES = rules_of()


def one(remote: str, name: str) -> LeadList:
    """A list with one copy, which set its name."""
    return list_of(copy_of(remote, {NAME: name}), wanted={NAME: name}, origin=remote)


@pytest.mark.parametrize(("kept", "other"), [("crm", "lance"), ("lance", "crm")])
def test_authority_decides_what_is_wanted(kept: str, other: str) -> None:
    """Where both want something, the remote higher in authority wins, whichever list is kept."""
    joined = join(one(kept, kept), one(other, other), RULES)
    assert "crm" == joined.lead_list.wanted[NAME].value
    assert {"crm", "lance"} == set(joined.lead_list.copies)
    assert ([] if kept == "crm" else [(ChangeKind.WANTED, "lance", "crm")]) == [
        (change.kind, change.old, change.new) for change in joined.changes
    ]


def test_what_only_one_wants_is_wanted() -> None:
    """Fields of both lists come together."""
    other = list_of(copy_of("lance"), wanted={Field.OWNER: "u1"}, origin="lance")
    assert {NAME, Field.OWNER} == set(join(one("crm", "A"), other, RULES).lead_list.wanted)


def test_equal_values_are_no_change() -> None:
    """Nothing is written in the ledger where both want the same."""
    assert () == join(one("lance", "A"), one("crm", "A"), RULES).changes


def test_members_become_a_union() -> None:
    """A join removes nothing, and every remote's last sight is kept."""
    left = replace(one("crm", "A"), members={"a": Member(True, {"crm": Presence(True, at(0))}), "b": Member(False)})
    right = replace(
        one("lance", "A"), members={"a": Member(False), "b": Member(True, {"lance": Presence(True, at(0))})}
    )
    joined = join(left, right, RULES).lead_list.members
    assert {"a": True, "b": True} == {name: member.wanted for name, member in joined.items()}
    assert ({"crm"}, {"lance"}) == (set(joined["a"].seen), set(joined["b"].seen))


def test_two_copies_on_one_remote_cannot_be_one_list() -> None:
    """The sentence names both and says what to do."""
    left, right = one("crm", "A"), list_of(replace(copy_of("crm"), remote_id="other"))
    with pytest.raises(CannotJoin) as error:
        join(left, right, RULES)
    assert "both lists have a copy on crm (crm-1 and other); unlink one of them first" == str(error.value)


def test_people_and_companies_cannot_be_one_list() -> None:
    """A list never changes its kind."""
    people, companies = replace(one("crm", "A"), kind=Kind.PERSON), replace(one("lance", "A"), kind=Kind.COMPANY)
    with pytest.raises(CannotJoin) as error:
        join(people, companies, RULES)
    assert "one is a person list, the other a company list, and a list never changes its kind" == str(error.value)
    assert Kind.PERSON is join(people, one("lance", "A"), RULES).lead_list.kind
    assert Kind.COMPANY is join(one("crm", "A"), companies, RULES).lead_list.kind
