"""Who is let in, over real HTTP: passwords, sessions, CSRF tokens, bearer tokens, proxies, and other sites' pages."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.web import Browser, serving
from worker.settings import Settings
from worker.store.database import open_database, upgrade
from worker.wiring import Runtime

PASSWORD, VIEWERS, TOKEN = "correct horse", "battery staple", "token-of-sixteen-characters"
PAUSE = "/api/v1/remotes/crm/pause"
BEARER = {"authorization": f"Bearer {TOKEN}"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

Start = Callable[..., Browser]


@pytest.fixture
def start(redis_url: str, sqlite_url: str) -> Iterator[Start]:
    """Starts a web server with these settings of [web], and a browser without a cookie."""
    upgrade(open_database(sqlite_url))
    with contextlib.ExitStack() as stack:

        def begin(**web: Any) -> Browser:
            crm = {"kind": "crm", "base_url": "http://127.0.0.1:9", "token": "t"}
            settings = {"remotes": {"crm": crm}, "database": {"url": sqlite_url}, "web": web}
            runtime = Runtime(Settings.model_validate(settings), redis_url)
            return Browser(stack.enter_context(serving(runtime)))

        yield begin


@pytest.fixture
def web(start: Start) -> Browser:
    """With both passwords and a token."""
    return start(password=PASSWORD, viewer_password=VIEWERS, api_token=TOKEN)


def log_in(browser: Browser, password: str = PASSWORD) -> str:
    """Log in; the CSRF token of the session, as a page of it would carry it."""
    assert 303 == browser.form("/login", password=password).status
    return csrf(browser)


def csrf(browser: Browser) -> str:
    """What pages put into their forms."""
    return str(browser.get("/api/v1/me").json["csrf_token"])


def test_nothing_is_shown_to_strangers(web: Browser) -> None:
    """Pages lead to the login and back; the API says what it takes; unknown paths are no exception."""
    assert (303, "/login") == _led(web, "/")
    assert (303, "/login?next=%2Flists%3Fname%3Da%26b") == _led(web, "/lists?name=a&b")
    assert (303, "/login?next=%2Fno%2Fsuch") == _led(web, "/no/such")
    for path in ("/api/v1/status", "/api/openapi.json", "/api/docs", "/api/nothing"):
        refused = web.get(path)
        assert (401, "Bearer") == (refused.status, refused.headers["www-authenticate"])
        assert "log in, or send web.api_token as Authorization: Bearer" == refused.error
    live = web.get("/", hx_request="true")
    assert (401, "/login") == (live.status, live.headers["hx-redirect"])


@pytest.mark.parametrize("host", ["x/static/", "x/webhooks/", "x/login?", "x/login#", "x/api", "@x/static/", "", "x y"])
def test_no_name_in_the_host_header_is_a_way_in(web: Browser, host: str) -> None:
    """What the gate goes by is what routes go by."""
    for path in ("/api/v1/status", "/api/v1/me", "/api/openapi.json"):
        assert web.get(path, host=host).status in (400, 401)
    assert web.act(PAUSE, host=host).status in (400, 401, 403)
    for path in (
        "/static/../api/v1/status",
        "/webhooks/../api/v1/status",
        "/static/%2e%2e/api/v1/status",
        "//api/v1/me",
    ):
        assert web.get(path, host=host).status in (303, 400, 404, 405)
    assert web.get("/", host=host).status in (303, 400)


def _led(browser: Browser, path: str) -> tuple[int, str]:
    answer = browser.get(path)
    return answer.status, answer.headers["location"]


def test_health_and_webhooks_keep_their_own_rules(web: Browser) -> None:
    """Whoever may ask them is not for the gate to say."""
    assert 200 == web.get("/healthz").status
    assert 200 == web.get("/readyz").status
    assert 401 == web.act("/webhooks/crm", {}).status
    assert "webhook" in web.act("/webhooks/crm", {}).error


def test_a_session_begins_with_the_password_and_ends_with_the_logout(web: Browser) -> None:
    """And leads back to where it was asked for."""
    assert "<form" in web.get("/login?next=/lists").text
    wrong = web.form("/login", password="wrong", next="/lists")
    assert (403, None) == (wrong.status, web.cookie)
    assert "this is not the password" in wrong.text.lower()
    right = web.form("/login", password=PASSWORD, next="/lists")
    assert (303, "/lists") == (right.status, right.headers["location"])
    assert re.fullmatch(r"leadsync_session=[^;]+; Path=/; HttpOnly; SameSite=Lax", right.headers["set-cookie"])
    assert 200 == web.get("/api/v1/status").status

    out = web.form("/logout", csrf_token=csrf(web))
    assert (303, "/login", "leadsync_session=") == (out.status, out.headers["location"], web.cookie)
    assert 401 == web.get("/api/v1/status").status


@pytest.mark.parametrize(
    "next", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nx: y", "/login"]
)
def test_a_login_never_leads_elsewhere(web: Browser, next: str) -> None:
    """Whatever somebody wrote into the address."""
    assert "/" == web.form("/login", password=PASSWORD, next=next).headers["location"]


def test_a_login_page_shows_text_as_text(web: Browser) -> None:
    """What comes with the address is no part of the page."""
    assert "<script" not in web.get('/login?next=/"><script>alert(1)</script>').text.replace("<script src", "")


def test_the_cookie_is_secure_where_it_can_be(start: Start) -> None:
    """By setting, or when a trusted proxy says that the request came by TLS."""
    always = start(password=PASSWORD, secure=True)
    assert always.form("/login", password=PASSWORD).headers["set-cookie"].endswith("; Secure")
    behind = start(password=PASSWORD, trusted_proxy=["127.0.0.1"])
    behind.headers = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    assert behind.form("/login", password=PASSWORD).headers["set-cookie"].endswith("; Secure")
    stranger = start(password=PASSWORD)
    stranger.headers = {"x-forwarded-proto": "https"}
    assert "Secure" not in stranger.form("/login", password=PASSWORD).headers["set-cookie"]


def test_a_form_must_belong_to_the_session(web: Browser) -> None:
    """By header or field, for each method that changes something; another session's token is none."""
    other = Browser(web.port)
    others, token = log_in(other), log_in(web)
    for said in (None, "", "x", others, token + "0", "é"):
        refused = web.act(PAUSE, x_csrf_token=said)
        assert 403 == refused.status
        assert refused.error.startswith("this form does not belong to your session")
    assert 403 == web.ask("DELETE", PAUSE).status
    assert 403 == web.ask("POST", PAUSE, f"csrf_token={others}", FORM).status
    assert 403 == web.ask("POST", PAUSE, f"csrf_token={token}", {"content-type": "text/plain"}).status
    assert 403 == web.act(f"{PAUSE}?csrf_token={token}").status
    assert 200 == web.act(PAUSE, x_csrf_token=token).status
    assert 200 == web.ask("POST", PAUSE, f"csrf_token={token}", FORM).status


def test_another_sites_page_cannot_log_anybody_in(web: Browser) -> None:
    """There is no session yet, so the browser's own word about the page counts."""
    body = "password=correct+horse"
    for said in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ):
        assert 403 == web.ask("POST", "/login", body, {**FORM, **said}).status
    ours = {"origin": f"http://127.0.0.1:{web.port}"}
    assert 303 == web.ask("POST", "/login", body, {**FORM, **ours}).status


def test_viewers_look_and_change_nothing(web: Browser) -> None:
    """With a token that is right, too; but they may leave."""
    token = log_in(web, VIEWERS)
    assert 200 == web.get("/api/v1/status").status
    refused = web.act(PAUSE, x_csrf_token=token)
    assert (403, "viewers change nothing; log in with the operators' password") == (refused.status, refused.error)
    assert 303 == web.form("/logout", csrf_token=token).status


def test_programs_bring_a_token(web: Browser) -> None:
    """Which needs no cookie and no CSRF token, works below /api only, and is right or refused."""
    web.headers = BEARER
    assert {"remote": "crm", "state": "paused", "changed": True} == web.act(PAUSE).json
    assert 303 == web.get("/").status
    for said in ("Bearer", "Bearer ", "bearer x", f"Bearer {TOKEN}x", "Bearer é"):
        web.headers = {"authorization": said}
        refused = web.get("/api/v1/status")
        assert (401, True) == (refused.status, TOKEN not in refused.text)
    assert web.cookie is None


def test_a_wrong_token_is_refused_even_beside_a_session(web: Browser) -> None:
    """Whoever says to be a program is one."""
    log_in(web)
    assert 401 == web.get("/api/v1/status", authorization="Bearer wrong").status


def test_without_a_token_in_the_settings_none_is_taken(start: Start) -> None:
    """An empty one neither."""
    web = start(password=PASSWORD)
    assert 401 == web.get("/api/v1/status", authorization="Bearer ").status


def test_without_a_password_this_machine_is_answered(start: Start) -> None:
    """Pages and API, as an operator; but forms of other sites' pages still do nothing."""
    web = start()
    assert 200 == web.get("/api/v1/status").status
    assert 403 == web.act(PAUSE).status
    token = csrf(web)
    assert web.cookie
    assert 200 == web.act(PAUSE, x_csrf_token=token).status
    assert (303, "/") == _led(web, "/login")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8484", "[::1]:1", "LOCALHOST:80", "127.1.2.3"])
def test_without_a_password_it_goes_by_names_of_this_machine(start: Start, host: str) -> None:
    """Whatever the port."""
    assert 200 == start().get("/api/v1/status", host=host).status


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil", "192.0.2.1", ""]
)
def test_without_a_password_another_name_is_refused(start: Start, host: str) -> None:
    """Or a page whose name was bound to 127.0.0.1 could read everything."""
    web = start()
    for path in ("/", "/login", "/api/v1/status", "/static/x"):
        assert 403 == web.get(path, host=host).status


@pytest.mark.parametrize("name", ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host"])
def test_without_a_password_nothing_that_was_passed_on_is_answered(start: Start, name: str) -> None:
    """A proxy on this machine would open everything to everybody."""
    refused = start().get("/api/v1/status", **{name: "127.0.0.1"})
    assert (403, True) == (refused.status, "a proxy passed this on" in refused.error)


@pytest.mark.parametrize(
    ("hops", "status"),
    [
        ("192.0.2.7", 403),
        ("127.0.0.1, 192.0.2.7", 403),
        ("192.0.2.7, 127.0.0.9", 200),
        ("127.0.0.9", 200),
        ("nonsense", 403),
        ("", 403),
    ],
)
def test_a_trusted_proxy_says_who_asks(start: Start, hops: str, status: int) -> None:
    """The last address that it did not pass on itself; what a stranger wrote before that does not count."""
    web = start(trusted_proxy=["127.0.0.1"])
    assert status == web.get("/api/v1/status", x_forwarded_for=hops).status


def test_the_audit_names_whom_the_proxy_names(start: Start) -> None:
    """With role and address; without a trusted proxy the header is nobody's word."""
    web = start(password=PASSWORD, api_token=TOKEN, trusted_proxy=["127.0.0.1"])
    web.headers = BEARER
    web.act(PAUSE, x_forwarded_for="192.0.2.7", x_forwarded_user="ann \x1b[31m")
    web.headers = {}
    other = start(password=PASSWORD, api_token=TOKEN)
    other.headers = BEARER
    other.act(PAUSE.replace("pause", "resume"), x_forwarded_for="192.0.2.7", x_forwarded_user="ann")
    assert ["operator 127.0.0.1", "operator ann [31m 192.0.2.7"] == [
        one["who"] for one in other.get("/api/v1/audit").json["items"]
    ]


def test_bodies_are_limited(web: Browser) -> None:
    """For those who are not known, too; said or not."""
    big = b"x" * (1024 * 1024 + 1)
    assert 413 == web.ask("POST", "/login", big, FORM).status
    assert 413 == web.ask("POST", PAUSE, big, BEARER).status
    log_in(web)
    assert 413 == web.ask("POST", "/logout", "&".join(f"a{n}=1" for n in range(30_000)), FORM).status


def test_every_answer_is_closed_to_other_sites(web: Browser) -> None:
    """Whether it is a page, a refusal or a document; and nothing of it is kept by browsers."""
    for answer in (web.get("/"), web.get("/login"), web.get("/api/v1/status"), web.get("/api/docs", **BEARER)):
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert ("DENY", "nosniff", "no-referrer", "no-store") == tuple(
            answer.headers[name]
            for name in ("x-frame-options", "x-content-type-options", "referrer-policy", "cache-control")
        )


def test_logs_hold_no_secret(web: Browser, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither what was right nor what was tried."""
    web.form("/login", password="my other password")
    web.form("/login", password=PASSWORD)
    web.get("/api/v1/status", authorization="Bearer my-other-token")
    logged = "".join(capfd.readouterr())
    assert "login_refused" in logged
    assert [] == [one for one in (PASSWORD, "my other password", "my-other-token", str(web.cookie)) if one in logged]
