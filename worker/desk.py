"""The desk: what a person acts through, whether by a command or in a browser. Used by the CLI and the web.

It has the store in that person's name, so that the audit knows who it was, and the bells that wake a worker afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from redis.exceptions import RedisError

from worker.errors import RedisAway, UsageError
from worker.partitions import partition_key, partition_of
from worker.ports import RemoteKey
from worker.redis_access import broker_url, why
from worker.store.views import Views
from worker.stream.redis_stream import FIELD
from worker.sync.acting import Acting
from worker.wiring import Runtime

#: The longest id that is kept.
_MAX_ID = 512


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that runs, views of the database, and who sits there."""

    runtime: Runtime
    views: Views
    who: str

    @property
    def store(self) -> Acting:
        """The database, in that person's name."""
        return Acting(self.runtime.store, self.who)


def ring_push(runtime: Runtime, remotes: Iterable[str]) -> None:
    """Wake a worker, if there is one. Without it the next tick finds what is due."""
    from worker.dispatch import ring_all

    with _ringing(runtime):
        ring_all(runtime.bells, remotes)


def ring_scan(runtime: Runtime, remote: str) -> None:
    """The same for the scan of a remote."""
    from worker.celery_app import TaskName
    from worker.dispatch import ring

    with _ringing(runtime):
        ring(runtime.bells, TaskName.SCAN, remote)


def add_events(runtime: Runtime, events: Iterable[str | bytes]) -> list[str]:
    """Put events into the stream; the ids of their entries."""
    settings, pipeline = runtime.settings.events, runtime.bells.pipeline(transaction=False)
    for event in events:
        key = partition_key(settings.stream, partition_of(event, settings.partitions))
        pipeline.xadd(key, {FIELD: event})
    try:
        return [entry.decode() for entry in pipeline.execute()]
    except (RedisError, OSError) as error:
        raise RedisAway(why(error)) from None


def remote_key(text: str) -> RemoteKey:
    """A list on a remote, written REMOTE:ID. An id may hold colons; a remote's name does not."""
    remote, colon, remote_id = text.partition(":")
    if not (remote and colon and remote_id):
        raise UsageError(f"expected REMOTE:ID such as crm:17, got {text!r}")
    if len(remote_id) > _MAX_ID:
        raise UsageError(f"{remote}: an id has at most {_MAX_ID} characters, got {len(remote_id)}")
    if any("\ud800" <= character <= "\udfff" or character == "\0" for character in text):  # bytes that were no text
        raise UsageError(f"expected REMOTE:ID in UTF-8, got {text!r}")
    return remote, remote_id


@contextlib.contextmanager
def _ringing(runtime: Runtime) -> Iterator[None]:
    from kombu.exceptions import OperationalError

    from worker.celery_app import app

    app.conf.update(broker_url=broker_url(runtime.redis_url))
    with contextlib.suppress(RedisError, OSError, OperationalError):
        yield
