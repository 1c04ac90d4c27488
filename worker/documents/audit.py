"""The document of `leadsync audit list`: what people did, the newest first."""

from __future__ import annotations

import asyncio

from models.audit import Audited
from worker.documents.lists import PageDocument, as_page, cursor_number
from worker.store.views import Views


async def audit(views: Views, *, limit: int, after: str | None) -> PageDocument[Audited]:
    """Who, what, and what it was before and after."""
    before = cursor_number(after) or None
    found = await asyncio.to_thread(views.look, lambda view: view.audit.newest(limit, before))
    return as_page(found, limit, lambda one: one, lambda one: str(one.id))
