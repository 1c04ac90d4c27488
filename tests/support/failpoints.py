"""Workers that die at named places, for tests that kill real processes there. Production knows nothing of it.

`python -m tests.support.failpoints worker` is `leadsync worker`, whose Celery is started through this module too; there
it wraps what use cases call. What reaches an armed place kills its process with SIGKILL, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.stack import Stack
from tests.support.waiting import wait_until

_ME = (sys.executable, "-m", "tests.support.failpoints")
_FOLDER = "FAILPOINTS"
#: A remote that answers later than this has the request by then.
_UNDER_WAY_S = 0.1


class Place(enum.StrEnum):
    """Where a worker can die."""

    EVENTS_READ = "events read, nothing taken in"
    EVENTS_TAKEN = "events taken in, not committed"
    EVENTS_COMMITTED = "events committed, not acknowledged"
    EVENTS_ACKNOWLEDGED = "events acknowledged, nobody rung"
    COPIES_CLAIMED = "copies claimed, not committed"
    COPIES_UNSENT = "claim committed, PATCH not sent"
    COPIES_UNDER_WAY = "PATCH under way"
    COPIES_ANSWERED = "PATCH answered, not settled"
    COPIES_SETTLED = "answers settled, not committed"
    COPIES_DONE = "answers settled and committed"
    CREATE_UNSENT = "create noted, not sent"
    CREATE_UNDER_WAY = "create under way"
    CREATE_ANSWERED = "create answered, not linked"
    PAGE_READ = "page of a scan read, nothing taken in"
    PAGE_TAKEN = "page of a scan taken in, not committed"
    PAGE_COMMITTED = "page of a scan committed, next one not asked for"


#: Those at which a write may be on its way to the remote.
UNDER_WAY = frozenset({Place.COPIES_UNDER_WAY, Place.CREATE_UNDER_WAY})

_OF_WRITES = {
    "PATCH": (Place.COPIES_UNSENT, Place.COPIES_UNDER_WAY, Place.COPIES_ANSWERED),
    "POST": (Place.CREATE_UNSENT, Place.CREATE_UNDER_WAY, Place.CREATE_ANSWERED),
}


@dataclass(frozen=True, slots=True)
class Failpoints:
    """Arms places for all workers of one stack."""

    folder: Path

    @contextlib.contextmanager
    def killing(self, place: Place, told: Callable[[], object]) -> Iterator[None]:
        """What the block begins ends there: the first worker that comes to the place dies. `told` is for a failure."""
        armed = self.folder / place.name
        armed.touch()
        yield
        wait_until(lambda: not armed.exists(), deadline_s=30, what=f"killed: {place}", told=told)


def with_failpoints(stack: Stack, folder: Path) -> Failpoints:
    """From now on the stack starts workers that can be killed at places."""
    folder.mkdir()
    stack.leadsync = _ME
    stack.env |= {_FOLDER: str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    return Failpoints(folder)


def reached(place: Place, *, if_any: Collection[object] = (None,)) -> None:
    """Die here if it is armed and it is about something; of several processes one does."""
    if not if_any:
        return
    try:
        (Path(os.environ[_FOLDER]) / place.name).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _put_in_places() -> None:
    from worker.remotes.http import HttpWire
    from worker.stream.redis_stream import RedisStream
    from worker.sync import intake
    from worker.sync.push import _Push
    from worker.sync.scan import _Scanner

    _after_await(RedisStream, "read", lambda entries, *_: reached(Place.EVENTS_READ, if_any=entries))
    _after(intake, "_take", lambda *_: reached(Place.EVENTS_TAKEN))
    _before(RedisStream, "ack", lambda _, ids: reached(Place.EVENTS_COMMITTED, if_any=ids))
    _after_await(RedisStream, "ack", lambda _, __, ids: reached(Place.EVENTS_ACKNOWLEDGED, if_any=ids))
    _after(_Push, "_settle_and_claim", _in_a_round)
    _after_await(_Push, "_round", lambda _, __, landed, ___: reached(Place.COPIES_DONE, if_any=landed))
    _before(_Scanner, "_count", lambda *_: reached(Place.PAGE_READ))
    _after(_Scanner, "_turn", lambda *_, **__: reached(Place.PAGE_TAKEN))
    _after_await(_Scanner, "_read", lambda *_: reached(Place.PAGE_COMMITTED))
    exchange = HttpWire.exchange

    async def exchanged(wire: HttpWire, request: Any) -> Any:
        if not request.writes:
            return await exchange(wire, request)
        unsent, under_way, answered = _OF_WRITES[request.method]
        reached(unsent)
        dies = asyncio.get_running_loop().call_later(_UNDER_WAY_S, reached, under_way)
        answer = await exchange(wire, request)
        dies.cancel()
        reached(answered)
        return answer

    setattr(HttpWire, "exchange", exchanged)  # noqa: B010 - mypy refuses to assign to a method


def _in_a_round(claims: Any, _push: Any, _tx: Any, landed: Any, _tickets: Any) -> None:
    reached(Place.COPIES_SETTLED, if_any=landed)
    reached(Place.COPIES_CLAIMED, if_any=claims)


def _before(owner: Any, name: str, look: Callable[..., object]) -> None:
    """`look` gets what the function gets."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **named: Any) -> Any:
        look(*args)
        return original(*args, **named)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, look: Callable[..., object]) -> None:
    """`look` gets what comes out, and then what went in."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*args: Any, **named: Any) -> Any:
        result = original(*args, **named)
        look(result, *args)
        return result

    setattr(owner, name, wrapped)


def _after_await(owner: Any, name: str, look: Callable[..., object]) -> None:
    """The same for a coroutine."""
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(*args: Any, **named: Any) -> Any:
        result = await original(*args, **named)
        look(result, *args)
        return result

    setattr(owner, name, wrapped)


def main() -> None:
    """Leadsync's command; or Celery's, when that is started by the worker below."""
    if "--app" in sys.argv:
        import celery.__main__

        _put_in_places()
        celery.__main__.main()
        return
    from worker import cli
    from worker.cli import processes

    own: Any = processes  # its constants, in this process alone
    own._LEADSYNC, own._CELERY = _ME, (*_ME, "--quiet", "--app")
    cli.main()


if __name__ == "__main__":
    main()
