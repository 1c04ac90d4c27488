"""The HTTP wire: carries requests to one remote. Made by `worker.remotes.registry`; the only module that imports httpx.
`post` carries alerts.

httpx runs over aiohttp's connections, because its own pool collapses beyond a dozen requests in flight. Its client is
left out: cookies, redirects, proxies and a log line with the URL are not wanted here, and cost a quarter of the CPU.
Whether a request may have left is told by aiohttp's trace, never by the type of the exception: httpx-aiohttp reports
a connection that broke after sending as a connect time-out.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import formatdate
from importlib import metadata
from urllib.parse import urlsplit

import aiohttp
import certifi
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from pydantic import SecretStr

from worker.errors import BadAnswer, RemoteDown, Unclear, UsageError
from worker.remotes.base import Answer, Request

#: Decoded bytes of one answer, unless settings say otherwise. Lance shows whole persons: megabytes are normal there.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
#: Below the five seconds after which common servers hang up: a write should not meet a closing connection.
_KEEP_ALIVE_S = 4.0
#: Anything else could be wrapped several times, and each wrapping multiplies what a small body grows to.
_ENCODINGS = frozenset({"", "identity", "gzip"})

_FAILURES = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError)


@dataclass(slots=True)
class _Departure:
    """How far one exchange has come."""

    #: It has had a connection, so the remote may have got the request.
    possible: bool = False


_departure: ContextVar[_Departure] = ContextVar("departure")


class HttpWire:
    """Keeps up to `max_in_flight` connections alive. Redirects are not followed, proxies not used, cookies not kept.

    Connections are made on first use, and anew in each event loop and process: they survive neither a fork nor
    their loop.
    """

    def __init__(
        self,
        base_url: str,
        token: SecretStr,
        *,
        timeout_s: float,
        max_in_flight: int,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._max_answer_bytes = max_answer_bytes
        self._base_url = _checked_url(base_url)
        self._token = _checked_token(token)
        self._timeout_s = timeout_s
        self._max_in_flight = max_in_flight
        self._headers = {
            "authorization": f"Bearer {self._token.get_secret_value()}",
            "user-agent": f"leadsync/{_version()}",
            "accept": "application/json",
            "accept-encoding": "gzip",
        }
        self._transport: AiohttpTransport | None = None
        self._home: tuple[int, asyncio.AbstractEventLoop] | None = None

    async def exchange(self, request: Request) -> Answer:
        """Send, wait, answer, whatever the status; ends within `timeout_s` in all.

        Raises `RemoteDown` when the request surely did not arrive, `Unclear` when it may have.
        """
        departure = _Departure()
        _departure.set(departure)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(self._here(), request)
        except _FAILURES as error:
            where = urlsplit(self._base_url).netloc
            what = _what_happened(error, departure, where, self._timeout_s, "base_url")
        # Raised out here: the library's exception, which may hold the URL, stays out of the traceback.
        raise Unclear(what) if departure.possible else RemoteDown(what)

    async def close(self) -> None:
        """Hang up. The next exchange connects anew."""
        if self._transport is not None and self._home == _home():
            await self._transport.aclose()
        self._transport = self._home = None

    async def _exchange(self, transport: AiohttpTransport, request: Request) -> Answer:
        response = await transport.handle_async_request(self._to_send(request))
        try:
            body = await _read(response, self._max_answer_bytes)
        finally:
            await response.aclose()
        headers = dict(response.headers)
        # RFC 9110, 6.6.1: who receives an answer without a date records when it came.
        headers.setdefault("date", formatdate(usegmt=True))
        if not response.is_success:
            # Some servers quote the bad token in what they say about it.
            body = body.replace(self._token.get_secret_value().encode(), b"[token]")
        return Answer(status=response.status_code, headers=headers, body=body)

    def _to_send(self, request: Request) -> httpx.Request:
        url, query = self._base_url + request.path, request.query or None
        if request.body is None:
            return httpx.Request(request.method, url, params=query, headers=self._headers)
        headers = {**self._headers, "content-type": "application/json"}
        return httpx.Request(request.method, url, params=query, headers=headers, content=orjson.dumps(request.body))

    def _here(self) -> AiohttpTransport:
        home = _home()
        if self._transport is None or self._home != home:
            # Connections of another loop or process are left alone: they are not ours to close.
            trust = _trust(self._base_url)
            self._transport = AiohttpTransport(verify=trust, client=lambda: _session(trust, self._max_in_flight))
            self._home = home
        return self._transport


async def post(url: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float, setting: str) -> int:
    """One POST to exactly that address, over a connection of its own; the status of the answer, of which nothing is
    read. Neither redirects nor proxies. Raises as `exchange` does; `setting` is where people set the address.
    """
    departure = _Departure()
    _departure.set(departure)
    trust = _trust(url)
    transport = AiohttpTransport(verify=trust, client=lambda: _session(trust, 1))
    try:
        async with asyncio.timeout(timeout_s):
            ours = {"user-agent": f"leadsync/{_version()}", "content-type": "application/json"}
            request = httpx.Request("POST", url, headers={**ours, **headers}, content=body)
            response = await transport.handle_async_request(request)
            await response.aclose()
            return response.status_code
    except _FAILURES as error:
        what = _what_happened(error, departure, urlsplit(url).netloc, timeout_s, setting)
    finally:
        await transport.aclose()
    raise Unclear(what) if departure.possible else RemoteDown(what)


def _what_happened(error: Exception, departure: _Departure, where: str, timeout_s: float, setting: str) -> str:
    if departure.possible:
        if isinstance(error, TimeoutError):
            return f"no answer from {where} within {timeout_s:g} s"
        return f"the connection to {where} broke before the answer was complete"
    match error.__cause__ or error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host of {where} cannot be found; check {setting} and the network"
        case aiohttp.ClientConnectorCertificateError():
            return f"the TLS certificate of {where} is not accepted; check {setting} and the certificate"
        case aiohttp.ClientSSLError():
            return f"no TLS with {where}; is {setting} really https?"
        case aiohttp.ClientConnectorError() as refused:
            return f"no connection to {where}: {(refused.os_error.strerror or 'refused').lower()}"
        case _:
            return f"no connection to {where} within {timeout_s:g} s"


async def _read(response: httpx.Response, most: int) -> bytes:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise BadAnswer(f"expected an answer in gzip or plain, got content-encoding {encoding[:40]!r}")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            raise BadAnswer(f"expected an answer of at most {most >> 20} MiB (max_answer_mib), got a longer one")
    return bytes(body)


def _session(trust: ssl.SSLContext, max_in_flight: int) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=max_in_flight, keepalive_timeout=_KEEP_ALIVE_S, ssl=trust),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers={"content-type"},  # an empty body with a type is a 400 for some servers
        trace_configs=[_tracing()],
    )
    # aiohttp would repeat a GET or DELETE that lost its connection, past the rate budget and our own rules.
    session._retry_connection = False  # noqa: SLF001 - there is no public way
    return session


def _tracing() -> aiohttp.TraceConfig:
    async def connected(*_: object) -> None:
        _departure.get().possible = True

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(connected)
    tracing.on_connection_reuseconn.append(connected)
    return tracing


def _trust(base_url: str) -> ssl.SSLContext:
    if not base_url.startswith("https://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # never used, so nothing is loaded into it
    # The system's store may know a company's own authority; certifi's serves machines without a store.
    trust = ssl.create_default_context()
    trust.load_verify_locations(certifi.where())
    return trust


def _checked_url(base_url: str) -> str:
    try:
        url = urlsplit(base_url)
        usable = url.scheme in ("http", "https") and url.hostname and url.port != 0 and base_url.isprintable()
    except ValueError:  # a bracket without its partner, a port that is no number
        usable = False
    if not usable or " " in base_url:
        raise UsageError("base_url: expected an address such as https://api.example.com")
    if "@" in url.netloc or url.query or url.fragment:
        raise UsageError("base_url: expected no user, password, query or fragment; the token has its own key")
    return base_url.rstrip("/")


def _checked_token(token: SecretStr) -> SecretStr:
    text = token.get_secret_value()
    if not text or not all("!" <= character <= "~" for character in text):
        raise UsageError("token: expected printable ASCII characters without spaces; was it copied whole?")
    return token


def _home() -> tuple[int, asyncio.AbstractEventLoop]:
    return os.getpid(), asyncio.get_running_loop()


def _version() -> str:
    try:
        return metadata.version("leadsync")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return "0"
