"""A TCP proxy that resets connections at random, or falls silent: for tests between a worker and what it needs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

#: Where the proxy leads: a unix socket, or a port of this machine.
Target = Path | int

_CHUNK = 65_536
#: How often what waits for the end of a silence looks.
_SILENT_S = 0.02
#: `SO_LINGER` with no time at all: closing sends RST.
_RESET = struct.pack("ii", 1, 0)


class FaultProxy:
    """Forwards everything. While resets are `left`, some chunks cost their connection: half of these are lost, the
    other half arrive and only their answers are lost.
    """

    def __init__(self, target: Target, chance: Random) -> None:
        self._target, self._chance = target, chance
        #: The share of chunks that cost their connection.
        self.share = 0.0
        #: Resets to come.
        self.left = 0
        #: Nothing passes, either way, and nobody is told: as when a cable is cut. It passes afterwards.
        self.silent = False
        self.port = 0
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, until: asyncio.Event, ready: threading.Event) -> None:
        """Listen on a free port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await until.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            async with _closing(writer), self._upstream() as (back, forth):
                pumps = [asyncio.create_task(self._pump(*ends)) for ends in ((reader, forth), (back, writer))]
                ended, others = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for other in others:
                    other.cancel()
                if any(pump.result() for pump in ended):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    @contextlib.asynccontextmanager
    async def _upstream(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        if isinstance(self._target, Path):
            reader, writer = await asyncio.open_unix_connection(self._target)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target)
        async with _closing(writer):
            yield reader, writer

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> bool:
        """True when the connection is to be reset; False when one side has hung up."""
        with contextlib.suppress(ConnectionError):
            while chunk := await source.read(_CHUNK):
                while self.silent:  # noqa: ASYNC110 - set from another thread
                    await asyncio.sleep(_SILENT_S)
                hit = self.left > 0 and self._chance.random() < self.share
                if not hit or self._chance.random() < 0.5:
                    sink.write(chunk)
                    await sink.drain()
                if hit:
                    self.left -= 1
                    return True
        return False


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()  # what was written still leaves, unless SO_LINGER says otherwise


@contextlib.contextmanager
def fault_proxy(target: Target, chance: Random) -> Iterator[FaultProxy]:
    """One proxy in a thread of its own."""
    proxy, ready, until = FaultProxy(target, chance), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(proxy.serve(until, ready))

    thread = threading.Thread(target=run, name="fault-proxy")
    thread.start()
    try:
        assert ready.wait(10), "the proxy does not listen"
        yield proxy
    finally:
        loop.call_soon_threadsafe(until.set)
        thread.join()
