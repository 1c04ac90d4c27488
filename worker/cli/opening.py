"""What a command for operators opens: settings, the database, and Redis where it runs already."""

from __future__ import annotations

import contextlib
import getpass
import os
from collections.abc import Iterator

from worker.desk import Desk, add_events, remote_key, ring_push, ring_scan
from worker.embedded import shared_redis
from worker.settings import Settings, load_settings
from worker.store.database import check_schema, open_database
from worker.store.views import Views
from worker.wiring import Runtime

__all__ = ["Desk", "add_events", "at_desk", "beside", "person", "remote_key", "ring_push", "ring_scan"]


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
        yield Desk(runtime, views, person())


def beside(settings: Settings) -> Runtime:
    """A runtime that starts nothing: without redis.url, the server of a running `leadsync up`, if there is one."""
    return Runtime(settings, settings.redis.url or shared_redis(settings.data_dir).url)


def person() -> str:
    """Who typed the command, as this machine knows them."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError, ImportError):  # a container without names
        return f"cli:{os.getuid()}"
