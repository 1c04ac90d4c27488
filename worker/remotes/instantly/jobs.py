"""Background jobs of Instantly: moves and imports that finish later. Asked by its connector before members are read."""

from __future__ import annotations

from worker.errors import Transient
from worker.remotes.base import Request, Send
from worker.remotes.instantly.paths import JOBS, PAGE
from worker.remotes.reading import Item, document

#: While a job is one of these, leads come and go. A paused one moves nobody, and may be paused for ever.
_AT_WORK = ("pending", "in-progress", "draining")
#: What only reads leads, or changes no membership.
_HARMLESS = frozenset({"export-leads", "rename-variable"})


async def none_at_work(send: Send, list_id: str) -> None:
    """Raises `Transient` while a job changes who is in this list. One that failed or was cancelled is over."""
    query: dict[str, str | int] = {"entity_id": list_id, "status": ",".join(_AT_WORK), "limit": PAGE}
    page = Item(document(await send(Request(method="GET", path=JOBS, query=query))), "a page of background jobs")
    if any(_changes(Item(value, "a background job"), list_id) for value in page.elements("items")):
        raise Transient("not read: a background job there is changing the list's leads; it is read when that has ended")


def _changes(job: Item, list_id: str) -> bool:
    # Looked at again: a filter that is not honoured must not stop all reads.
    status, about = job.text("status"), job.text_or_null("entity_id")
    return status in _AT_WORK and about == list_id and job.text("type") not in _HARMLESS
