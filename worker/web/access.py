"""Access: who asks, and what they may do. Routes ask it for the person; `gate.py` lets nobody else through.

| who comes                       | with                                | is                                      |
| ------------------------------- | ----------------------------------- | --------------------------------------- |
| a program                       | `Authorization: Bearer`, /api only  | an operator                             |
| Prometheus                      | the same, /metrics only             | a viewer                                |
| a browser                       | the session cookie of a login       | operator or viewer, as the password was |
| anybody on this machine         | nothing, while no password is set   | an operator                             |

In routes: `Depends(person)` for whoever was let in, `Depends(operator)` where something is changed. Whoever was let in
by a cookie brings `person.csrf` along with every request that changes something, as the header `X-CSRF-Token` or the
form field `csrf_token`; the gate has checked that, and the role, before a route is reached.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from fastapi import Request
from pydantic import SecretStr

from worker.settings import WebSettings
from worker.web.session import Passwords, Role, Session, Sessions

__all__ = ["COOKIE", "CSRF_FIELD", "CSRF_HEADER", "Access", "Denied", "Person", "Role", "Visit", "operator", "person"]

COOKIE: Final = "leadsync_session"
CSRF_FIELD: Final = "csrf_token"
CSRF_HEADER: Final = "x-csrf-token"

_SCHEME: Final = "bearer "
#: Headers that only a proxy adds: who sends them is not the one who asks.
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host")
#: Names that never lead to another machine, so a page from elsewhere cannot have been sent to us under them.
_LOOPBACK_HOST: Final = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_LONGEST_USER: Final = 64

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Denied(Exception):
    """Not let in. The text is one sentence for whoever asked."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whoever asks, after they were let in."""

    role: Role
    #: Where they are; "unknown" when the proxy did not say.
    address: str
    #: As a trusted proxy names them.
    user: str | None = None
    #: What their forms must bring along. None for programs, which need none.
    csrf: str | None = None

    @property
    def can_act(self) -> bool:
        """Whether buttons are shown."""
        return self.role is Role.OPERATOR

    @property
    def name(self) -> str:
        """How the audit names them."""
        return " ".join(part for part in (self.role.value, self.user, self.address) if part)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, as far as the connection and trusted proxies tell."""

    client: _Address | None
    user: str | None
    #: It came by TLS.
    tls: bool

    @property
    def address(self) -> str:
        """For people."""
        return "unknown" if self.client is None else str(self.client)


class Access:
    """The rules of one web process."""

    def __init__(
        self,
        settings: WebSettings,
        *,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        words = {Role.OPERATOR: settings.password, Role.VIEWER: settings.viewer_password}
        passwords = {role: word for role, word in words.items() if word is not None}
        self._settings = settings
        self._proxies = [ipaddress.ip_network(one) for one in settings.trusted_proxy]
        self._token, self._metrics_token = _bytes(settings.api_token), _bytes(settings.metrics_token)
        #: Whether people log in; otherwise only this machine is answered.
        self.asks_password = bool(passwords)
        self.passwords = Passwords(passwords, sleep)
        self.sessions = Sessions.of(passwords, now)

    def visit(self, request: Request) -> Visit:
        """Who asks, from where. Raises `Denied` while no password is set, unless it is surely somebody here."""
        peer = _address(request.client.host) if request.client else None
        trusted = peer is not None and self._is_proxy(peer)
        visit = self._behind_proxy(request) if trusted else Visit(peer, None, request.scope["scheme"] == "https")
        if not self.asks_password:
            self._only_here(request, visit, forwarded=trusted)
        return visit

    def bearer(self, request: Request, visit: Visit, *, measures: bool = False) -> Person | None:
        """A program, if it says to be one; one that `measures` may have a token for that alone. Raises `Denied` for a
        wrong token.
        """
        said = request.headers.get("authorization", "")
        if not said.lower().startswith(_SCHEME):
            return None
        known = [("web.api_token", self._token, Role.OPERATOR)]
        if measures:
            known.append(("web.metrics_token", self._metrics_token, Role.VIEWER))
        accepted = [(name, token, role) for name, token, role in known if token is not None]
        if not accepted:
            raise Denied(401, f"no token is accepted here: {known[-1][0]} is not set")
        brought = said[len(_SCHEME) :].strip().encode("latin-1")
        for _, token, role in accepted:
            if hmac.compare_digest(brought, token):
                return Person(role=role, address=visit.address, user=visit.user)
        raise Denied(401, f"this token is not the one in {accepted[-1][0]}")

    def session(self, request: Request) -> Session | None:
        """What the cookie proves."""
        return self.sessions.read(request.cookies.get(COOKIE, ""))

    def cookie(self, value: str, visit: Visit) -> str:
        """The header that gives it to the browser; an empty one takes it away."""
        secure = "; Secure" if visit.tls or self._settings.secure else ""
        ends = "" if value else "; Max-Age=0"
        return f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax{ends}{secure}"

    def _only_here(self, request: Request, visit: Visit, *, forwarded: bool) -> None:
        if visit.client is None or not visit.client.is_loopback:
            raise Denied(403, "this machine only, until web.password is set")
        if not forwarded and any(name in request.headers for name in _FORWARDED):
            raise Denied(403, "a proxy passed this on: set web.password, and web.trusted_proxy to its address")
        if not _LOOPBACK_HOST.fullmatch(request.headers.get("host", "")):
            raise Denied(403, "under localhost, 127.0.0.1 or [::1] only, until web.password is set")

    def _behind_proxy(self, request: Request) -> Visit:
        """The last hop that is no proxy of ours: what stands before it anybody could have written."""
        hops = [_address(hop.strip()) for hop in ",".join(request.headers.getlist("x-forwarded-for")).split(",")]
        client = next((hop for hop in reversed(hops) if hop is None or not self._is_proxy(hop)), None)
        name = request.headers.get("x-forwarded-user", "").encode("latin-1").decode("utf-8", "replace")
        said = "".join(c for c in name if c.isprintable()).strip()
        protocol = request.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
        return Visit(client, said[:_LONGEST_USER] or None, protocol == "https")

    def _is_proxy(self, address: _Address) -> bool:
        return any(address in network for network in self._proxies)


def person(request: Request) -> Person:
    """Whoever asks. For routes behind the gate, which is all but health checks and webhooks."""
    return cast("Person", request.state.person)


def operator(request: Request) -> Person:
    """Whoever asks, where something is changed. Raises `Denied`, in case the gate did not."""
    asks = person(request)
    if not asks.can_act:
        raise Denied(403, "viewers change nothing; log in with the operators' password")
    return asks


def _bytes(secret: SecretStr | None) -> bytes | None:
    return None if secret is None else secret.get_secret_value().encode()


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether only this machine can come from there, or listen there."""
    address = _address(host)
    return address is not None and address.is_loopback
