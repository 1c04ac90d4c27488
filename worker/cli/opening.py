"""What a command for operators opens: settings, the database, and Redis where it runs already."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from redis.exceptions import RedisError

from worker.embedded import EmbeddedRedis
from worker.errors import RedisAway, UsageError
from worker.ports import RemoteKey
from worker.settings import Settings, load_settings
from worker.store.database import check_schema, open_database
from worker.store.views import Views
from worker.stream.redis_stream import FIELD
from worker.wiring import Runtime, broker_url

#: The longest id that is kept.
_MAX_ID = 512


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that runs, and views of the database."""

    runtime: Runtime
    views: Views


@contextlib.contextmanager
def at_desk() -> Iterator[Desk]:
    """For commands that need the database only. Raises unless its schema is current."""
    settings = load_settings()
    with contextlib.ExitStack() as stack:
        runtime = beside(settings)
        stack.callback(runtime.close)
        engine = open_database(settings.database_url)
        views = Views(engine)
        stack.callback(views.close)
        check_schema(engine)
        yield Desk(runtime, views)


def beside(settings: Settings) -> Runtime:
    """A runtime that starts nothing: without redis.url, the server of a running `leadsync up`, if there is one."""
    socket = (settings.data_dir / "redis.sock").resolve()
    return Runtime(settings, settings.redis.url or EmbeddedRedis(socket, None).url)


def ring_push(runtime: Runtime, remotes: Iterable[str]) -> None:
    """Wake a worker, if there is one. Without it the next tick finds what is due."""
    from worker.celery_app import app
    from worker.dispatch import ring_all

    app.conf.update(broker_url=broker_url(runtime.redis_url))
    with contextlib.suppress(RedisError, OSError):
        ring_all(runtime.bells, remotes)


def add_events(runtime: Runtime, events: Iterable[str | bytes]) -> list[str]:
    """Put events into the stream; the ids of their entries."""
    pipeline = runtime.bells.pipeline(transaction=False)
    for event in events:
        pipeline.xadd(runtime.settings.events.stream, {FIELD: event})
    try:
        return [entry.decode() for entry in pipeline.execute()]
    except (RedisError, OSError) as error:
        raise RedisAway(f"Redis cannot be reached ({type(error).__name__}): start it, then try again") from None


def remote_key(text: str) -> RemoteKey:
    """A list on a remote, written REMOTE:ID. An id may hold colons; a remote's name does not."""
    remote, colon, remote_id = text.partition(":")
    if not (remote and colon and remote_id):
        raise UsageError(f"expected REMOTE:ID such as crm:17, got {text!r}")
    if len(remote_id) > _MAX_ID:
        raise UsageError(f"{remote}: an id has at most {_MAX_ID} characters, got {len(remote_id)}")
    if any("\ud800" <= character <= "\udfff" for character in text):  # bytes that were no text
        raise UsageError(f"expected REMOTE:ID in UTF-8, got {text!r}")
    return remote, remote_id
