"""Members in API and pages: the same documents, nothing of theirs is obeyed, and a page that says who is excluded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest

from models.lead_list import Field, LeadList, Member, Presence, Seen, Standing
from models.person import Person
from tests.support.desk import Desk, desk_at
from tests.support.heart import at, copy_of, list_of
from tests.support.web import Browser, serving
from worker.settings import Settings
from worker.sync.learning import learn
from worker.wiring import Runtime

ODD = ["a/b", "<script>alert(1)</script>", "ü ☃", "a%2Fb", "?x=1#y", "'; --", "..", "x" * 512]
WHY = "no id on instantly is known"


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    """With three remotes that are never called; members flow to Instantly."""
    with desk_at(database_url, redis_url, "crm", "lance", "instantly") as desk:
        yield desk


@pytest.fixture
def web(desk: Desk) -> Iterator[Browser]:
    """A server over the same database, on this machine and without a password."""
    settings = desk.runtime.settings.model_dump()
    settings["remotes"]["instantly"]["fields"] = {"members": "both"}
    with serving(Runtime(Settings.model_validate(settings), desk.runtime.redis_url)) as port:
        yield Browser(port)


def excluding(*keys: str, remote_id: str = "1") -> LeadList:
    """Members that the CRM shows and that Instantly cannot be told of."""
    floor = {Field.MEMBERS: Seen(None, at(0))}
    crm = replace(copy_of("crm"), remote_id=remote_id, seen=floor)
    there = replace(copy_of("instantly"), remote_id=remote_id, seen=floor, standing=Standing.EXCLUDED)
    shown = {"crm": Presence(True, at(0))}
    members = {key: Member(wanted=True, seen=shown, excluded={"instantly": WHY}) for key in keys}
    return replace(list_of(crm, replace(there, excluded=len(keys))), members=members)


def test_the_api_pages_through_members(desk: Desk, web: Browser) -> None:
    """Each once, with what the command shows; ids and keys may hold anything."""
    desk.put(excluding(*ODD), excluding("p1", remote_id="a/b ü"))
    found, after = list[str](), ""
    while True:
        page = web.get(f"/api/v1/members/crm/1?excluded=true&on=instantly&limit=3{after}").json
        assert all({"instantly": WHY} == one["excluded"] and ["crm"] == one["shown_by"] for one in page["items"])
        found += [one["key"] for one in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={quote(page['next'], safe='')}"
    assert (sorted(ODD), len(ODD)) == (sorted(found), len(found))
    assert ["p1"] == [one["key"] for one in web.get(f"/api/v1/members/crm/{quote('a/b ü', safe='')}").json["items"]]
    for key in ODD:
        one = web.get(f"/api/v1/member/{quote(key, safe='')}").json
        assert (key, [{"crm": "1", "instantly": "1"}]) == (one["key"], [on["copies"] for on in one["lists"]])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/members/crm/9", 404),
        ("/members/crm/1?on=lance", 409),
        ("/members/crm/1?excluded=perhaps", 422),
        ("/members/crm/1?limit=0", 422),
        ("/members/crm/1?after=%00", 422),
        ("/members/crm/1?wanted=true", 422),
        ("/member/nobody", 404),
        ("/member/p%00", 422),
        ("/member/p1?lists=0", 422),
    ],
)
def test_questions_that_cannot_be_meant(desk: Desk, web: Browser, path: str, status: int) -> None:
    """One sentence, and the status that says whose fault it is."""
    desk.put(excluding("p1"))
    reply = web.get(f"/api/v1{path}")
    assert status == reply.status
    assert reply.error


def test_the_page_of_a_list_says_who_is_excluded(desk: Desk, web: Browser) -> None:
    """By reason, twenty by name, and the command that lists all; markup in an id stays text."""
    desk.put(excluding(*(f"q{n:03}" for n in range(1_500)), "<b>bold"))
    text = web.get("/list?copy=crm%3A1").text
    assert "1\N{NARROW NO-BREAK SPACE}501 that it cannot be told of" in text
    assert "and 1\N{NARROW NO-BREAK SPACE}481 more" in text
    assert "leadsync members list instantly:1 --excluded" in text
    assert "&lt;b&gt;bold" in text
    assert "<b>bold" not in text
    assert "excluded members" in web.get("/").text


def test_addresses_are_shown_where_they_are_asked_for_only(desk: Desk, web: Browser) -> None:
    """Lists and their members are told by key."""
    desk.put(excluding("p1"))
    ann = Person(id="p1", email="ann@example.com", first_name="Ann")
    desk.runtime.store.run_now(lambda tx: learn(tx, "crm", [ann], desk.runtime.registry.rules))
    assert ["ann@example.com"] == web.get("/api/v1/member/p1").json["emails"]
    for path in ("/api/v1/members/crm/1", "/api/v1/lists/crm/1", "/list?copy=crm%3A1"):
        assert "ann@" not in web.get(path).text
