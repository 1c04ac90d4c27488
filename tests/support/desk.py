"""Documents as the CLI and the web ask for them, over real servers: for the tests of `worker.documents`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.lead_list import Copy, LeadList, Parked, Standing, Waiting
from tests.support.commands import put
from worker.documents import lists as pages
from worker.documents.lists import ListLine
from worker.documents.show import ShowDocument, show
from worker.documents.status import StatusDocument, status
from worker.settings import Settings
from worker.store.database import open_database, upgrade
from worker.store.views import Views
from worker.wiring import Runtime

NOW = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Desk:
    """A runtime and views of the same database."""

    runtime: Runtime
    views: Views

    def status(self) -> StatusDocument:
        """`leadsync status`."""
        return self.runtime.run(status(self.runtime, self.views))

    def show(self, remote: str, remote_id: str, history: int = 20) -> ShowDocument:
        """`leadsync show`."""
        return self.runtime.run(show(self.runtime, self.views, (remote, remote_id), history=history))

    def lists(self, *standings: Standing, limit: int = 50) -> list[ListLine]:
        """All lines of all pages of `leadsync lists`."""
        lines: list[ListLine] = []
        after: str | None = None
        while True:
            ask = pages.lists(self.runtime, self.views, standings, limit=limit, after=after)
            page = self.runtime.run(ask)
            lines += page.items
            after = page.next
            if after is None:
                return lines

    def put(self, *lists: LeadList) -> list[int]:
        """Store these lists as they are."""
        return put(self.runtime.store, *lists)


def _settings(database_url: str, redis_url: str, *names: str) -> Settings:
    """Remotes called after their kinds, none of which is ever called."""
    remotes: dict[str, dict[str, Any]] = {
        name: {"kind": name, "base_url": "http://127.0.0.1:9", "token": "t"} for name in names
    }
    remotes["lance"] |= {"fields": {"members": "both"}, "member_ids": "shared"}
    return Settings.model_validate({"database": {"url": database_url}, "redis": {"url": redis_url}, "remotes": remotes})


@contextlib.contextmanager
def desk_at(database_url: str, redis_url: str, *names: str) -> Iterator[Desk]:
    """With these remotes configured, on the newest schema."""
    engine = open_database(database_url)
    upgrade(engine)
    runtime, views = Runtime(_settings(database_url, redis_url, *names), redis_url), Views(engine)
    try:
        yield Desk(runtime, views)
    finally:
        runtime.close()
        runtime.bells.close()
        views.close()


def standing_copy(remote: str, remote_id: str, standing: Standing, waiting: Waiting | None = None, **more: Any) -> Copy:
    """A copy that stands and waits so, since a minute ago unless it is in sync."""
    calm = standing is Standing.IN_SYNC
    due_at = NOW - timedelta(seconds=30) if standing is Standing.DUE else None
    parked = Parked("crm answered 422", "change the list", "") if standing is Standing.PARKED else None
    copy = Copy(remote=remote, remote_id=remote_id, standing=standing, waiting=waiting, due_at=due_at, parked=parked)
    return replace(copy, since=None if calm else NOW - timedelta(minutes=1), **more)
