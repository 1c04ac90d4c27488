"""`leadsync plan` and `leadsync apply`: what they print, how they end, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from models.lead_list import Field, LeadList, Parked, Seen, Stamp, Standing, Waiting, Wanted
from tests.support.commands import Command, Leadsync, put
from tests.support.heart import copy_of, list_of, with_members
from worker.ports import Every, Tx
from worker.store.sql import SqlStore

NAME = Field.NAME
NOW = datetime.now(UTC)


@pytest.fixture
def leadsync(command: Command) -> Leadsync:
    """The command; lance and instantly are under review, and no remote is ever called."""
    return command(
        "crm",
        "instantly",
        "lance",
        LEADSYNC_SYNC__MODE="review",
        LEADSYNC_REMOTES__CRM__MODE="auto",
        LEADSYNC_REMOTES__LANCE__FIELDS__MEMBERS="both",
    )


def waiting(remote_id: str, wanted: str = "B") -> LeadList:
    """The CRM shows what is wanted; lance shows A, and waits for review."""
    crm = replace(copy_of("crm", {NAME: wanted}), remote_id=remote_id)
    lance = replace(
        copy_of("lance", {NAME: "A"}),
        remote_id=remote_id,
        standing=Standing.DUE,
        waiting=Waiting.REVIEW,
        since=NOW,
    )
    return list_of(crm, lance, wanted={NAME: wanted})


def changed(store: SqlStore, number: int, **changes: Any) -> None:
    """The lance copy of a list becomes another."""

    def work(tx: Tx) -> None:
        before = tx.load([number], {number: Every.MEMBER})[number]
        lance = replace(before.copies["lance"], **changes)
        tx.save([(before, replace(before, copies={**before.copies, "lance": lance}))])

    store.run_now(work)


def lance(store: SqlStore, number: int) -> Any:
    """That copy as it is stored."""
    return store.run_now(lambda tx: tx.load([number])[number].copies["lance"])


def test_nothing_to_send(leadsync: Leadsync, store: SqlStore) -> None:
    """An empty plan is no failure, and has no hash."""
    put(store, list_of(copy_of("crm", {NAME: "A"}), wanted={NAME: "A"}))
    assert (0, "nothing to send\n") == (leadsync("plan").status, leadsync("plan").out)
    assert {"hash": None, "made_at": None, "items": [], "next": None} == leadsync("plan", "--json").json


def test_a_plan_as_text_and_as_json(leadsync: Leadsync, store: SqlStore) -> None:
    """Every field with what is shown and wanted, members by their number, a new list as such; one hash."""
    listed = with_members(waiting("1"), "ada", "bob", shown_by=["crm"])
    lance_copy = listed.copies["lance"]
    seen = {**lance_copy.seen, Field.MEMBERS: Seen(None, Stamp(NOW))}
    marked = {name: replace(member, differs=True) for name, member in listed.members.items()}
    listed = replace(listed, members=marked, copies={**listed.copies, "lance": replace(lance_copy, seen=seen)})
    pending = replace(waiting("2").copies["lance"], remote_id="pending:9", seen={})
    [first, second] = put(store, listed, list_of(pending, wanted={NAME: "new"}))
    text, document = leadsync("plan"), leadsync("plan", "--json").json

    rows = [line.split("  ") for line in text.out.splitlines()]
    told = [[word.strip() for word in row if word.strip()] for row in rows]
    assert told[0] == ["list", "copy", "field", "shown", "wanted", "waits for"]
    assert told[1] == [f"{first} B", "lance:1", "name", "A", "B", "review"]
    assert told[2] == [f"{first} B", "lance:1", "members", "+2", "review"]
    assert told[3] == [f"{second} new", "lance (new list)", "name", "–", "new", "review"]
    assert f"2 copies of 2 lists; to send exactly this: leadsync apply {document['hash'][:12]}" in text.out
    assert text.status == 0
    one, two = document["items"]
    assert {
        "list_id": first,
        "remote": "lance",
        "id": "1",
        "action": "patch",
        "waits_for": "review",
    }.items() <= one.items()
    assert {"name": {"shown": "A", "wanted": "B"}} == one["fields"]
    assert {"count": 2, "first": ["ada", "bob"]} == one["members_added"]
    assert ("create", None, False) == (two["action"], document["next"], two["in_flight"])


def test_plans_of_one_remote_or_of_some_lists(leadsync: Leadsync, store: SqlStore) -> None:
    """Each has a hash of its own; an unknown remote is wrong usage."""
    numbers = put(store, *(waiting(str(n)) for n in range(3)))
    first = leadsync("plan", "--limit", "2", "--json").json
    rest = leadsync("plan", "--limit", "2", "--after", first["next"], "--json").json
    assert [[one["list_id"] for one in page["items"]] for page in (first, rest)] == [numbers[:2], numbers[2:]]
    assert rest["next"] is None
    assert f"more: add --after {first['next']}" in leadsync("plan", "--limit", "2").out
    assert leadsync("plan", "--remote", "crm").out == "nothing to send\n"
    wrong = leadsync("plan", "--remote", "lanze")
    assert (2, "") == (wrong.status, wrong.out)
    assert "there is no remote 'lanze'" in wrong.err
    assert leadsync("plan", "--after", "x").status == 2
    assert leadsync("plan", "--limit", "0").status == 2


def test_apply_lets_through_what_was_shown(leadsync: Leadsync, store: SqlStore) -> None:
    """Count first; a second time there is nothing to do; `show` tells who let it through."""
    first, second = put(store, waiting("1"), waiting("2"))
    digits = leadsync("plan", "--json").json["hash"][:12]
    asked = leadsync("apply", digits)
    assert (2, Waiting.REVIEW) == (asked.status, lance(store, first).waiting)
    assert "2 of 2 copies will be sent what the plan showed: add --yes" in asked.err
    done = leadsync("apply", digits, "--yes", "--json")
    assert done.status == 0
    assert (2, {"total": 2, "sending": 2}) == (
        done.json["let_through"],
        {name: number for name, number in done.json["copies"].items() if number},
    )
    assert {lance(store, number).waiting for number in (first, second)} == {Waiting.TURN}
    again = leadsync("apply", digits)
    assert (0, "nothing to do: 0 of 2 copies have what the plan showed, 2 wait\n") == (again.status, again.out)
    shown = leadsync("show", "lance:1", "--json").json
    assert [("approved", f"plan {digits}")] == [(one["kind"], one["new"]) for one in shown["history"]]


def test_what_has_moved_is_named_and_not_sent(leadsync: Leadsync, store: SqlStore) -> None:
    """Base or contents: the list is counted and named, and a person must look; the others go out."""
    first, second, third = put(store, waiting("1"), waiting("2"), waiting("3"))
    digits = leadsync("plan", "--json").json["hash"][:12]
    changed(store, first, seen={NAME: Seen("Z", Stamp(NOW))})

    def edit(tx: Tx) -> None:
        before = tx.load([second])[second]
        tx.save([(before, replace(before, wanted={NAME: Wanted("C", Stamp(NOW), "crm")}))])

    store.run_now(edit)
    done = leadsync("apply", digits, "--yes")
    assert done.status == 3
    assert "let through 1 of 3 copies; 0 have what the plan showed" in done.out
    assert "2 lists moved since: lance:1, lance:2; look again: leadsync plan" in done.out
    assert [lance(store, number).waiting for number in (first, second, third)] == [
        Waiting.REVIEW,
        Waiting.REVIEW,
        Waiting.TURN,
    ]


def test_waiting_ends_when_a_person_is_needed(leadsync: Leadsync, store: SqlStore) -> None:
    """Nobody waits for a parked copy, or for a remote that is paused."""
    first, _ = put(store, waiting("1"), waiting("2"))
    digits = leadsync("plan", "--json").json["hash"][:12]
    leadsync("pause", "lance")
    changed(store, first, standing=Standing.PARKED, waiting=None, parked=Parked("no", "look", ""))
    done = leadsync("apply", digits, "--yes", "--wait")
    assert done.status == 3
    assert "1 list parked: lance:1; see: leadsync parked list" in done.out
    assert "1 list held up by a paused remote: lance:2; see: leadsync status" in done.out


@pytest.mark.usefixtures("store")
def test_an_unknown_plan(leadsync: Leadsync) -> None:
    """One sentence that says how to get one, and exit status 1."""
    for digits in ("0" * 12, "x", "0" * 64):
        ran = leadsync("apply", digits)
        assert (1, "") == (ran.status, ran.out)
        assert f"leadsync: leadsync knows no plan {digits}" in ran.err
        assert ran.err.endswith("leadsync plan\n")


def test_review_is_counted_and_explained(leadsync: Leadsync, store: SqlStore) -> None:
    """`status` says how many copies wait for a person, `show` what that person can do."""
    put(store, waiting("1"))
    assert {"review": 1} == leadsync("status", "--json").json["due_by_reason"]
    shown = leadsync("show", "lance:1")
    assert "leadsync plan" in shown.out
    assert "leadsync apply HASH" in shown.out
