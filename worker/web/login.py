"""GET and POST /login, POST /logout. Mounted by `server.py`; the gate lets everybody as far as here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from worker.web.access import Access, Visit
from worker.web.gate import API, LOGIN, LOGOUT
from worker.web.session import TooManyGuesses

log = structlog.get_logger(__name__)

#: A path of ours: neither another site nor a scheme.
_OURS = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
_LONGEST_NEXT = 2_000


@dataclass(frozen=True, slots=True)
class LoginForm:
    """What the page shows: a password field named `password`, and `next` as a hidden one."""

    next: str
    #: Why the last attempt failed.
    error: str | None = None


def plain_page(form: LoginForm) -> str:
    """The form without any beauty."""
    error = f'<p role="alert">{escape(form.error)}</p>' if form.error else ""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>leadsync: log in</title></head><body><main><h1>leadsync</h1>{error}
<form method="post" action="{LOGIN}"><input type="hidden" name="next" value="{escape(form.next)}">
<label>Password <input type="password" name="password" autocomplete="current-password" required autofocus></label>
<button type="submit">Log in</button></form></main></body></html>
"""


def router(access: Access, page: Callable[[LoginForm], str] = plain_page) -> APIRouter:
    """The routes. `page` draws the form as HTML."""
    routes = APIRouter(include_in_schema=False)

    def form(status: int, next: str, error: str | None = None, *, retry_s: int | None = None) -> Response:
        headers = {"retry-after": str(retry_s)} if retry_s else None
        return HTMLResponse(page(LoginForm(next, error)), status, headers)

    @routes.get(LOGIN)
    async def show(next: str = "/") -> Response:
        """The form; without a password there is nothing to ask."""
        return form(200, _own(next)) if access.asks_password else _go("/")

    @routes.post(LOGIN)
    async def log_in(request: Request) -> Response:
        """A session for the right password."""
        if not access.asks_password:
            return _go("/")
        try:
            said = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
        except ValueError:
            return form(400, "/", "expected the fields of this form")
        password, where = (said.get(name, [""])[0] for name in ("password", "next"))
        visit: Visit = request.state.visit
        try:
            role = await access.passwords.role_of(password)
        except TooManyGuesses:
            return form(429, _own(where), "too many attempts at this moment; wait a little, then try again", retry_s=10)
        if role is None:
            log.warning("login_refused", address=visit.address)
            return form(403, _own(where), "this is not the password")
        log.info("logged_in", role=role.value, address=visit.address)
        answer = _go(_own(where))
        answer.headers["set-cookie"] = access.cookie(access.sessions.begin(role), visit)
        return answer

    @routes.post(LOGOUT)
    async def log_out(request: Request) -> Response:
        """Take the cookie away."""
        answer = _go(LOGIN)
        answer.headers["set-cookie"] = access.cookie("", request.state.visit)
        return answer

    return routes


def _own(next: str) -> str:
    """Where to go after the login: a page of ours, whatever somebody wrote into the address."""
    path = next.partition("?")[0]
    fits = len(next) <= _LONGEST_NEXT and _OURS.fullmatch(next) is not None
    return next if fits and path not in (LOGIN, LOGOUT) and not path.startswith(API) else "/"


def _go(where: str) -> Response:
    return RedirectResponse(where, 303)
