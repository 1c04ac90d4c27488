"""The pages as people use them: Debian's chromium before the real stack."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browsing import DESKTOP, PHONE, Visitor
from tests.support.waiting import wait_until

# One stack and one browser for all of them: in one process, whatever xdist does with other tests.
pytestmark = pytest.mark.timeout(180)

PASSWORD, VIEWERS = "open sesame", "look only"
PAGES = {
    "now": "/",
    "lists": "/lists",
    "lists by age": "/lists?sort=age",
    "waiting": "/waiting",
    "conflicts": "/conflicts",
    "scans": "/scans",
    "plan": "/plan",
    "rejects": "/rejects",
    "doctor": "/doctor",
    "audit": "/audit",
}
HOSTILE = (
    "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>",
    '\N{RIGHT-TO-LEFT OVERRIDE}שלום "><b>{{ 7 * 7 }}',
    "x" * 500,
)

Come = Callable[..., Visitor]


@pytest.fixture(autouse=True)
def _nobody_complains(request: pytest.FixtureRequest) -> Iterator[None]:
    """No script failed, nothing broke the content security policy, nothing was asked of other machines."""
    somebody = request.getfixturevalue("operator") if "operator" in request.fixturenames else None
    yield
    assert [] == (somebody.complaints if somebody else [])


def test_people_log_in_and_out(visit: Come) -> None:
    """Without a session every page leads to the login, and from there on; a wrong password is told."""
    somebody = visit()
    page = somebody.page
    page.goto("/lists?standing=due")
    expect(page).to_have_title("Log in · leadsync")

    page.get_by_label("Password").fill("guess")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("This is not the password")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()

    expect(page).to_have_url(re.compile(r"/lists\?standing=due$"))
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_title("Log in · leadsync")
    page.goto("/")
    expect(page).to_have_title("Log in · leadsync")


def test_an_edit_is_seen_as_it_travels(house: Any, operator: Visitor) -> None:
    """Somebody renames a list in the CRM: the open page shows it, and the PATCH, without being loaded again."""
    n, page = house.fresh(), operator.page
    page.goto(house.page_of(n))
    page.evaluate("window.sameLoad = true")

    house.stack.rename(n, "Travelling fast")

    expect(page.get_by_role("heading", level=1)).to_have_text("Travelling fast")
    expect(page.locator("tr.attempt", has_text="name = Travelling fast").first).to_contain_text("200 done")
    assert page.evaluate("window.sameLoad")
    assert "Travelling fast" == house.shows(n, "instantly")


def test_a_conflict_is_resolved(house: Any, operator: Visitor) -> None:
    """Both values are shown side by side; the chosen one becomes wanted everywhere."""
    n, page = house.fresh(), operator.page
    house.dispute(n, "Ours", "Theirs")

    page.goto("/conflicts")
    held = page.locator(".dispute", has_text="Theirs")
    expect(held).to_contain_text("Ours")
    held.get_by_role("button", name="Use instantly").click()

    expect(page.get_by_role("status")).to_have_text("1 held field is decided.")
    wait_until(lambda: house.shows(n, "crm") == "Theirs", deadline_s=20, what="the CRM shows what was chosen")


def test_a_parked_copy_is_retried(house: Any, operator: Visitor) -> None:
    """It is listed with its cause and next step; retried, it is in sync again."""
    n, page = house.fresh(), operator.page
    house.park(n, "Kept the old one")

    page.goto("/waiting")
    row = page.locator("form.ticks tr", has_text="Kept the old one")
    expect(row).to_contain_text("next: ")
    row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry ticked").click()

    expect(page.get_by_role("status")).to_contain_text("1 copy is due again")
    wait_until(lambda: house.shows(n, "instantly") == "Kept the old one", deadline_s=20, what="it was sent again")


def test_many_are_counted_before_anything_is_done(house: Any, operator: Visitor) -> None:
    """All that match: first a page with their number, and a way back."""
    two, page = (house.fresh(), house.fresh()), operator.page
    for n in two:
        house.park(n, f"Counted {n}")

    page.goto("/waiting")
    page.get_by_role("button", name="Retry all that match").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        re.compile(r"\d+ parked copies will be due again, and read before anything is sent\.")
    )
    page.get_by_role("link", name="No, go back").click()
    expect(page.locator("form.ticks tr", has_text="Counted")).to_have_count(2)
    page.get_by_role("button", name="Retry all that match").click()
    page.get_by_role("button", name="Retry them").click()

    expect(page.get_by_role("status")).to_contain_text("due again")
    wait_until(lambda: house.shows(two[1], "instantly") == f"Counted {two[1]}", deadline_s=20, what="they were sent")


def test_a_plan_is_applied(house: Any, operator: Visitor) -> None:
    """What waits for review is shown value by value under a hash; applied, exactly that is sent."""
    n, page = house.fresh(), operator.page
    house.stack.rename(n, "Reviewed")
    wait_until(lambda: house.shows(n, "instantly") == "Reviewed", deadline_s=20, what="it is sent where nobody reviews")

    page.goto("/plan?remote=lance")
    expect(page.locator("tr", has_text="Reviewed")).to_contain_text(f"List {n}")
    assert f"List {n}" == house.shows(n, "lance")
    page.get_by_role("button", name="Apply exactly this").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("let through")
    wait_until(lambda: house.shows(n, "lance") == "Reviewed", deadline_s=20, what="it is sent")


def test_a_remote_is_paused_and_resumed(house: Any, operator: Visitor) -> None:
    """Nothing is sent there meanwhile; the page says so, and the audit who did it."""
    n, page = house.fresh(), operator.page
    page.goto("/")
    card = page.locator(".remote", has=page.get_by_role("heading", name="instantly"))
    card.get_by_role("button", name="Pause").click()
    expect(card).to_contain_text("paused by a person")

    house.stack.rename(n, "While paused")
    house.wait(n, "instantly", "due")
    assert f"List {n}" == house.shows(n, "instantly")
    card.get_by_role("button", name="Resume").click()

    expect(card.locator(".state")).to_have_text("active")
    wait_until(lambda: house.shows(n, "instantly") == "While paused", deadline_s=20, what="it is sent after all")
    page.goto("/audit")
    expect(page.locator("tr", has_text="resume").first).to_contain_text("operator 127.0.0.1")


def test_a_list_is_held_and_released(house: Any, operator: Visitor) -> None:
    """Nothing is written meanwhile, and every page says who holds it; released, what was missed is sent."""
    n, page = house.fresh(), operator.page
    page.goto(house.page_of(n))
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.locator(".on-hold")).to_contain_text("operator 127.0.0.1 holds it since")

    house.stack.rename(n, "While on hold")
    house.wait(n, "instantly", "due")
    page.goto("/lists?hold=1")
    expect(page.locator("tr", has_text="While on hold")).to_contain_text("on hold")
    page.goto("/waiting")
    assert f"List {n}" == house.shows(n, "instantly")
    page.locator("tr", has_text="the whole list").get_by_role("checkbox").check()
    page.get_by_role("button", name="Release ticked").click()

    expect(page.get_by_role("status")).to_have_text("1 list is released: what differs is due at once.")
    wait_until(lambda: house.shows(n, "instantly") == "While on hold", deadline_s=20, what="it is sent after all")


def test_one_copy_is_unlinked_after_a_question(house: Any, operator: Visitor) -> None:
    """Only that one, and nothing is deleted."""
    n, page = house.fresh(), operator.page
    page.goto(house.page_of(n))
    page.locator("tr.ends").get_by_role("button", name="Unlink").nth(2).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("will no longer be synced")
    page.get_by_role("button", name="Unlink it").click()

    expect(page.get_by_role("status")).to_contain_text("It is unlinked")
    assert {"crm", "instantly"} == set(house.told(n)["copies"])
    assert house.shows(n, "lance")


def test_rejects_are_shown_as_received(house: Any, operator: Visitor) -> None:
    """With the reason; retried, they come back with a new number."""
    house.stack.redis.xadd("leadsync:events", {"event": b'{"specversion": "1.0", "odd": "<b>"}'})
    page = operator.page

    page.goto("/rejects")
    row = page.locator("form.ticks tbody tr").filter(has_text='"odd"')
    expect(row).to_be_visible()
    row.locator("summary").click()
    expect(row.locator("pre")).to_have_text('{"specversion": "1.0", "odd": "<b>"}')
    row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Retry ticked").click()

    expect(page.get_by_role("status")).to_contain_text("1 event is in the stream again")


def test_nothing_is_changed_without_session_or_token(house: Any, visit: Come, operator: Visitor) -> None:
    """A form of another site has neither; one with the cookie alone is refused too."""
    page, stranger = operator.page, visit()
    page.goto("/")

    unknown = stranger.context.request.post("/remotes/pause", form={"remote": "crm"})
    forged = operator.context.request.post("/remotes/pause", form={"remote": "crm"})
    wrong = operator.context.request.post("/remotes/pause", form={"remote": "crm", "csrf_token": "0" * 64})
    nobody = stranger.context.request.get("/", max_redirects=0)
    live = stranger.context.request.get("/live", max_redirects=0)

    assert [403, 403, 403, 303, 303] == [one.status for one in (unknown, forged, wrong, nobody, live)]
    assert "does not belong to your session" in forged.text()
    assert "active" == house.stack.status()["remotes"]["crm"]["state"]


def test_viewers_see_everything_and_change_nothing(house: Any, visit: Come) -> None:
    """No buttons on any page; a button of somebody else's is refused."""
    viewer = visit().log_in(VIEWERS)
    for path in (*PAGES.values(), house.page_of(0)):
        viewer.page.goto(path)
        assert ["Log out"] == viewer.page.locator("form[method=post] button").all_inner_texts(), path
    for act, fields in {"/remotes/pause": {"remote": "crm"}, "/list/hold": {"copy": house.named(0)}}.items():
        assert 403 == viewer.context.request.post(act, form={**fields, "csrf_token": viewer.csrf()}).status
    assert [] == viewer.complaints


@pytest.mark.parametrize("name", HOSTILE, ids=["script", "right to left", "500 characters"])
def test_hostile_names_are_text(house: Any, operator: Visitor, name: str) -> None:
    """It stands there letter for letter; nothing of it runs, or pushes anything out of the window."""
    n, page = house.fresh(), operator.page
    house.stack.rename(n, name)
    house.wait(n, "instantly", "in_sync")

    page.goto(house.page_of(n))
    expect(page.get_by_role("heading", level=1)).to_have_text(name)
    for path in ("/lists", "/plan", house.page_of(n)):
        for width in (DESKTOP, PHONE):
            page.set_viewport_size({"width": width, "height": 900})
            page.goto(path)
            assert page.locator("bdi", has_text=name).count(), path
            assert not operator.overflows(), (path, width)
    assert "owned" not in page.title()


def test_lists_are_found_and_paged(house: Any, operator: Visitor) -> None:
    """By a part of the name in any case, by standing and by remote."""
    n, page = house.fresh(), operator.page
    house.stack.rename(n, "Zürich CTOs")
    house.wait(n, "instantly", "in_sync")

    page.goto("/lists")
    page.get_by_label("Name").fill("ZÜRICH cto")
    page.get_by_label("Standing").select_option("in_sync")
    page.get_by_label("Remote").select_option("instantly")
    page.get_by_role("button", name="Show").click()

    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Zürich CTOs").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Zürich CTOs")


def test_lists_are_sorted_by_links(house: Any, visit: Come) -> None:
    """Without JavaScript too; what was searched for stays."""
    first, last = house.fresh(), house.fresh()
    house.stack.rename(first, "Order: aaa")
    house.stack.rename(last, "Order: zzz")
    for n in (first, last):
        house.wait(n, "instantly", "in_sync")
    plain = visit(java_script_enabled=False).log_in(PASSWORD)
    page = plain.page

    page.goto("/lists")
    page.get_by_label("Name").fill("order:")
    page.get_by_role("button", name="Show").click()
    page.locator(".order").get_by_role("link", name="name").click()

    expect(page.locator(".order b")).to_have_text("name")
    expect(page.get_by_label("Name")).to_have_value("order:")
    names = page.locator("tbody a.name")
    assert ["Order: aaa", "Order: zzz"] == [one.strip() for one in names.all_inner_texts()]
    page.get_by_role("link", name="the other way round").click()
    expect(page.locator(".order b")).to_have_text("name, from the end")
    assert ["Order: zzz", "Order: aaa"] == [one.strip() for one in names.all_inner_texts()]
    for sort in ("standing", "age", "number"):
        page.locator(".order").get_by_role("link", name=sort).click()
        expect(page.locator("tbody tr")).to_have_count(2)


def test_open_alerts_stand_at_the_top(operator: Visitor) -> None:
    """A paused remote is told by the workers, and no more once it is resumed; the plots have their numbers."""
    page = operator.page
    page.goto("/")
    card = page.locator(".remote", has=page.get_by_role("heading", name="crm"))
    card.get_by_role("button", name="Pause").click()
    alert = page.get_by_role("alert").filter(has_text="crm is paused")
    expect(alert).to_contain_text("leadsync resume crm", timeout=150_000)
    assert page.locator("#plot-backlog canvas").count()
    assert page.locator("#plot-saved canvas").count()

    card.get_by_role("button", name="Resume").click()
    expect(card.locator(".state")).to_have_text("active")


def test_pages_work_without_javascript(house: Any, visit: Come) -> None:
    """Plain links and forms: log in, look at every page, pause and resume, search."""
    plain = visit(java_script_enabled=False).log_in(PASSWORD)
    page = plain.page
    for path in (*PAGES.values(), house.page_of(0)):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()

    page.goto("/")
    card = page.locator(".remote", has=page.get_by_role("heading", name="crm"))
    card.get_by_role("button", name="Pause").click()
    expect(card.locator(".state")).to_have_text("paused")
    card.get_by_role("button", name="Resume").click()
    expect(card.locator(".state")).to_have_text("active")
    page.goto(house.page_of(0))
    page.get_by_role("button", name="Hold here").first.click()
    expect(page.locator(".compare .standing")).to_contain_text("held by operator 127.0.0.1 since")
    page.get_by_role("button", name="Release").click()
    page.goto("/lists")
    page.get_by_label("Name").fill("no such list")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No list matches.")).to_be_visible()


def test_a_hidden_tab_asks_for_nothing(house: Any, operator: Visitor) -> None:
    """It hangs up, and listens again when it is looked at."""
    page, n = operator.page, house.fresh()
    page.goto(house.page_of(n))
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    _look_away(page, hidden=True)
    page.wait_for_timeout(500)  # what was asked for before is answered
    asked.clear()

    house.stack.rename(n, "Nobody looks")
    house.wait(n, "instantly", "in_sync")
    page.wait_for_timeout(1_500)
    assert [] == asked
    _look_away(page, hidden=False)

    expect(page.get_by_role("heading", level=1)).to_have_text("Nobody looks")


def _look_away(page: Any, *, hidden: bool) -> None:
    """As if another tab was chosen, or this one again."""
    page.evaluate(
        "hidden => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        hidden,
    )


@pytest.fixture(scope="module")
def troubled(house: Any) -> str:
    """Something of everything that people look at: parked, disputed, rejected. The page of the disputed list."""
    n, parked = house.fresh(), house.fresh()
    house.stack.simulators["instantly"].edit(house.id(n, "instantly"), enrichment=True)
    house.dispute(n, "Berlin CTOs", "Berlin tech leads")
    house.park(parked, "Hamburg logistics")
    house.stack.redis.xadd("leadsync:events", {"event": b'{"specversion": "1.0", "id": "17", "source": "crm"}'})
    return str(house.page_of(n))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_of_every_page(
    troubled: str, visit: Come, tmp_path_factory: pytest.TempPathFactory, scheme: str
) -> None:
    """For people to look at; nothing is wider than the window, on a phone neither."""
    folder: Path = tmp_path_factory.getbasetemp() / "screenshots"
    folder.mkdir(exist_ok=True)
    somebody = visit(color_scheme=scheme)
    somebody.page.goto("/login")
    somebody.shoot(folder / f"login-{scheme}.png")
    somebody.log_in(PASSWORD)
    for width in (DESKTOP, PHONE):
        somebody.page.set_viewport_size({"width": width, "height": 900})
        for name, path in {**PAGES, "list": troubled}.items():
            somebody.page.goto(path)
            somebody.page.wait_for_timeout(100)
            somebody.shoot(folder / f"{name}-{width}-{scheme}.png")
            assert not somebody.overflows(), (name, width)
    assert [] == somebody.complaints
