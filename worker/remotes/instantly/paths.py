"""Where things are at Instantly. Used by the modules of its connector."""

from __future__ import annotations

from typing import Final

from worker.remotes.base import segment

LISTS: Final = "/api/v2/lead-lists"
LEADS: Final = "/api/v2/leads"
JOBS: Final = "/api/v2/background-jobs"
WORKSPACE: Final = "/api/v2/workspaces/current"
#: The most rows of anything that a page may hold.
PAGE: Final = 100


def lead_list(remote_id: str) -> str:
    """One lead list."""
    return f"{LISTS}/{segment(remote_id)}"
