"""POST /webhooks/{remote}: news of a remote into Redis. Mounted by `server.py`.

Proof first, and nothing of an unproven request is parsed. 202 means that Redis has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from models.event import BadEvent
from worker.errors import RedisAway, UsageError
from worker.settings import RemoteSettings
from worker.web.inbox import Inbox
from worker.web.news import read, traced
from worker.web.proof import NotProven, Proof
from worker.wiring import Runtime

log = structlog.get_logger(__name__)

#: Senders are told to stay below 20 kB; members of a large list take more.
MAX_BODY_BYTES = 1024 * 1024

_RETRY_AFTER_S = "5"


class _TooLarge(Exception):
    """The body is larger than the limit; the rest of it is not read."""


def router(runtime: Runtime, wake: Callable[[str], None], now: Callable[[], float] = time.time) -> APIRouter:
    """The one route. `wake` is called for a remote that was nudged, and returns at once; `now` is our clock, for the
    age of signatures. Raises `UsageError` for a secret that is none.
    """
    routes = APIRouter()
    remotes = runtime.settings.remotes
    proofs = {name: _proof(name, settings) for name, settings in remotes.items()}
    inbox = Inbox(runtime.redis, runtime.settings.events, wake)

    async def accept(remote: str, request: Request) -> bool:
        """True for news, False for a repeat."""
        proof = proofs[remote]
        signature = proof.check_head(request.headers.raw, now())
        body = await _body(request)
        if signature is not None:
            signature.check(body, proof.keys)
        webhook_id = signature.id.decode() if signature else None
        news = await read(body, runtime.registry.connector(remote), webhook_id)
        with traced(news, remote, request.headers.get("traceparent")) as told:
            return await inbox.put(remote, told, nudge_s=remotes[remote].scan_every_s)

    @routes.post("/webhooks/{remote}")
    async def webhook(remote: str, request: Request) -> JSONResponse:
        """Take one webhook."""
        if remote not in proofs:
            return _refused(404, "there is no remote of this name")
        try:
            new = await accept(remote, request)
        except NotProven as error:
            return _refused(401, str(error), remote)
        except _TooLarge:
            return _refused(413, f"expected a body of at most {MAX_BODY_BYTES} bytes", remote)
        except BadEvent as error:
            # The sentence may hold names of attributes that the sender chose: not for our log.
            return _refused(422, str(error), remote, logged="no event in its body; the answer says why")
        except RedisAway as error:
            return _refused(503, str(error), remote)
        except ClientDisconnect:
            # Nobody hears this; who was too slow has had its 408.
            return _refused(400, "its body did not arrive whole: it hung up, or was too slow", remote)
        return JSONResponse({"status": "accepted"}, 202) if new else JSONResponse({"status": "duplicate"})

    return routes


def _proof(name: str, settings: RemoteSettings) -> Proof:
    try:
        return Proof.of(settings)
    except UsageError as error:
        raise UsageError(f"remotes.{name}.{error}") from None


async def _body(request: Request) -> bytes:
    """All of it, if it is not too large."""
    if int(request.headers.get("content-length", 0)) > MAX_BODY_BYTES:
        raise _TooLarge
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _TooLarge
    return bytes(body)


def _refused(status: int, reason: str, remote: str | None = None, *, logged: str | None = None) -> JSONResponse:
    """A remote that is not configured is a stranger's text, and is not logged."""
    log.warning("webhook_refused", remote=remote, status=status, reason=logged or reason)
    headers = {"retry-after": _RETRY_AFTER_S} if status == 503 else None
    return JSONResponse({"error": reason}, status, headers)
