"""The gate: stands before every route and lets nobody through whom `access.py` does not know. Mounted by `server.py`.

A new route is closed until it is named here. Whatever changes something must be POST, PUT, PATCH or DELETE: only those
are asked for a role and, when a cookie let them in, for the session's CSRF token.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.web.access import CSRF_FIELD, CSRF_HEADER, Access, Denied, Person, Role, Visit
from worker.web.session import Session

log = structlog.get_logger(__name__)

#: They bring their own proof, or tell nothing.
_OWN_RULES: Final = frozenset({"/healthz", "/readyz"})
_OWN_RULES_BELOW: Final = "/webhooks/"
#: What it takes to log in.
LOGIN, LOGOUT = "/login", "/logout"
_LOGIN_NEEDS: Final = "/static/"
API: Final = "/api"
#: Asked by Prometheus, which cannot log in.
METRICS: Final = "/metrics"

#: Ticked rows of a form, or ids in JSON, are far below.
MAX_BODY_BYTES: Final = 1024 * 1024
_MOST_FIELDS: Final = 25_000

_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM: Final = "application/x-www-form-urlencoded"

_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class _LogIn(Exception):
    """Nobody is known; a page sends people to the login."""


@dataclass(frozen=True, slots=True)
class _LetIn:
    """What a route is told, and a cookie that goes out with its answer."""

    person: Person | None
    cookie: str | None = None


class Gate:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or answer it here."""
        if scope["type"] != "http" or _has_own_rules(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            receive, let_in = await self._let_in(request)
        except _LogIn:
            await _ask_to_log_in(request)(scope, receive, _closed(send, request))
        except Denied as denied:
            log.warning("web_refused", status=denied.status, reason=str(denied))
            await refusal(request, denied)(scope, receive, _closed(send, request))
        else:
            if let_in.person is not None:
                request.state.person = let_in.person
            await self._app(scope, receive, _closed(send, request, let_in.cookie))

    async def _let_in(self, request: Request) -> tuple[Receive, _LetIn]:
        visit = self._access.visit(request)
        request.state.visit = visit
        changes = request.method not in _READS
        body = await _body(request) if changes else b""
        receive = _again(body, request.receive) if changes else request.receive
        program = self._program(request, visit)
        if program is not None:
            return receive, _LetIn(program)
        return receive, self._browser(request, visit, body, changes=changes)

    def _program(self, request: Request, visit: Visit) -> Person | None:
        path = _path(request)
        if path == METRICS:
            return self._access.bearer(request, visit, measures=True)
        return self._access.bearer(request, visit) if _below(path, API) else None

    def _browser(self, request: Request, visit: Visit, body: bytes, *, changes: bool) -> _LetIn:
        path, session, cookie = _path(request), self._access.session(request), None
        if session is None and not self._access.asks_password:
            session, cookie = self._unasked(visit)
        who = None if session is None else _person(session, visit)
        if path == LOGIN or path.startswith(_LOGIN_NEEDS):
            _check_origin(request, changes=changes)
            return _LetIn(who)
        if session is None:
            raise _LogIn
        if changes:
            _check_token(request, session, body)
            if session.role is not Role.OPERATOR and path != LOGOUT:
                raise Denied(403, "viewers change nothing; log in with the operators' password")
        return _LetIn(who, cookie)

    def _unasked(self, visit: Visit) -> tuple[Session, str]:
        """On this machine without a password: a session too, because other sites' pages run on this machine as well."""
        value = self._access.sessions.begin(Role.OPERATOR)
        session = self._access.sessions.read(value)
        if session is None:  # pragma: no cover - made a moment ago
            raise _LogIn
        return session, self._access.cookie(value, visit)


def refusal(request: Request, denied: Denied) -> Response:
    """One sentence, in the form that was asked for."""
    headers = {"www-authenticate": "Bearer"} if denied.status == 401 else None
    if _below(_path(request), API):
        return JSONResponse({"error": str(denied)}, denied.status, headers)
    return PlainTextResponse(f"leadsync: {denied}\n", denied.status, headers)


async def refused(request: Request, denied: Exception) -> Response:
    """The same for what a route itself refuses."""
    return refusal(request, denied if isinstance(denied, Denied) else Denied(403, str(denied)))


def _ask_to_log_in(request: Request) -> Response:
    query = request.scope["query_string"].decode("latin-1")
    where = _path(request) + (f"?{query}" if query else "")
    if _below(_path(request), API):
        return refusal(request, Denied(401, "log in, or send web.api_token as Authorization: Bearer"))
    if _path(request) == METRICS:
        return refusal(request, Denied(401, "send web.metrics_token as Authorization: Bearer, or log in"))
    if "hx-request" in request.headers:
        return PlainTextResponse("leadsync: log in again\n", 401, {"hx-redirect": LOGIN})
    if request.method not in _READS:
        return PlainTextResponse("leadsync: log in again, then repeat what you did\n", 403)
    return RedirectResponse(f"{LOGIN}?next={quote(where, safe='')}" if where != "/" else LOGIN, 303)


def _path(request: Request) -> str:
    """What routes go by. Not `request.url`: the Host header goes into it, so `Host: x/static/` would be a way in."""
    return str(request.scope["path"])


def _has_own_rules(path: str) -> bool:
    return path in _OWN_RULES or path.startswith(_OWN_RULES_BELOW)


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def _person(session: Session, visit: Visit) -> Person:
    return Person(role=session.role, address=visit.address, user=visit.user, csrf=session.csrf)


def _check_origin(request: Request, *, changes: bool) -> None:
    """Who logs in has no session yet, so there is no token: the browser itself says which page sent the form."""
    if not changes:
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    elsewhere = site not in ("same-origin", "none") if site else bool(origin) and not _is_ours(request, str(origin))
    if elsewhere:
        raise Denied(403, "this form was sent by a page of another site; open the login page, and try again")


def _is_ours(request: Request, origin: str) -> bool:
    return origin.partition("://")[2] == request.headers.get("host", "")


def _check_token(request: Request, session: Session, body: bytes) -> None:
    said = request.headers.get(CSRF_HEADER)
    if said is None and request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        said = dict(_fields(body)).get(CSRF_FIELD)
    if said is None or not hmac.compare_digest(said.encode("utf-8", "replace"), session.csrf.encode()):
        raise Denied(403, "this form does not belong to your session; load the page again, and repeat what you did")


def _fields(body: bytes) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Denied(413, f"expected a form of at most {_MOST_FIELDS} fields") from None


async def _body(request: Request) -> bytes:
    """All of it. It is read here once, so that nothing behind the gate can be given more."""
    body = bytearray()
    if _said_length(request) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect:  # nobody hears this
        raise Denied(400, "its body did not arrive whole: it hung up, or was too slow") from None
    return bytes(body)


def _said_length(request: Request) -> int:
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else 0


def _too_large() -> Denied:
    return Denied(413, f"expected a body of at most {MAX_BODY_BYTES} bytes")


def _again(body: bytes, receive: Receive) -> Receive:
    """What was read already, then whatever comes."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return rest.pop() if rest else await receive()

    return replay


def _closed(send: Send, request: Request, cookie: str | None = None) -> Send:
    """With the headers that every answer behind the gate has. A route's own word about caching stands."""
    is_static = _path(request).startswith(_LOGIN_NEEDS)

    async def closed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in _HEADERS.items():
                headers[name] = value
            if not is_static:
                headers.setdefault("cache-control", "no-store")
            if cookie is not None:
                headers.append("set-cookie", cookie)
        await send(message)

    return closed
