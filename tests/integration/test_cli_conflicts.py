"""`leadsync conflicts`, and what `show` and `status` say of held fields: over both databases."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from models.lead_list import Field, LeadList, Standing
from tests.support.commands import Command, Leadsync, put
from tests.support.heart import agreed_list, later, observation, remote_rules, rules_of, whole, with_members
from worker.engine.observe import observe
from worker.engine.plan import restand
from worker.engine.rules import Direction, Policy
from worker.store.sql import SqlStore

REMOTES = ("crm", "instantly", "lance")
HIDDEN = dict.fromkeys((Field.OWNER, Field.ENRICHMENT, Field.MEMBERS), Direction.NONE)
RULES = rules_of({Field.NAME: Policy.HOLD}, instantly=remote_rules(2, directions=HIDDEN))


@pytest.fixture
def leadsync(command: Command) -> Leadsync:
    """The command, with three remotes that are never called."""
    return command(
        *REMOTES,
        LEADSYNC_SYNC__CONFLICTS__NAME="hold",
        LEADSYNC_EVENTS__STREAM=f"events-{uuid.uuid4()}",
        LEADSYNC_REMOTES__LANCE__FIELDS='{"members": "both"}',
        LEADSYNC_REMOTES__LANCE__MEMBER_IDS="shared",
    )


def named(lead_list: LeadList, number: int) -> LeadList:
    """With ids that end in a number of its own."""
    copies = {name: replace(copy, remote_id=f"{name}-{number}") for name, copy in lead_list.copies.items()}
    return replace(lead_list, copies=copies)


def conflict(number: int) -> LeadList:
    """Renamed on CRM and on Lance before they met."""
    lead_list = agreed_list(*REMOTES, name="A")
    for remote, name in (("crm", "B"), ("lance", "C")):
        lead_list = observe(lead_list, observation(remote, 5, {Field.NAME: name}), RULES).lead_list
    return named(restand(lead_list, RULES, later(5)), number)


def braked(number: int) -> LeadList:
    """Of thirty members, twenty-five vanished from Lance."""
    members = [f"p{one:02}" for one in range(30)]
    lead_list = with_members(agreed_list("crm", "lance", name="M"), *members, shown_by=["crm", "lance"])
    seen = observe(lead_list, observation("lance", 5, members=whole(*members[:5])), RULES)
    return named(restand(seen.lead_list, RULES, later(5)), number)


def test_held_fields_are_listed_with_all_that_a_decision_needs(leadsync: Leadsync, store: SqlStore) -> None:
    """What is wanted, by whom and since when; what each remote shows; which members would go."""
    put(store, conflict(1), braked(2), named(agreed_list(*REMOTES, name="calm"), 3))
    ran = leadsync("conflicts", "list", "--json")
    name, members = ran.json["items"]

    assert (3, None) == (ran.status, ran.json["next"])
    assert ("name", "conflict", "B") == (name["field"], name["why"], name["name"])
    assert {"value": "B", "origin": "crm", "stamp": "2026-03-01T12:00:05+00:00"} == name["wanted"]
    assert {"crm": "B", "instantly": "A", "lance": "C"} == {on: one["value"] for on, one in name["shows"].items()}
    assert ["lance"] == [on for on, one in name["shows"].items() if one["held"]]
    assert "leadsync conflicts resolve lance:lance-1 name --use lance, or --use wanted" == name["next_step"]
    assert ("members", "brake", None, 30) == (members["field"], members["why"], members["wanted"], members["members"])
    lance = members["shows"]["lance"]
    assert (5, 25, "p05") == (lance["value"], lance["members_missing"]["count"], lance["members_missing"]["first"][0])
    assert (20, 0) == (len(lance["members_missing"]["first"]), lance["members_surplus"]["count"])
    text = leadsync("conflicts", "list").out
    assert "crm:crm-1 B: name, edited on two sides\n    wanted: B [crm, 2026-03-01 12:00:05Z]\n" in text
    assert "    lance:lance-1 shows C [2026-03-01 12:00:05Z] (held)\n" in text
    assert "lacks 25 (p05, p06, " in text
    assert "p24 and 5 more); --use lance lets them go everywhere\n" in text


def test_pages_and_filters_of_held_fields(leadsync: Leadsync, store: SqlStore) -> None:
    """A page is so many lists; a filter names the remote that holds, or the field."""
    put(store, conflict(1), braked(2), conflict(3))
    first = leadsync("conflicts", "list", "--limit", "2", "--json").json
    rest = leadsync("conflicts", "list", "--limit", "2", "--after", first["next"], "--json").json

    def found(*options: str) -> list[tuple[str, str]]:
        items = leadsync("conflicts", "list", *options, "--json").json["items"]
        return [(one["shows"]["crm"]["id"], one["field"]) for one in items]

    assert ([2, 1], None) == ([len(first["items"]), len(rest["items"])], rest["next"])
    assert [("crm-1", "name"), ("crm-3", "name")] == found("--field", "name")
    assert [("crm-2", "members")] == found("--field", "members", "--remote", "lance")
    assert [] == found("--remote", "crm")
    assert [] == found("--field", "owner")
    none = leadsync("conflicts", "list", "--remote", "crm")
    assert (0, "none\n") == (none.status, none.out)


def test_what_is_held_needs_a_person_everywhere(leadsync: Leadsync, store: SqlStore) -> None:
    """Braked copies are due and counted as such, paused remote or not; show explains them."""
    put(store, braked(2))
    leadsync("pause", "lance")
    status, shown = leadsync("status", "--json"), leadsync("show", "crm:crm-2", "--json")
    lance = shown.json["copies"]["lance"]

    assert (3, {"brake": 1}) == (status.status, status.json["due_by_reason"])
    assert (3, "held by the brake", {"members": None}) == (shown.status, lance["reasons"]["members"], lance["held"])
    assert lance["explained"]["members"].startswith("held by the brake: 25 members went from it at once; next: leads")


def test_one_field_is_decided_by_name(leadsync: Leadsync, store: SqlStore) -> None:
    """It counts first, and afterwards the other copies are due."""
    put(store, conflict(1), conflict(2))
    ran = leadsync("conflicts", "resolve", "instantly:instantly-1", "name", "--use", "lance")
    shown = leadsync("show", "crm:crm-1", "--json").json

    assert (0, "1 held fields are decided: what lance shows becomes wanted\n") == (ran.status, ran.out)
    assert "leadsync: 1 held fields will be decided: what lance shows becomes wanted\n" == ran.err
    assert ("C", "lance") == (shown["wanted"]["name"]["value"], shown["wanted"]["name"]["origin"])
    assert {"name": "C"} == shown["copies"]["crm"]["would_send"]["fields"]
    assert ("resolved", "B", "C", "a person's command") == tuple(
        shown["history"][-1][key] for key in ("kind", "old", "new", "cause")
    )
    assert 1 == len(leadsync("conflicts", "list", "--json").json["items"])
    again = leadsync("conflicts", "resolve", "crm:crm-1", "name", "--use", "wanted")
    assert (1, True) == (again.status, "name of crm:crm-1 is not held; leadsync conflicts list shows" in again.err)


def test_many_are_decided_by_filter(leadsync: Leadsync, store: SqlStore) -> None:
    """Counted first; a script says --yes; what the remote never showed is left and told."""
    put(store, conflict(1), conflict(2), braked(3))
    asked = leadsync("conflicts", "resolve", "--all", "--use", "wanted")
    assert (2, True) == (asked.status, "3 held fields will be decided: what is wanted stays: add --yes" in asked.err)

    partly = leadsync("conflicts", "resolve", "--all", "--use", "instantly", "--yes", "--json")
    assert (3, {"matched": 3, "resolved": 2}) == (partly.status, partly.json)
    left = leadsync("conflicts", "resolve", "--remote", "lance", "--use", "instantly", "--yes")
    assert "1 are left as they were: instantly has not shown them, or somebody else decided them" in left.out

    done = leadsync("conflicts", "resolve", "--field", "members", "--use", "lance", "--yes", "--json")
    assert (0, {"matched": 1, "resolved": 1}) == (done.status, done.json)
    shown = leadsync("show", "crm:crm-3", "--json").json
    assert (5, 25) == (shown["members"], shown["copies"]["crm"]["would_send"]["members_removed"]["count"])
    assert Standing.IN_SYNC == shown["copies"]["lance"]["standing"]
    none = leadsync("conflicts", "resolve", "--all", "--use", "wanted", "--json")
    assert (0, {"matched": 0, "resolved": 0}) == (none.status, none.json)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--use", "crm"), 2, "say which: REMOTE:ID FIELD, or a filter: --remote, --field or --all"),
        (("crm:crm-1", "--use", "crm"), 2, "say which: "),
        (("crm:crm-1", "name", "--all", "--use", "crm"), 2, "say which: "),
        (("crm:crm-1", "nmae", "--use", "crm"), 2, "there is no field 'nmae'; known: name, owner, enrichment, members"),
        (("--field", "kind", "--use", "crm"), 2, "there is no field 'kind'"),
        (
            ("--all", "--use", "crn"),
            2,
            "there is no remote 'crn' in the settings; known: crm, instantly, lance, wanted",
        ),
        (("crm", "name", "--use", "crm"), 2, "expected REMOTE:ID such as crm:17, got 'crm'"),
        (("crm:404", "name", "--use", "crm"), 1, "leadsync knows no list crm:404"),
        (("crm:crm-1", "owner", "--use", "crm"), 1, "owner of crm:crm-1 is not held"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_sentence(
    leadsync: Leadsync, store: SqlStore, arguments: tuple[str, ...], status: int, said: str
) -> None:
    """And nothing is decided."""
    put(store, conflict(1))
    ran = leadsync("conflicts", "resolve", *arguments, "--yes")

    assert (status, True) == (ran.status, said in ran.err)
    assert 1 == len(leadsync("conflicts", "list", "--json").json["items"])
    assert 2 == leadsync("conflicts", "list", "--after", "x").status
