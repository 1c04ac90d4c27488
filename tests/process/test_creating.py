"""Creating by real processes: a list that appears in the CRM appears on Lance and Instantly, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

CREATE = {f"LEADSYNC_REMOTES__{remote}__ON_MISSING": "create" for remote in ("INSTANTLY", "LANCE")}


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[Stack]:
    """Simulators and servers; missing lists are created, and remotes are scanned often."""
    often = {f"LEADSYNC_REMOTES__{remote}__SCAN_EVERY_S": "3" for remote in ("INSTANTLY", "LANCE")}
    with running_stack(tmp_path / "data", redis_url, database_url, settings={**CREATE, **often}) as running:
        yield running


def test_a_new_list_appears_everywhere_once(stack: Stack) -> None:
    """
    Lance loses its answer to one call on the way; both end with one list of each name.
    """
    names = ["Berlin", "Paris", "Rome"]
    stack.simulators["lance"].next("timeout_after", times=1)
    stack.ids["crm"] = stack.simulators["crm"].seed([{"name": name, "kind": "person"} for name in names])
    stack.start("worker", "--concurrency", "2")
    stack.start("beat")
    for n, name in enumerate(names):
        stack.publish(n, {"fields": {"name": name, "kind": "person"}})

    def everywhere() -> bool:
        shown = [sorted(one["name"] for one in stack.simulators[kind].state()) for kind in ("instantly", "lance")]
        return shown == [names, names]

    wait_until(everywhere, deadline_s=60, what="all lists are on Instantly and Lance")
    wait_until(lambda: stack.status()["copies"]["in_sync"] == 9, deadline_s=60, what="all copies are in sync")
    assert everywhere()
