"""The plain worker on huey instead of Celery: the same algorithm, another well-known queue. Started by `peers.py`."""

from __future__ import annotations

import os
from typing import Any

from huey import RedisHuey

from bench.plain_worker import take_in

huey = RedisHuey("plain", url=os.environ.get("PLAIN_HUEY"), results=False)


@huey.task(retries=3)  # type: ignore[untyped-decorator]  # huey has no types
def lead_list_changed(told: dict[str, Any]) -> None:
    """One event, as a task of huey."""
    take_in(told)
