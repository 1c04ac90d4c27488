"""Simulators that send webhooks, the real web process, the real worker: an edit on one side reaches the others."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until
from tests.support.webhooks import HEADER, SECRET


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, sqlite_url: str) -> Iterator[Stack]:
    """Three equal lists everywhere, linked; every remote tells of its changes, each with its proof."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = {
        "LEADSYNC_WEB__PORT": str(port),
        "LEADSYNC_REMOTES__CRM__WEBHOOK_SECRET": SECRET,
        "LEADSYNC_REMOTES__LANCE__WEBHOOK_SECRET": SECRET,
        "LEADSYNC_REMOTES__LANCE__FIELDS": '{"members": "both"}',
        "LEADSYNC_REMOTES__INSTANTLY__WEBHOOK_HEADER": HEADER,
    }
    with running_stack(tmp_path / "data", redis_url, sqlite_url, settings=web) as running:
        running.seed(3)
        running.start("worker", "--concurrency", "1")
        running.start("beat")
        running.start("web")
        wait_until(lambda: _answers(port), deadline_s=30, what="the web process answers")
        running.link_all()
        running.wait_linked()
        for kind, remote in running.simulators.items():
            proof = {"webhook_header": HEADER} if kind == "instantly" else {"webhook_secret": SECRET}
            remote.switch(webhooks=[f"http://127.0.0.1:{port}/webhooks/{kind}"], **proof)
        yield running


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_edits_on_the_crm_and_on_lance_reach_all_others(stack: Stack) -> None:
    """
    Nobody publishes an event but the simulators themselves; members flow too.
    """
    stack.simulators["crm"].edit(stack.ids["crm"][0], name="From the CRM")
    wait_until(lambda: _shown(stack, 0) == {"From the CRM"}, deadline_s=30, what="the CRM's edit is everywhere")

    stack.simulators["lance"].edit(stack.ids["lance"][1], name="From Lance", members_added=["p1"])
    wait_until(lambda: _shown(stack, 1) == {"From Lance"}, deadline_s=30, what="Lance's edit is everywhere")
    crm = stack.simulators["crm"]
    wait_until(lambda: "p1" in crm.lead_list(stack.ids["crm"][1])["members"], deadline_s=30, what="so is its member")

    assert stack.all_equal()


def test_an_edit_on_instantly_asks_for_a_scan(stack: Stack) -> None:
    """
    Its webhook names no list, so all that it can do is wake a scan.
    """
    stack.simulators["instantly"].edit(stack.ids["instantly"][0], name="From Instantly")

    wait_until(lambda: stack.redis.exists("leadsync:nudge:instantly"), deadline_s=30, what="the nudge is there")


def _shown(stack: Stack, n: int) -> set[str]:
    return {names[n] for names in stack.names().values()}
