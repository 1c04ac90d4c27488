"""`leadsync demo` as a user runs it: in a folder that could mislead it, with settings that must not count."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.waiting import wait_until

DEMO = (sys.executable, "-m", "worker.cli", "demo")
SMALL = ("--lists", "3", "--seconds", "2")
ROOT = Path(__file__).parents[2]

#: A demo that cannot end well: Lance answers 200 and keeps the old name.
DEAF = """
import sys
from worker.cli.demo import perform
from worker.demo.scenario import Scenario
sys.exit(perform(Scenario(lists=3, seconds=1, ignored={"lance": ("name",)}), json=True))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Temporary files go here, and the working directory holds files that are named like ours."""
    (tmp_path / "tmp").mkdir()
    for name in ("worker", "models", "tasks"):
        (tmp_path / "cwd" / name).mkdir(parents=True)
        (tmp_path / "cwd" / name / "__init__.py").write_text("raise SystemExit('not ours')")
    (tmp_path / "cwd" / "leadsync.toml").write_text("nonsense = 1")
    yield tmp_path
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True, text=True).stdout
    assert str(tmp_path / "tmp") not in running


def environment(folder: Path) -> dict[str, str]:
    """With settings of the user's; our packages come first, as they do once leadsync is installed."""
    ours = {"TMPDIR": str(folder / "tmp"), "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    return {**os.environ, **ours, "LEADSYNC_REDIS__URL": "redis://127.0.0.1:1/0"}


def run(folder: Path, *command: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    done = subprocess.run(
        command, cwd=folder / "cwd", env=environment(folder), capture_output=True, text=True, check=False, timeout=110
    )
    return done.returncode, done.stdout, done.stderr


def test_a_small_demo_ends_equal_and_its_numbers_add_up(folder: Path) -> None:
    """Exit 0, one document on standard output, plain progress on standard error, nothing left behind."""
    status, out, err = run(folder, *DEMO, *SMALL, "--json")

    assert 0 == status, err
    says: dict[str, Any] = orjson.loads(out)
    assert says["all_equal"] is True
    assert (3, [], 0) == (says["lists"], says["different"], says["overlaps"])
    assert says["patches"] + says["reads"] == says["calls"]
    assert says["patches_needed"] - says["patches"] == says["calls_saved"]
    assert 0 < says["lag_ms"]["p50"] <= says["lag_ms"]["p99"]
    assert 1 <= says["rejected"] < says["events"]
    assert 1 <= says["rate_limited"] + says["retried"] < says["calls"]
    assert "\x1b" not in err
    assert "ignores LEADSYNC_REDIS__URL, leadsync.toml\n" in err
    assert {"linking", "editing", "settling", "done"} <= {line.split()[0] for line in err.splitlines()}
    assert [] == list((folder / "tmp").iterdir())
    assert {"leadsync.toml", "models", "tasks", "worker"} == {path.name for path in (folder / "cwd").iterdir()}


def test_a_demo_whose_copies_stay_different_ends_with_3_and_says_where_to_look(folder: Path) -> None:
    """The judge is not leadsync: a field that a remote ignores is found in the simulators; all is kept for a person."""
    status, out, err = run(folder, sys.executable, "-c", DEAF)

    assert 3 == status, err
    says = orjson.loads(out)
    assert says["all_equal"] is False
    [kept] = (folder / "tmp").iterdir()
    assert f"of 3 lists differ: crm:{says['different'][0]} (name)" in err
    assert f"LEADSYNC_CONFIG={kept / 'leadsync.toml'} leadsync show crm:{says['different'][0]}" in err
    assert (kept / "processes.log").exists()


def test_ctrl_c_ends_cleanly(folder: Path) -> None:
    """Exit 130, no traceback, no process and no folder left."""
    process = subprocess.Popen(
        DEMO, cwd=folder / "cwd", env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        wait_until(lambda: process.stdout and "reads" in process.stdout.readline(), what="the first line")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()

    assert 130 == process.returncode
    assert "Traceback" not in err
    assert [] == list((folder / "tmp").iterdir())
