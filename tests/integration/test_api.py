"""The JSON API over real HTTP: the documents of the commands, actions with their audit, a sentence for all else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from models.lead_list import Copy, Field, LeadList, Seen, Stamp, Standing, Waiting, Wanted
from models.scan import ScanState, Trigger
from tests.support.desk import NOW, Desk, desk_at, standing_copy
from tests.support.web import Browser, Reply, serving
from worker.celery_app import TaskName
from worker.ports import Reject
from worker.settings import Settings
from worker.wiring import Runtime

TOKEN = "token-of-sixteen-characters"
ODD = ["a/b", "a//b/", "ü ☃", "a%2Fb", "?x=1#y", "<script>", "'; --", "a:b", "..", "a\tb", "a\nb\n", "x" * 512]


@dataclass
class Office:
    """A server, what is in its database, and a program that asks."""

    desk: Desk
    api: Browser

    def get(self, path: str, **headers: str | None) -> Reply:
        """A document."""
        return self.api.get(f"/api/v1{path}", **headers)

    def post(self, path: str, body: Any = None) -> Reply:
        """An action."""
        return self.api.act(f"/api/v1{path}", body)

    def audit(self) -> list[tuple[Any, ...]]:
        """What people did, oldest first."""
        items = self.get("/audit").json["items"]
        return [(one["what"], one["target"], one["before"], one["after"]) for one in reversed(items)]

    def standing(self, remote: str, id: str) -> str:
        """How that copy stands."""
        return str(self.get(f"/lists/{remote}/{quote(id, safe='')}").json["copies"][remote]["standing"])

    def bells(self) -> set[str]:
        """What was rung for."""
        keys: Any = self.desk.runtime.bells.keys("leadsync:bell:*")
        return {key.decode().removeprefix("leadsync:bell:") for key in keys}


@pytest.fixture
def office(database_url: str, redis_url: str) -> Iterator[Office]:
    """With three remotes that are never called."""
    names = ("crm", "lance", "instantly")
    with desk_at(database_url, redis_url, *names) as desk, serving(Runtime(_with_token(desk), redis_url)) as port:
        yield Office(desk, Browser(port, headers={"authorization": f"Bearer {TOKEN}"}))


def _with_token(desk: Desk) -> Settings:
    settings = desk.runtime.settings.model_dump()
    settings["web"]["api_token"] = TOKEN
    settings["sync"]["conflicts"] = {"name": "hold"}
    return Settings.model_validate(settings)


def named(name: str, *copies: Copy) -> LeadList:
    """A list of that name."""
    wanted = {Field.NAME: Wanted(name, Stamp(NOW), "crm")}
    return LeadList(id=0, wanted=wanted, copies={copy.remote: copy for copy in copies})


def parked(remote: str, id: str) -> Copy:
    """A copy that only a person can move on."""
    return standing_copy(remote, id, Standing.PARKED)


def held(id: str) -> LeadList:
    """A list whose name was edited on two sides."""
    crm = standing_copy("crm", id, Standing.IN_SYNC, seen={Field.NAME: Seen("ours", Stamp(NOW))})
    theirs = Seen("theirs", Stamp(NOW))
    seen = {Field.NAME: theirs}
    return named("ours", crm, standing_copy("lance", id, Standing.CONFLICT, seen=seen, held=dict(seen)))


def test_documents_are_those_of_the_commands(office: Office) -> None:
    """Made by the same functions; a list has items and a cursor."""
    office.desk.put(named("A", parked("crm", "1")), named("B", standing_copy("crm", "2", Standing.IN_SYNC)))

    assert {"crm", "lance", "instantly"} == set(office.get("/status").json["remotes"])
    assert orjson.loads(orjson.dumps(office.desk.show("crm", "1"))) == office.get("/lists/crm/1").json
    assert orjson.loads(orjson.dumps(office.desk.lists())) == office.get("/lists").json["items"]
    for path in ("/parked", "/conflicts", "/rejects", "/scans", "/audit", "/plan"):
        assert {"items", "next"} <= set(office.get(path).json)
    assert {"ok", "checks"} == set(office.get("/doctor").json)
    me = office.get("/me").json
    assert ("operator 127.0.0.1", "operator", None) == (me["name"], me["role"], me["csrf_token"])


def test_lists_are_filtered_and_come_in_pages(office: Office) -> None:
    """Every one once, whatever the size of a page."""
    office.desk.put(*(named(f"List {n}", standing_copy("crm", str(n), Standing.IN_SYNC)) for n in range(7)))
    office.desk.put(named("Parked", parked("crm", "p")))
    names, after = list[str](), ""
    while True:
        page = office.get(f"/lists?limit=3{after}").json
        names += [one["name"] for one in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert [*(f"List {n}" for n in range(7)), "Parked"] == names
    assert ["Parked"] == [one["name"] for one in office.get("/lists?standing=parked&standing=due").json["items"]]
    assert ["crm answered 422"] == [one["cause"] for one in office.get("/parked?cause=422").json["items"]]
    assert [] == office.get("/parked?remote=lance").json["items"]


@pytest.mark.parametrize("id", ODD)
def test_any_id_can_be_asked_for(office: Office, id: str) -> None:
    """Percent-encoded, slashes too; and moved by its name in a body."""
    office.desk.put(named("A", parked("crm", id)))
    if id != "..":  # which clients take for "the folder above", encoded or not
        assert id == office.get(f"/lists/crm/{quote(id, safe='')}").json["copies"]["crm"]["id"]
    assert {"matched": 1, "moved": 1} == office.post("/parked/retry", {"copies": [f"crm:{id}"]}).json
    assert f"crm:{id}" == office.audit()[0][1]


def test_parked_copies_are_retried_and_discarded(office: Office) -> None:
    """By name or filter; a worker is rung for, and the audit says what was before and after."""
    [first, second] = office.desk.put(named("A", parked("crm", "1")), named("B", parked("lance", "2")))
    assert {"matched": 1, "moved": 1} == office.post("/parked/retry", {"copies": ["crm:1"]}).json
    assert "due" == office.standing("crm", "1")
    assert {f"{TaskName.PUSH.value}:crm"} == office.bells()
    assert {"matched": 1, "moved": 1} == office.post("/parked/discard", {"all": True}).json
    assert [] == office.get("/parked").json["items"]
    assert {"matched": 0, "moved": 0} == office.post("/parked/retry", {"remote": "lance"}).json
    assert 409 == office.post("/parked/retry", {"copies": ["crm:1"]}).status
    before = {"standing": "parked", "cause": "crm answered 422"}
    assert [
        ("parked retry", "crm:1", {"list_id": first, **before}, {"standing": "due"}),
        ("parked discard", "lance:2", {"list_id": second, **before}, {}),
    ] == office.audit()


def test_conflicts_are_resolved(office: Office) -> None:
    """One field of one list, or all that match."""
    office.desk.put(held("1"), held("2"), held("3"))
    assert ["name"] * 3 == [one["field"] for one in office.get("/conflicts").json["items"]]
    one = {"copy": "lance:1", "field": "name", "use": "lance"}
    assert {"matched": 1, "moved": 1} == office.post("/conflicts/resolve", one).json
    assert (409, True) == ((again := office.post("/conflicts/resolve", one)).status, "is not held" in again.error)
    assert {"matched": 2, "moved": 2} == office.post("/conflicts/resolve", {"all": True, "use": "wanted"}).json
    assert [
        ("conflicts resolve", "crm:1 lance:1 name", {"wanted": "ours"}, {"wanted": "theirs", "use": "lance"}),
        ("conflicts resolve", "crm:2 lance:2 name", {"wanted": "ours"}, {"wanted": "ours", "use": "wanted"}),
        ("conflicts resolve", "crm:3 lance:3 name", {"wanted": "ours"}, {"wanted": "ours", "use": "wanted"}),
    ] == office.audit()


def test_remotes_are_paused_and_resumed(office: Office) -> None:
    """What is so already is not done again, nor in the audit."""
    for action, changed in (("pause", True), ("pause", False), ("resume", True), ("resume", False)):
        assert changed is office.post(f"/remotes/crm/{action}").json["changed"]
    assert ["pause", "resume"] == [one[0] for one in office.audit()]
    assert 404 == office.post("/remotes/nobody/pause").status


def test_scans_are_begun_released_and_refused(office: Office) -> None:
    """A person's word on a held scan, by its number."""
    scan = office.post("/remotes/crm/scan").json
    assert ("person", "reading") == (scan["trigger"], scan["state"])
    assert f"{TaskName.SCAN.value}:crm" in office.bells()
    assert scan["id"] == office.get(f"/scans/{scan['id']}").json["id"]
    assert 409 == office.post(f"/scans/{scan['id']}/release").status
    number = _held_scan(office)
    assert "refused" == office.post(f"/scans/{number}/refuse").json["state"]
    assert 409 == office.post(f"/scans/{number}/release").status
    assert 404 == office.post("/scans/999/release").status
    office.post("/remotes/crm/pause")
    assert 409 == office.post("/remotes/crm/scan").status
    assert [("scan", "crm"), ("scans refuse", f"scan {number} of lance"), ("pause", "crm")] == [
        one[:2] for one in office.audit()
    ]


def _held_scan(office: Office) -> int:
    store = office.desk.runtime.store

    def hold(tx: Any) -> int:
        scan = tx.scans.open("lance", Trigger.SCHEDULE)
        tx.scans.save(replace(scan, state=ScanState.HELD, note="too many lists changed"))
        return int(scan.id)

    return store.run_now(hold)


def test_a_plan_is_shown_and_applied(office: Office) -> None:
    """What it showed is let through, once."""
    assert (404, True) == ((no := office.post("/plans/abcdefabcdef/apply")).status, "knows no plan" in no.error)
    seen = {Field.NAME: Seen("old", Stamp(NOW))}
    office.desk.put(named("new", standing_copy("crm", "1", Standing.DUE, Waiting.TURN, seen=seen)))
    plan = office.get("/plan").json
    assert [{"name": {"shown": "old", "wanted": "new"}}] == [one["fields"] for one in plan["items"]]
    done = office.post(f"/plans/{plan['hash']}/apply").json
    assert (1, 1) == (done["let_through"], done["copies"]["sending"])
    assert 0 == office.post(f"/plans/{plan['hash']}/apply").json["let_through"]
    assert [("apply", "crm:1")] == [one[:2] for one in office.audit()]
    assert plan["hash"].startswith(office.audit()[0][3]["plan"])


def test_copies_are_linked_and_unlinked(office: Office) -> None:
    """And the audit tells which lists they belonged to."""
    linked = office.post("/link", {"copies": ["crm:1", "lance:2"]}).json
    assert ({"crm": "1", "lance": "2"}, True) == (linked["copies"], linked["changed"])
    assert not office.post("/link", {"copies": ["crm:1", "lance:2"]}).json["changed"]
    assert {"unlinked": ["lance:2"]} == office.post("/unlink", {"copy": "lance:2"}).json
    assert ["crm"] == list(office.get("/lists/crm/1").json["copies"])
    assert 404 == office.post("/unlink", {"copy": "lance:3"}).status
    assert 409 == office.post("/link", {"copies": ["crm:1", "lance:pending:1"]}).status
    [link, unlink] = office.audit()
    number = str(linked["list_id"])
    assert ("link", "crm:1 lance:2", {"lists": {number: []}}, {"lists": {number: ["crm:1", "lance:2"]}}) == link
    assert ("unlink", "lance:2", {"list_id": linked["list_id"], "standing": "due"}, {}) == unlink


def test_rejects_are_retried(office: Office) -> None:
    """They are in the stream again, as they were received."""
    rejects = [Reject(entry_id=f"{n}-0", reason="subject: expected", event=f"event {n}") for n in range(3)]
    office.desk.runtime.store.run_now(lambda tx: tx.reject(rejects))
    [first, *_] = office.get("/rejects").json["items"]
    assert {"matched": 1, "moved": 1} == office.post("/rejects/retry", {"ids": [first["id"]]}).json
    assert 404 == office.post("/rejects/retry", {"ids": [first["id"]]}).status
    assert {"matched": 2, "moved": 2} == office.post("/rejects/retry", {"all": True}).json
    entries: Any = office.desk.runtime.bells.xrange("leadsync:events")
    assert [b"event 0", b"event 1", b"event 2"] == [fields[b"event"] for _, fields in entries]
    assert 3 == len([one for one in office.audit() if one[0] == "rejects retry"])


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/nothing", 404, "there is no such route; GET /api/openapi.json lists them"),
        ("/lists/crm/none", 404, "leadsync knows no list crm:none"),
        ("/lists/crm/" + "x" * 601, 422, "id: String should have at most 600 characters"),
        ("/lists/crm/" + "x" * 513, 400, "crm: an id has at most 512 characters, got 513"),
        ("/lists/crm/a%00b", 422, "id: expected text without NUL"),
        ("/lists/crm/%ff", 404, "leadsync knows no list"),
        ("/lists?limit=0", 422, "limit: Input should be greater than or equal to 1"),
        ("/lists?limit=5.5", 422, "limit: Input should be a valid integer"),
        ("/lists?limt=5", 422, "limt: there is no such parameter"),
        ("/lists?standing=lost", 422, "standing.0: Input should be"),
        ("/lists?after=x", 400, "after: expected the cursor"),
        ("/lists?after=%00", 422, "after: expected text without NUL"),
        ("/lists?after=" + "9" * 30, 400, "after: expected the cursor"),
        ("/parked?after=1:%1b", 400, "after: expected the cursor"),
        ("/parked?cause=a%00", 422, "cause: expected text without NUL"),
        ("/conflicts?field=nam", 422, "field: Input should be 'name', 'owner', 'enrichment' or 'members'"),
        ("/plan?remote=nobody", 400, "there is no remote 'nobody' in the settings"),
        ("/scans/x", 422, "id: Input should be a valid integer"),
        ("/scans/9", 404, "there is no scan 9"),
        ("/scans/99999999999999999999999", 422, "id: Input should be less than or equal to"),
    ],
)
def test_each_mistake_in_an_address_has_one_sentence(office: Office, path: str, status: int, sentence: str) -> None:
    """It names the parameter."""
    said = office.get(path)
    assert (status, True) == (said.status, said.error.startswith(sentence)), said.error


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("/parked/retry", {}, 422, "body: say which: copies, or a filter: remote, cause or all"),
        ("/parked/retry", {"all": True, "copies": ["crm:1"]}, 422, "body: say which"),
        ("/parked/retry", {"all": 1}, 422, "all: Input should be a valid boolean"),
        ("/parked/retry", {"all": "true"}, 422, "all: Input should be a valid boolean"),
        ("/parked/retry", {"al": True}, 422, "al: there is no such parameter"),
        ("/parked/retry", {"copies": "crm:1"}, 422, "copies: Input should be a valid list"),
        ("/parked/retry", {"copies": [1]}, 422, "copies.0: Input should be a valid string"),
        ("/parked/retry", {"copies": ["crm"]}, 400, "expected REMOTE:ID such as crm:17"),
        ("/parked/retry", {"copies": ["crm:\0"]}, 422, "copies.0: expected text without NUL"),
        ("/parked/retry", [], 422, "body: expected a JSON object"),
        ("/parked/retry", None, 422, "body: "),
        ("/conflicts/resolve", {"all": True}, 422, "use: this is needed and is not there"),
        ("/conflicts/resolve", {"all": True, "use": "nobody"}, 400, "there is no remote 'nobody'"),
        ("/conflicts/resolve", {"copy": "crm:1", "use": "crm"}, 422, "body: say which"),
        ("/conflicts/resolve", {"copy": "crm:1", "field": "name", "use": "crm"}, 404, "leadsync knows no list"),
        ("/rejects/retry", {"ids": ["1"]}, 422, "ids.0: Input should be a valid integer"),
        ("/rejects/retry", {"ids": [True]}, 422, "ids.0: Input should be a valid integer"),
        ("/rejects/retry", {"ids": [0]}, 422, "ids.0: Input should be greater than"),
        ("/link", {"copies": ["crm:1"]}, 422, "copies: List should have at least 2 items"),
        ("/link", {"copies": ["crm:1", "crm:2"]}, 400, "1 and 2 are two lists on crm"),
        ("/link", {"copies": ["crm:1", "nobody:2"]}, 400, "there is no remote 'nobody'"),
        ("/plans/abc/apply", None, 404, "leadsync knows no plan abc"),
        ("/plans/%25/apply", None, 404, "leadsync knows no plan %"),
        ("/status", {}, 405, "this route does not take POST"),
    ],
)
def test_each_mistake_in_a_body_has_one_sentence(
    office: Office, path: str, body: Any, status: int, sentence: str
) -> None:
    """Types are taken as they are, and nothing was done."""
    said = office.post(path, body)
    assert (status, True) == (said.status, said.error.startswith(sentence)), said.error
    assert [] == office.audit()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{", "application/json"),
        (b"\xff", "application/json"),
        (b"[" * 200_000, "application/json"),
        (b'{"copies": ["crm:\\ud800"]}', "application/json"),
        (b'{"all": NaN}', "application/json"),
        (b'{"all": true}', "text/plain"),
        (b'{"all": true}', ""),
        (b"", "application/json"),
    ],
)
def test_what_is_no_json_is_told(office: Office, body: bytes, kind: str) -> None:
    """A document in JSON again, never a 500."""
    said = office.api.ask("POST", "/api/v1/parked/retry", body, {"content-type": kind})
    assert (422, str) == (said.status, type(said.error)) or said.status == 400


def test_the_description_is_there_without_asking_elsewhere(office: Office) -> None:
    """Every route is in it, and the page that shows it loads nothing."""
    described = office.api.get("/api/openapi.json").json
    assert [{"url": "/api"}] == described["servers"]
    page = office.api.get("/api/docs").text
    for path, methods in described["paths"].items():
        for method in methods:
            assert f"{method.upper()} /api{path}" in page
    assert [] == [word for word in ("http://", "https://", "<script", "<link", "style=") if word in page]


def test_without_a_database_it_says_what_to_do(redis_url: str, tmp_path: Any) -> None:
    """503: it is not the fault of whoever asks."""
    settings = Settings.model_validate({"database": {"url": f"sqlite:///{tmp_path}/none.db"}})
    with serving(Runtime(settings, redis_url)) as port:
        for path in ("status", "lists", "lists/crm/1", "audit", "plan"):
            said = Browser(port).get(f"/api/v1/{path}")
            assert (503, "the database has no tables yet; run: leadsync db upgrade") == (said.status, said.error)


def test_without_redis_numbers_are_unknown_and_actions_still_work(sqlite_url: str, tmp_path: Any) -> None:
    """What is due is in the database; the next tick finds it."""
    with desk_at(sqlite_url, f"unix://{tmp_path}/redis.sock?db=0", "crm", "lance") as desk:
        desk.put(named("A", parked("crm", "1")))
        with serving(Runtime(_with_token(desk), desk.runtime.redis_url)) as port:
            api = Browser(port, headers={"authorization": f"Bearer {TOKEN}"})
            assert "unknown" == api.get("/api/v1/status").json["stream"]
            assert 1 == api.act("/api/v1/parked/retry", {"all": True}).json["moved"]
            desk.runtime.store.run_now(lambda tx: tx.reject([Reject(entry_id="1-0", reason="r", event="e")]))
            refused = api.act("/api/v1/rejects/retry", {"all": True})
            assert (503, "5") == (refused.status, refused.headers["retry-after"])
            assert 1 == len(api.get("/api/v1/rejects").json["items"])
