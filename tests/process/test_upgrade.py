"""Old and new version side by side over a migration, while people edit.

What `tests.support.outfit` judges after each step: all sides show the last edits, nothing was doubled, no writes
overlapped.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.next_version import next_version
from tests.support.outfit import Outfit, drain, running_outfit
from tests.support.waiting import wait_until


@pytest.fixture(params=["sqlite", "postgres"])
def outfit(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Outfit]:
    """All lists are linked; worker and beat of today run."""
    url: str = request.getfixturevalue(f"new_{request.param}_url")
    with running_outfit(tmp_path / "upgrade", url) as outfit:
        outfit.every_s = 0.1
        outfit.begin()
        yield outfit


def test_a_newer_leadsync_beside_the_old(outfit: Outfit, tmp_path: Path) -> None:
    """It waits for its schema, which grows under the old worker; then it comes, and the old one goes."""
    newer = next_version(outfit.stack, tmp_path / "next")
    needs = f"the database schema is {newer.old}, this leadsync needs {newer.new}; run: leadsync db upgrade"
    assert (2, f"leadsync: {needs}\n") == _run(outfit, *newer.command, "worker")

    with outfit.disaster("schema upgraded under the old worker"):
        assert 0 == _run(outfit, *newer.command, "db", "upgrade")[0]
    with outfit.disaster("a newer worker in place of the old one"):
        outfit.stack.leadsync, old = newer.command, outfit.worker
        outfit.worker = outfit.stack.start("worker", "--concurrency", "2")
        wait_until(lambda: outfit.child("celery"), deadline_s=30, what="the newer worker runs")
        drain(old)


def _run(outfit: Outfit, *argv: str) -> tuple[int, str]:
    done = subprocess.run(argv, env=outfit.stack.env, capture_output=True, text=True, check=False, timeout=60)
    return done.returncode, done.stderr
