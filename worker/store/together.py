"""Shared commits: pieces of work that wait at the same moment make one transaction of SQLite. Used by the SQL store.

SQLite has one writer at a time, and a commit that survives a power cut takes milliseconds: with a hundred remotes in
one process, a transaction each would spend its time waiting for the disk and for the lock. PostgreSQL does this by
itself for connections that commit at the same moment, and there shared locks could meet in a circle.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

Work = TypeVar("Work")

#: What is begun after this long in a shared transaction waits for the next one, so that other processes get the lock.
_LONG_S = 0.05


class Together(Generic[Work]):
    """One thread that serves whoever waits, in their order. A piece that fails is undone alone."""

    def __init__(self, engine: Engine, inside: Callable[[Connection, Work], Any], alone: Callable[[Work], Any]) -> None:
        """`inside` does a piece in a transaction that is open, `alone` in one of its own, tried again as usual."""
        self._engine, self._inside, self._alone = engine, inside, alone
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._waiting = deque[tuple[Work, Future[Any]]]()

    def submit(self, work: Work) -> Future[Any]:
        """Its result, once that is committed. Cancelled before it has begun, it never begins."""
        future = Future[Any]()
        self._waiting.append((work, future))
        self._thread.submit(self._serve)
        return future

    def close(self) -> None:
        """End the thread, after what still waits."""
        self._thread.shutdown()

    def _serve(self) -> None:
        """Once for each piece; the first of them finds them all."""
        some = [self._waiting.popleft() for _ in range(len(self._waiting))]
        some = [one for one in some if one[1].set_running_or_notify_cancel()]
        while some:
            some = some[self._share(some) if len(some) > 1 else self._one(*some[0]) :]

    def _share(self, some: list[tuple[Work, Future[Any]]]) -> int:
        """In one transaction, as many as fit; how many that were."""
        until, ended = time.monotonic() + _LONG_S, list[tuple[Any, Exception | None]]()
        try:
            with self._engine.begin() as connection:
                for work, _ in some:
                    ended.append(self._part(connection, work))
                    if time.monotonic() > until:
                        break
        except DBAPIError:
            # Nothing of it has happened: one by one, each with its own tries, and whose fault it was shows.
            for one in some:
                self._one(*one)
            return len(some)
        for (_, future), (result, error) in zip(some, ended, strict=False):
            _tell(future, result, error)
        return len(ended)

    def _part(self, connection: Connection, work: Work) -> tuple[Any, Exception | None]:
        try:
            with connection.begin_nested():
                return self._inside(connection, work), None
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - the caller's own, and goes to the caller
            return None, error

    def _one(self, work: Work, future: Future[Any]) -> int:
        try:
            _tell(future, self._alone(work), None)
        except Exception as error:  # noqa: BLE001 - the same
            _tell(future, None, error)
        return 1


def _tell(future: Future[Any], result: Any, error: Exception | None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
