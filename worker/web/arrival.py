"""How long and how large a request may be on its way in: uvicorn has limits for neither. Used by `server.py`.

Below the app, because a head that never ends never reaches the app. Slow senders cost a timer, never a worker.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

#: From a connection, or the first byte of its next request, to the last byte of that request.
ARRIVAL_S = 10.0
#: h11 knows whether a head is too long only between two pieces of it.
_PIECE_BYTES = 16 * 1024
#: What is still read, and thrown away, after an early answer: who is cut off while sending never sees the answer.
_LINGER_BYTES = 4 * 1024 * 1024


class Arrival(H11Protocol):
    """One connection. Its deadline runs exactly while a request is arriving; no byte prolongs it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._lingers = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as h11_impl
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        for begin in range(0, len(data), _PIECE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[begin : begin + _PIECE_BYTES])
        self._watch()
        if self._answered_early:
            self._lingers += len(data)
            if self._lingers > _LINGER_BYTES:
                self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._lingers = 0
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is answered in the same form as all else, or not at all after an answer."""
        status = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(status, f"expected well-formed HTTP/1.1 with a head of at most {_PIECE_BYTES} bytes")

    @property
    def _begun(self) -> RequestResponseCycle | None:
        """The request that began last; uvicorn's type hides that there may be none yet."""
        return self.cycle

    @property
    def _arriving(self) -> bool:
        if self._begun is None or self.conn.their_state is h11.SEND_BODY:
            return True
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    @property
    def _answered_early(self) -> bool:
        begun = self._begun
        return begun is not None and begun.response_complete and self.conn.their_state is h11.SEND_BODY

    def _watch(self) -> None:
        if not self._arriving or self.transport.is_closing():
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(ARRIVAL_S, self._late)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._refuse(408, f"the request did not arrive within {ARRIVAL_S:g} s")

    def _refuse(self, status: int, reason: str) -> None:
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = orjson.dumps({"error": reason})
            headers = [
                ("content-type", "application/json"),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            answer = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
            self.transport.write(b"".join(self.conn.send(part) or b"" for part in answer))
        if self._begun is not None:
            self._begun.disconnected = True  # the app, which may be waiting for more of the body, ends
            self._begun.message_event.set()
        self.transport.close()
