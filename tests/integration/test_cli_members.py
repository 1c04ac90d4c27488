"""`leadsync members import`, `list` and `show`: what they print, how they end, on both databases."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from models.lead_list import Field, LeadList, Member, Presence, Standing, Value, Waiting
from models.person import Person
from tests.support.commands import Command, Leadsync, put
from tests.support.heart import at, copy_of, list_of, with_members
from worker.remotes.registry import Registry
from worker.settings import load_settings
from worker.store.sql import SqlStore
from worker.sync.learning import learn

NO_LANCE, NO_EMAIL = "no id on lance is known", "no e-mail address of its own is known"


@pytest.fixture
def leadsync(command: Command) -> Leadsync:
    """The command; members flow everywhere, and no remote is ever called."""
    both = {f"LEADSYNC_REMOTES__{name}__FIELDS__MEMBERS": "both" for name in ("INSTANTLY", "LANCE")}
    return command("crm", "instantly", "lance", **both)


def shown_by(*remotes: str, wanted: bool = True, **excluded: str) -> Member:
    """A member that these remotes show."""
    return Member(wanted, {remote: Presence(True, at(0)) for remote in remotes}, excluded=excluded)


def listed(remote_id: str, members: dict[str, Member], *remotes: str) -> LeadList:
    """A list with these members on these remotes; Lance's copy counts whom it cannot be told of."""
    copies = []
    for remote in remotes or ("crm", "lance"):
        count = sum(remote in one.excluded for one in members.values())
        standing = Standing.EXCLUDED if count else Standing.IN_SYNC
        copies.append(
            replace(copy_of(remote, {Field.NAME: "Berlin"}), remote_id=remote_id, excluded=count, standing=standing)
        )
    known = with_members(list_of(*copies, wanted={Field.NAME: "Berlin"}), shown_by=remotes or ("crm", "lance"))
    return replace(known, members=members)


MEMBERS = {
    "p1": shown_by("crm", "lance"),
    "p2": shown_by("crm", lance=NO_LANCE),
    "p3": shown_by("crm", lance="invalid e-mail address"),
    "p4": shown_by("lance", wanted=False),
    "p5": Member(wanted=False, seen={"crm": Presence(False, at(0))}),  # gone everywhere
    "~lance:l9": shown_by("lance", crm="no id on crm is known"),
}


def pages(leadsync: Leadsync, *argv: str) -> list[list[str]]:
    """Keys on all pages."""
    found, after = list[list[str]](), list[str]()
    while True:
        page = leadsync("members", "list", *argv, "--json", *after).json
        found.append([one["key"] for one in page["items"]])
        if page["next"] is None:
            return found
        after = ["--after", page["next"]]


def test_members_of_a_list_come_in_pages(leadsync: Leadsync, store: SqlStore) -> None:
    """Every one once; those that are neither wanted nor shown are none."""
    put(store, listed("1", MEMBERS), listed("2", {"other": shown_by("crm")}))
    everyone = {"p1", "p2", "p3", "p4", "~lance:l9"}
    for limit in ("1", "2", "5", "50"):
        found = pages(leadsync, "crm:1", "--limit", limit)
        assert everyone == {key for page in found for key in page}
        assert len(everyone) == sum(map(len, found))
    assert [["p1", "p4", "~lance:l9"]] == [sorted(page) for page in pages(leadsync, "lance:1", "--on", "lance")]
    assert {"p2", "p3", "~lance:l9"} == {
        key for page in pages(leadsync, "crm:1", "--excluded", "--limit", "1") for key in page
    }
    assert [["p2", "p3"]] == pages(leadsync, "crm:1", "--excluded", "--on", "lance")
    assert [[]] == pages(leadsync, "crm:2", "--excluded")


def test_a_line_says_wanted_shown_and_excluded(leadsync: Leadsync, store: SqlStore) -> None:
    """And the way to the next page."""
    put(store, listed("1", MEMBERS))
    ran = leadsync("members", "list", "crm:1", "--limit", "2")
    assert 0 == ran.status
    rows = [line.split("  ") for line in ran.out.splitlines()]
    assert ["member", "wanted", "shown by", "excluded from"] == [cell for cell in rows[0] if cell]
    assert "lance: no id on lance is known" in ran.out
    assert "more: add --after" in ran.out
    first = leadsync("members", "list", "crm:1", "--limit", "1", "--excluded", "--on", "lance", "--json").json
    excluded = {"key": "p2", "wanted": True, "shown_by": ["crm"], "excluded": {"lance": NO_LANCE}}
    assert {"items": [excluded], "next": "p2"} == first


def test_one_member_is_told_whole(leadsync: Leadsync, store: SqlStore) -> None:
    """Ids, addresses, names, lists."""
    put(store, listed("1", MEMBERS), listed("2", {"p2": shown_by("crm")}, "crm"))
    people = [Person(id="p2", email="Ann@Example.com", first_name="Ann", ids={"lance": "l2"})]
    people.append(replace(people[0], email="ann.new@example.com", first_name=None, last_name="Fake"))
    rules = Registry(load_settings()).rules
    for one in people:
        store.run_now(partial(learn, remote="crm", people=[one], rules=rules))
    found = leadsync("members", "show", "p2", "--json").json
    assert ({"lance": ["l2"]}, ["ann@example.com", "ann.new@example.com"]) == (found["ids"], found["emails"])
    assert ("Ann", "Fake", None, True) == tuple(
        found[name] for name in ("first_name", "last_name", "company_name", "named")
    )
    assert [{"crm": "1", "lance": "1"}, {"crm": "2"}] == [one["copies"] for one in found["lists"]]
    assert {"lance": NO_LANCE} == found["lists"][0]["member"]["excluded"]
    told = leadsync("members", "show", "p2", "--limit", "1")
    assert "ann.new@example.com" in told.out
    assert "it is on more lists: add --limit" in told.out
    assert "the CRM has not named it yet" in leadsync("members", "show", "~lance:l9").out


FILE = "key;email;lance\np2;Ann@example.com;l2\np3;;\n;x@example.com;\np4;no-address;l4\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_is_taken_in_but_for_what_is_refused(
    leadsync: Leadsync, store: SqlStore, tmp_path: Path, encoding: str
) -> None:
    """Exit 3 and lines; who was excluded may be told of, so that list is due. Nobody's address is printed."""
    put(store, listed("1", MEMBERS))
    (tmp_path / "people.csv").write_text(FILE, encoding)
    checked = leadsync("members", "import", "people.csv", "--dry-run", "--json")
    assert 3 == checked.status
    assert {"dry_run": True, "rows": 4, "members": 1, "lists": None, "refused": 3} == {
        name: value for name, value in checked.json.items() if name != "first"
    }
    assert 2 == leadsync("status", "--json").json["remotes"]["lance"]["excluded_members"]

    ran = leadsync("members", "import", "people.csv")
    assert 3 == ran.status
    lines = ran.out.splitlines()
    assert [
        "rows read: 4",
        "members with an id or an address that is new: 1",
        "lists that move on by it: 1",
        "rows refused, or not wholly taken in: 3",
    ] == lines[:4]
    assert [
        "    line 3: expected something beside the key",
        "    line 4: key: expected the CRM's id, it is empty",
        "    line 5: email: expected an address with an @, as in name@example.com",
    ] == lines[4:]
    assert "Ann" not in ran.out + ran.err
    shown = leadsync("show", "crm:1", "--json").json["copies"]["lance"]
    assert (["p2"], 1) == (shown["would_send"]["members_added"]["first"], shown["members_excluded"]["count"])
    [audited] = leadsync("audit", "list", "--json").json["items"]
    assert ("members import", "crm", {"rows": 4, "members": 1, "lists": 1, "refused": 3}) == (
        audited["what"],
        audited["target"],
        audited["after"],
    )


def test_a_file_comes_by_standard_input(
    leadsync: Leadsync, store: SqlStore, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """A push of those who can be told now is rung for."""
    import redis

    put(store, listed("1", MEMBERS))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"key,lance\r\np2,l2\r\n")))
    ran = leadsync("members", "import", "-", "--json")
    assert (0, 1, []) == (ran.status, ran.json["members"], ran.json["first"])
    with redis.Redis.from_url(redis_url) as client:
        keys: Any = client.keys("leadsync:bell:*")
        assert any(b"lance" in key for key in keys)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (b"key,emial\np1,x@y\n", "people.csv, line 1: unknown column 'emial'; did you mean email?"),
        (b"", "people.csv: expected titles in the first line"),
        (b"\xff\xfek\0e\0y\0,\0e\0m\0a\0i\0l\0\n\0", "this is no text in UTF-8; export it as CSV in UTF-8"),
        (None, "people.csv: No such file or directory"),
    ],
)
def test_files_that_cannot_be_meant(
    leadsync: Leadsync, store: SqlStore, tmp_path: Path, contents: bytes | None, says: str
) -> None:
    """One sentence, exit 2."""
    del store  # with its schema
    if contents is not None:
        (tmp_path / "people.csv").write_bytes(contents)
    ran = leadsync("members", "import", "people.csv")
    assert (2, "") == (ran.status, ran.out)
    assert says in ran.err
    assert 1 == len(ran.err.splitlines())


@pytest.mark.parametrize(
    ("argv", "status", "says"),
    [
        (("list", "crm:9"), 1, "leadsync knows no list crm:9"),
        (("list", "crm"), 2, "expected REMOTE:ID"),
        (("list", "crm:1", "--on", "instantly"), 1, "this list has no copy on instantly; it has copies on crm, lance"),
        (("list", "crm:1", "--after", "\udcff"), 2, "--after: expected the cursor"),
        (("show", "nobody"), 1, "leadsync knows no member nobody"),
        (("show", ""), 2, "expected a member's key"),
        (("show", "\udcff"), 2, "expected a member's key"),
    ],
)
def test_questions_that_cannot_be_meant(
    leadsync: Leadsync, store: SqlStore, argv: tuple[str, ...], status: int, says: str
) -> None:
    """One sentence each."""
    put(store, listed("1", MEMBERS))
    ran = leadsync("members", *argv)
    assert (status, "") == (ran.status, ran.out)
    assert says in ran.err


def test_show_counts_who_is_excluded_by_reason(leadsync: Leadsync, store: SqlStore) -> None:
    """The first twenty by name, the reason as a sentence, and the command that lists all of them."""
    many = {f"q{n:02}": shown_by("crm", lance=NO_LANCE) for n in range(25)}
    put(store, listed("1", {**MEMBERS, **many}))
    found = leadsync("show", "crm:1", "--json").json["copies"]["lance"]
    excluded = found["members_excluded"]
    assert (27, {NO_LANCE: 26, "invalid e-mail address": 1}) == (excluded["count"], excluded["reasons"])
    assert 20 == len(excluded["first"])
    assert (
        "27 members are wanted that lance cannot be told of; next: leadsync members list lance:1 --excluded"
        in (found["explained"]["members"])
    )
    text = leadsync("show", "crm:1").out
    assert "members that are wanted and that it cannot be told of: 27" in text
    assert "1 (p3): invalid e-mail address" in text
    assert "excluded members" in leadsync("status").out


def test_a_plan_lets_through_what_the_brake_of_enrichments_holds(leadsync: Leadsync, store: SqlStore) -> None:
    """`show` names the step, `plan` shows it, `apply` does it, and afterwards nothing needs a person."""
    members = {f"p{n:02}": shown_by("crm") for n in range(11)}
    lead_list = replace(listed("1", members, "crm", "instantly"), id=0)
    fields: dict[Field, Value] = {Field.NAME: "Berlin", Field.ENRICHMENT: True, Field.MEMBERS: None}
    instantly = replace(copy_of("instantly", fields), remote_id="1")
    waiting = replace(instantly, standing=Standing.DUE, waiting=Waiting.BRAKE, since=at(0).time)
    differing = {key: replace(one, differs=True) for key, one in members.items()}
    put(store, replace(lead_list, members=differing, copies={**lead_list.copies, "instantly": waiting}))

    shown = leadsync("show", "crm:1")
    assert 3 == shown.status
    assert "leadsync plan --remote instantly, then leadsync apply HASH" in shown.out
    assert {"brake": 1} == leadsync("status", "--json").json["due_by_reason"]
    assert [] == leadsync("conflicts", "list", "--json").json["items"]
    planned = leadsync("plan", "--remote", "instantly", "--json").json
    assert ("brake", 11) == (planned["items"][0]["waits_for"], planned["items"][0]["members_added"]["count"])
    applied = leadsync("apply", planned["hash"][:12], "--yes", "--json")
    assert (0, 1) == (applied.status, applied.json["let_through"])
    assert {"turn": 1} == leadsync("status", "--json").json["due_by_reason"]
    assert 0 == leadsync("show", "crm:1").status


def test_doctor_tells_how_many_are_excluded(leadsync: Leadsync, store: SqlStore) -> None:
    """That is nothing bad."""
    put(store, listed("1", MEMBERS), listed("2", MEMBERS))
    [found] = [one for one in leadsync("doctor", "--json").json["checks"] if one["name"] == "members"]
    assert ("ok", "excluded where no id is known, or they were refused: 2 on crm, 4 on lance") == (
        found["result"],
        found["says"],
    )
