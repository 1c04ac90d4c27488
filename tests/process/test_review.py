"""Review mode as its users work with it: look at the plan, apply it, and see exactly that arrive."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.stack import LEADSYNC, Stack, running_stack
from tests.support.waiting import wait_until


@pytest.fixture
def stack(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[Stack]:
    """Lance is under review; Instantly is not."""
    settings = {"LEADSYNC_REMOTES__LANCE__MODE": "review"}
    with running_stack(tmp_path / "data", redis_url, database_url, settings=settings) as running:
        yield running


def leadsync(stack: Stack, *argv: str) -> tuple[int, Any]:
    """One command with `--json`: its exit status and its document."""
    command = [*LEADSYNC, *argv, "--json"]
    done = subprocess.run(command, env=stack.env, capture_output=True, check=False, timeout=60)
    assert done.stdout, done.stderr.decode()
    return done.returncode, orjson.loads(done.stdout)


def writes(stack: Stack, remote: str) -> list[Any]:
    """What was written to one remote."""
    return [call["body"] for call in stack.simulators[remote].calls() if call["method"] != "GET"]


def test_nothing_is_written_under_review_but_what_was_applied(stack: Stack) -> None:
    """The other remote gets the change at once; the reviewed one gets it by `apply`, which waits until it is there."""
    stack.seed(3)
    stack.start("worker", "--concurrency", "1")
    stack.start("beat")
    stack.link_all()
    stack.wait_linked()
    stack.rename(0, "First")
    stack.rename(1, "Second")
    wait_until(lambda: stack.status()["due_by_reason"] == {"review": 2}, deadline_s=30, what="two copies wait")
    assert writes(stack, "lance") == []
    assert len(writes(stack, "instantly")) == 2

    status, plan = leadsync(stack, "plan")
    assert (status, len(plan["items"])) == (0, 2)
    stack.rename(1, "Second, edited after the plan")
    wait_until(lambda: stack.names()["instantly"][1].endswith("plan"), deadline_s=30, what="the edit is taken in")
    status, done = leadsync(stack, "apply", plan["hash"][:12], "--wait", "--yes")
    assert (status, done["let_through"]) == (3, 1)
    assert {one["fate"] for one in done["items"]} == {"sent", "moved"}
    assert writes(stack, "lance") == [{"name": "First"}]
    assert leadsync(stack, "apply", leadsync(stack, "plan")[1]["hash"], "--wait")[0] == 0
    assert stack.all_equal()
