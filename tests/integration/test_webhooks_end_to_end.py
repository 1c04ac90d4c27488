"""Simulators that send webhooks, the real web process, the real worker: an edit on one side reaches the others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until
from tests.support.webhooks import HEADER, SECRET


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, sqlite_url: str) -> Iterator[Stack]:
    """Three equal lists everywhere, linked; every remote tells of its changes, each with its proof."""
    web = {
        "LEADSYNC_REMOTES__CRM__WEBHOOK_SECRET": SECRET,
        "LEADSYNC_REMOTES__LANCE__WEBHOOK_SECRET": SECRET,
        "LEADSYNC_REMOTES__LANCE__FIELDS": '{"members": "both"}',
        "LEADSYNC_REMOTES__LANCE__MEMBER_IDS": "shared",
        "LEADSYNC_REMOTES__INSTANTLY__WEBHOOK_HEADER": HEADER,
    }
    with running_stack(tmp_path / "data", redis_url, sqlite_url, settings=web) as running:
        running.seed(3)
        port = running.start_all()
        for kind, remote in running.simulators.items():
            proof = {"webhook_header": HEADER} if kind == "instantly" else {"webhook_secret": SECRET}
            remote.switch(webhooks=[f"http://127.0.0.1:{port}/webhooks/{kind}"], **proof)
        yield running


def test_an_edit_on_any_side_is_everywhere_at_once(stack: Stack) -> None:
    """
    Nobody publishes an event but the simulators themselves. Instantly's webhook names no list: it wakes a scan.
    """
    wait_until(lambda: _rested(stack), deadline_s=30, what="the next nudge need not wait")
    for n, kind in enumerate(("instantly", "crm", "lance")):
        began = time.monotonic()
        stack.simulators[kind].edit(stack.ids[kind][n], name=f"From {kind}")
        wait_until(partial(_shows, stack, n, f"From {kind}"), deadline_s=10, what=f"{kind}'s edit is everywhere")
        print(f"an edit on {kind} was everywhere after {time.monotonic() - began:.2f} s")  # noqa: T201 - shown with -s

    assert stack.all_equal()


def test_members_flow_too(stack: Stack) -> None:
    """
    From Lance to the CRM.
    """
    stack.simulators["lance"].edit(stack.ids["lance"][1], members_added=["p1"])
    crm = stack.simulators["crm"]
    wait_until(lambda: "p1" in crm.lead_list(stack.ids["crm"][1])["members"], deadline_s=30, what="so is its member")


def _rested(stack: Stack) -> bool:
    """Five seconds lie between nudged scans."""
    last = datetime.fromisoformat(stack.status()["remotes"]["instantly"]["last_complete_scan"])
    return datetime.now(UTC) - last > timedelta(seconds=6)


def _shows(stack: Stack, n: int, name: str) -> bool:
    return {names[n] for names in stack.names().values()} == {name}
