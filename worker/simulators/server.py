"""The simulators as real HTTP servers: `leadsync simulator KIND`, and the child process of `running.py`.

    python -m worker.simulators.server crm instantly=8102 --seed 7 --until-stdin-closes

One uvicorn server carries them all, each on a port of its own. It prints one JSON object: their base URLs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
import uvicorn

from worker.errors import UsageError
from worker.processes import sigterm_ends_well
from worker.simulators import control
from worker.simulators.base import Simulator
from worker.simulators.crm import CrmSimulator
from worker.simulators.instantly import InstantlySimulator
from worker.simulators.lance import LanceSimulator
from worker.simulators.webhooks import Sender
from worker.simulators.wire import Delivery, SimRequest, SimResponse

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KINDS: Final[Mapping[str, type[Simulator]]] = {
    "crm": CrmSimulator,
    "instantly": InstantlySimulator,
    "lance": LanceSimulator,
}


def simulator(kind: str, switches: Mapping[str, Any] | None = None, *, seed: int = 0) -> Simulator:
    """A simulator of *kind* with its own defaults and these switches; `UsageError` names what is wrong."""
    if kind not in KINDS:
        raise UsageError(f"There is no simulator {kind!r}; choose one of {', '.join(KINDS)}.")
    try:
        chosen = KINDS[kind].defaults.changed(switches or {})
    except ValueError as error:
        raise UsageError(f"Simulator {kind}: {error}.") from None
    return KINDS[kind](chosen, seed=seed)


class Shell:
    """One simulator behind ASGI: adds a clock, sockets and the patience to wait."""

    def __init__(self, inner: Simulator, sender: Sender) -> None:
        self._inner = inner
        self._sender = sender
        # Wall time that never jumps: a strict window must not open because somebody set the clock.
        self._epoch = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._epoch + time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await _read(scope, receive)
        if request is None:
            return
        if request.path.startswith(control.PREFIX):
            response = control.answer(self._inner, request, self.now())
        else:
            response = self._inner.answer(request, self.now())
        while self._inner.outbox:
            self._sender.send(self._inner.outbox.popleft())
        try:
            await _write(response, receive, send)
        finally:
            self._inner.done(response, self.now())


async def _read(scope: Scope, receive: Receive) -> SimRequest | None:
    """The whole request; None when the client left before it was here."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    query = scope["query_string"]
    return SimRequest(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(query.decode(), keep_blank_values=True)) if query else {},
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        body=body,
    )


async def _write(response: SimResponse, receive: Receive, send: Send) -> None:
    if response.delay_s:
        await asyncio.sleep(response.delay_s)
    if response.delivery is Delivery.HANG:
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    size = str(len(response.body)).encode()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers.items()]
    if response.status != 204:
        headers.append((b"content-length", size))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.delivery is Delivery.CUT:
        # Returning before the announced length is reached makes the server break the connection.
        await send(
            {
                "type": "http.response.body",
                "body": response.body[: len(response.body) // 2],
                "more_body": True,
            }
        )
        return
    await send({"type": "http.response.body", "body": response.body})


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket; `UsageError` when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named: else every answer takes 40 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(2048)  # from here on connections wait instead of being refused
    except OSError as error:
        bound.close()
        raise UsageError(f"Cannot listen on {host}:{port} ({error.strerror}); choose another port.") from None
    return bound


def serve(
    simulators: Mapping[str, Simulator],
    ports: Mapping[str, int],
    *,
    host: str = "127.0.0.1",
    ready: Callable[[Mapping[str, str]], None],
) -> None:
    """Serve each simulator on its port (0 = a free one) until a signal comes; tell *ready* the base URLs."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(sigterm_ends_well())
        sockets = {name: stack.enter_context(_bound(host, ports[name])) for name in simulators}
        sender = Sender()
        shells = {sockets[name].getsockname()[1]: Shell(inner, sender) for name, inner in simulators.items()}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await shells[scope["server"][1]](scope, receive, send)
            except Exception:
                traceback.print_exc()  # a bug of ours; uvicorn's own voice is off
                raise

        config = uvicorn.Config(
            app,
            http="auto",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="critical",  # it would report every fault that we play
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        shown = f"[{host}]" if ":" in host else host
        ready({name: f"http://{shown}:{bound.getsockname()[1]}" for name, bound in sockets.items()})
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=list(sockets.values()))


def _end_with_stdin() -> None:
    """End this process at once when the other end of stdin is gone: its parent has died or has let go."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1024):
            pass
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _print(urls: Mapping[str, str]) -> None:
    sys.stdout.write(orjson.dumps(urls).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """The command line of the child process."""
    parser = argparse.ArgumentParser(prog="python -m worker.simulators.server", description="Simulators over HTTP.")
    parser.add_argument("kinds", nargs="+", metavar="KIND[=PORT]", help="crm, instantly or lance; port 0 if absent")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--switches", default="{}", help='JSON: {"crm": {"latency_s": 0.2}}')
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when the parent does")
    chosen = parser.parse_args()
    switches = orjson.loads(chosen.switches)
    ports = {kind: int(port or 0) for kind, _, port in (word.partition("=") for word in chosen.kinds)}
    try:
        simulators = {kind: simulator(kind, switches.get(kind), seed=chosen.seed) for kind in ports}
        if chosen.until_stdin_closes:
            _end_with_stdin()
        serve(
            simulators,
            ports,
            host=chosen.host,
            ready=_print,
        )
    except UsageError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
