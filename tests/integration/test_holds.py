"""Lists that people hold, as commands, API and numbers tell of them: the same words everywhere."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from models.lead_list import WHOLE, Field, Hold, LeadList, Seen, Stamp, Standing, Waiting, Wanted
from tests.support.commands import Command, Leadsync, put
from tests.support.desk import NOW, Desk, desk_at, standing_copy
from tests.support.web import Browser, Reply, serving
from worker.celery_app import TaskName
from worker.documents.alerts import judge
from worker.documents.metrics import exposition, samples
from worker.documents.overview import overview
from worker.settings import AlertSettings, Settings
from worker.store.sql import SqlStore
from worker.wiring import Runtime

TOKEN = "token-of-sixteen-characters"
LONG_AGO = NOW - timedelta(days=3)


def listed(number: str, *, holds: dict[str, Hold] | None = None, waiting: Waiting = Waiting.TURN) -> LeadList:
    """A list on two remotes; it was edited on the CRM."""
    wanted = {Field.NAME: Wanted("new", Stamp(NOW), "crm")}
    crm = standing_copy("crm", number, Standing.IN_SYNC, seen={Field.NAME: Seen("new", Stamp(NOW))})
    lance = standing_copy("lance", number, Standing.DUE, waiting, seen={Field.NAME: Seen("old", Stamp(NOW))})
    if waiting is Waiting.HOLD:
        lance = replace(lance, due_at=None, since=LONG_AGO)
    return LeadList(wanted=wanted, copies={"crm": crm, "lance": lance}, holds=holds or {})


def held(number: str, *, remote: str = WHOLE, who: str = "cli:ada") -> LeadList:
    """The same, held for days."""
    return listed(number, holds={remote: Hold(who, LONG_AGO)}, waiting=Waiting.HOLD)


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    """Two remotes that are never called."""
    with desk_at(database_url, redis_url, "crm", "lance") as desk:
        yield desk


@pytest.fixture
def api(desk: Desk, redis_url: str) -> Iterator[Browser]:
    """A program that asks, as an operator."""
    settings = desk.runtime.settings.model_dump()
    settings["web"]["api_token"] = TOKEN
    with serving(Runtime(Settings.model_validate(settings), redis_url)) as port:
        yield Browser(port, headers={"authorization": f"Bearer {TOKEN}"})


def act(api: Browser, path: str, **body: Any) -> Reply:
    """An action on lists."""
    return api.act(f"/api/v1/lists/{path}", body)


# -- what is told


def test_a_held_list_says_who_holds_it_since_when_and_how_to_go_on(desk: Desk) -> None:
    """For each copy, for each field that waits, and in the list of lists."""
    desk.put(held("1"), held("o'2", remote="lance"), listed("3"))
    since = f"{LONG_AGO:%Y-%m-%d %H:%M:%S}Z"
    one, alone = desk.show("crm", "1"), desk.show("crm", "o'2")

    assert [(hold.remote, hold.who) for hold in one.holds] == [(None, "cli:ada")]
    assert one.next_step == f"held by cli:ada since {since}: leadsync release crm:1"
    assert {copy.cause for copy in one.copies.values()} == {None}  # said once, of the list
    name = shlex.quote("lance:o'2")
    assert (alone.copies["lance"].cause, alone.next_step) == (f"held by cli:ada since {since}", None)
    assert alone.copies["lance"].next_step == f"leadsync release {name} --copy"
    said = "differs; waiting for its release: held by cli:ada since {}; next: leadsync release {}"
    assert one.copies["lance"].explained["name"] == said.format(since, "lance:1")
    assert alone.copies["lance"].explained["name"] == said.format(since, f"{name} --copy")
    assert (alone.copies["crm"].cause, alone.holds[0].remote) == (None, "lance")
    assert not one.needs_a_person
    steps = [line.next_step for line in desk.lists()]
    assert steps == [
        f"held by cli:ada since {since}: leadsync release crm:1",
        f"its copy on lance is held by cli:ada since {since}: leadsync release {name} --copy",
        None,
    ]


def test_held_copies_are_counted_once_and_are_not_late(desk: Desk) -> None:
    """The numbers add up; age, alerts and staleness leave them out."""
    desk.put(held("1"), listed("2"))
    found = desk.status()
    assert found.due_by_reason == {"on hold": 1, "turn": 1}
    assert (found.copies.total, found.copies.due, found.copies.in_sync) == (4, 2, 2)
    assert (found.oldest_unsynced_s or 0) < 3_600
    assert not found.needs_a_person
    seen = desk.runtime.run(overview(desk.runtime, desk.views))
    assert not [one.says for one in judge(seen, AlertSettings()) if one.bad and one.about == "lance"]
    told = exposition(samples(seen))
    assert 'leadsync_due_copies{remote="lance",reason="on hold"} 1' in told
    [stale] = [line for line in told.splitlines() if line.startswith('leadsync_staleness_seconds{remote="lance"}')]
    assert float(stale.split()[-1]) < 3_600


# -- the API


def test_lists_are_held_and_released(api: Browser, desk: Desk) -> None:
    """By name, one copy or all; a worker is rung for; the audit says who, what, before and after."""
    desk.put(listed("1"), listed("2"), listed("3"))
    assert act(api, "hold", copies=["crm:1", "lance:1", "lance:2"]).json == {"matched": 3, "moved": 2}
    assert act(api, "hold", copies=["lance:3"], alone=True).json == {"matched": 1, "moved": 1}
    names = [one["copies"]["crm"]["id"] for one in api.get("/api/v1/lists?on_hold=true").json["items"]]
    assert names == ["1", "2", "3"]
    assert {one["waiting"] for one in api.get("/api/v1/lists/crm/1").json["copies"].values()} == {None, "on hold"}
    assert api.get("/api/v1/plan").json["items"] == []

    assert act(api, "release", copies=["crm:1"]).json == {"matched": 1, "moved": 1}
    assert f"leadsync:bell:{TaskName.PUSH.value}:lance".encode() in set(desk.runtime.bells.keys("leadsync:bell:*"))
    assert act(api, "release", copies=["lance:2"], alone=True).status == 409
    assert act(api, "release", all=True).json == {"matched": 2, "moved": 2}
    assert api.get("/api/v1/lists?on_hold=true").json["items"] == []
    audit = [(one["who"], one["what"], one["target"]) for one in reversed(api.get("/api/v1/audit").json["items"])]
    assert {who for who, _, _ in audit} == {"operator 127.0.0.1"}
    assert [what for _, what, _ in audit] == ["hold", "hold", "hold", "release", "release", "release"]


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("hold", {}, 422, "copies: this is needed and is not there"),
        ("hold", {"copies": []}, 422, "copies: List should have at least 1 item"),
        ("hold", {"copies": ["crm"]}, 400, "expected REMOTE:ID such as crm:17"),
        ("hold", {"copies": ["crm:1", "crm:nope"]}, 404, "leadsync knows no list crm:nope"),
        ("hold", {"copies": ["crm:1"], "alone": 1}, 422, "alone: Input should be a valid boolean"),
        ("release", {}, 422, "body: say which: copies, or all"),
        ("release", {"all": True, "copies": ["crm:1"]}, 422, "body: say which"),
        ("release", {"all": True, "alone": True}, 422, "body: say which"),
        ("release", {"copies": ["crm:nope"]}, 404, "leadsync knows no list crm:nope"),
    ],
)
def test_each_mistake_has_one_sentence(
    api: Browser, desk: Desk, path: str, body: dict[str, Any], status: int, sentence: str
) -> None:
    """And nothing was done."""
    desk.put(listed("1"))
    said = act(api, path, **body)
    assert (said.status, said.error.startswith(sentence)) == (status, True), said.error
    assert desk.show("crm", "1").holds == []


# -- the pages


def test_pages_hold_by_forms_of_the_session_and_show_any_name_as_text(desk: Desk, redis_url: str) -> None:
    """A forged form and an unknown list change nothing; whoever a proxy names stands there letter for letter."""
    desk.put(listed("1"))
    settings = desk.runtime.settings.model_dump()
    settings["web"] |= {"trusted_proxy": ["127.0.0.1"], "password": "open sesame"}
    ada = {"x-forwarded-for": "127.0.0.1", "x-forwarded-user": "<script>ada</script>"}
    with serving(Runtime(Settings.model_validate(settings), redis_url)) as port:
        web = Browser(port, headers=ada)
        assert web.form("/login", password="open sesame").status == 303
        token = web.get("/api/v1/me").json["csrf_token"]
        assert web.form("/list/hold", copy="crm:1").status == 403
        assert web.form("/list/hold", csrf_token=token, copy="crm:nope").status == 404
        assert desk.show("crm", "1").holds == []
        done = web.form("/list/hold", csrf_token=token, copy="crm:1", back="/list?copy=crm:1")
        page = web.get(done.headers["location"]).text
        waiting = web.get("/waiting").text
        cursor = web.get("/waiting?held=x")
        web.form("/list/release", csrf_token=token, copy="crm:1")
    for text in (page, waiting):
        assert "&lt;script&gt;ada&lt;/script&gt;" in text
        assert "<script>ada" not in text
    assert "It is on hold: nothing is written there" in page
    assert (cursor.status, "--after" in cursor.text) == (400, False)  # a page has no options
    assert desk.show("crm", "1").holds == []


# -- the commands


@pytest.fixture
def leadsync(command: Command) -> Leadsync:
    """The command."""
    return command("crm", "lance")


def test_commands_hold_and_release(leadsync: Leadsync, store: SqlStore) -> None:
    """They say what to do next, and `--json` counts."""
    put(store, listed("1"), listed("2"))
    done = leadsync("hold", "crm:1", "crm:2")
    assert (done.status, done.out) == (0, "2 lists held; to go on: leadsync release crm:1 crm:2\n")
    assert leadsync("hold", "crm:1", "--json").json == {"matched": 1, "moved": 0}
    assert "due (on hold)" in leadsync("show", "lance:1").out
    assert "waiting for its release: held by cli:" in leadsync("show", "lance:1").out
    assert leadsync("status").out.count("2 on hold") == 1
    shown = leadsync("lists", "--on-hold")
    assert (shown.status, shown.out.count("leadsync release crm:")) == (0, 2)

    assert leadsync("release", "crm:1").out == "1 list released\n"
    refused = leadsync("release", "lance:2", "--copy")
    assert (refused.status, "the whole list of lance:2 is held" in refused.err) == (1, True)
    assert leadsync("release", "--all", "--json").json == {"matched": 1, "moved": 1}
    assert leadsync("release", "crm:1").out == "nobody held them\n"
    assert leadsync("hold", "lance:1", "--copy").out == "1 copy held; to go on: leadsync release lance:1 --copy\n"
    assert leadsync("release", "lance:1", "--copy", "--json").json == {"matched": 1, "moved": 1}


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("release",), 2, "say which: REMOTE:ID of some lists, or --all"),
        (("release", "--all", "crm:1"), 2, "say which"),
        (("release", "--all", "--copy"), 2, "say which"),
        (("hold", "crm:nope"), 1, "leadsync knows no list crm:nope"),
        (("hold", "crm"), 2, "expected REMOTE:ID such as crm:17, got 'crm'"),
    ],
)
def test_commands_refuse_what_makes_no_sense(
    leadsync: Leadsync, store: SqlStore, words: tuple[str, ...], status: int, sentence: str
) -> None:
    """One sentence, and an exit status."""
    put(store, listed("1"))
    ran = leadsync(*words)
    assert (ran.status, sentence in ran.err) == (status, True), ran.err


def test_releasing_all_of_many_asks_first(leadsync: Leadsync, store: SqlStore) -> None:
    """A script says --yes."""
    put(store, held("1"), held("2"))
    refused = leadsync("release", "--all")
    assert (refused.status, "2 lists will be released: add --yes" in refused.err) == (2, True)
    assert leadsync("release", "--all", "--yes").out == "2 lists released\n"
