"""`leadsync simulate` as people run it: exit status, words, JSON, and the rules of their own leadsync.toml."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_SETTINGS = """
[sync]
conflicts = { name = "hold" }
[remotes.crm]
kind = "crm"
base_url = "http://127.0.0.1:9"
token = "never sent"
[remotes.outreach]
kind = "instantly"
base_url = "http://127.0.0.1:9"
token = "never sent"
on_missing = "create"
fields = { enrichment = "pull" }
"""


def _simulate(folder: Path, *words: str, code: str = "") -> subprocess.CompletedProcess[str]:
    start = f"{code}\nfrom worker.cli import main\nimport sys\nsys.argv[0] = 'leadsync'\nmain()"
    env = {name: value for name, value in os.environ.items() if not name.startswith("LEADSYNC_")}
    return subprocess.run(
        [sys.executable, "-c", start, "simulate", *words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_says_what_it_tried(tmp_path: Path) -> None:
    """Without settings: remotes of its own."""
    ran = _simulate(tmp_path, "--seed", "3", "--histories", "4", "--steps", "3", "--jobs", "1")
    assert (0, "") == (ran.returncode, ran.stderr)
    assert "Setting: three remotes of its own." in ran.stdout
    assert "Tried 4 histories" in ran.stdout
    assert "All 4 histories ended well." in ran.stdout


def test_it_plays_under_the_users_rules(tmp_path: Path) -> None:
    """His remotes and his policies; the story of the first history names them."""
    (tmp_path / "leadsync.toml").write_text(_SETTINGS)
    ran = _simulate(tmp_path, "--histories", "3", "--jobs", "1", "--story", "--json")
    assert 0 == ran.returncode, ran.stderr
    told = json.loads(ran.stdout)
    assert (3, 0) == (told["histories"], told["failed"])
    assert "leadsync.toml" in told["setting"]
    [story] = told["stories"]
    assert "remotes: crm (gone: hold), outreach (no versions, lists are created, gone: hold)" in story["story"]
    assert "conflicts: hold" in story["story"]


def test_it_plays_members_that_are_apart(tmp_path: Path) -> None:
    """Where the user lets them flow: by address, and by Instantly's own calls."""
    (tmp_path / "leadsync.toml").write_text(_SETTINGS.replace('"pull" }', '"pull", members = "both" }'))
    ran = _simulate(tmp_path, "--histories", "20", "--jobs", "1", "--story", "--json")
    assert 0 == ran.returncode, ran.stderr
    told = json.loads(ran.stdout)
    assert (20, 0) == (told["histories"], told["failed"])
    assert told["paths"]["members read"]
    assert "outreach (no versions, members apart, lists are created, gone: hold)" in told["stories"][0]["story"]


def test_a_history_that_ends_badly_fails_with_its_story(tmp_path: Path) -> None:
    """Exit status 1, the seed, and how to play it again."""
    broken = "from worker.store.memory import MemoryTx\nMemoryTx.attempted = lambda *_: None"
    ran = _simulate(tmp_path, "--histories", "20", "--jobs", "1", code=broken)
    assert 1 == ran.returncode
    assert "The first failing history, reduced (seed " in ran.stdout
    assert "WRONG: writes are explained: " in ran.stdout
    assert "play it again with: leadsync simulate --seed " in ran.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [(("--seed", "-1"), "--seed"), (("--histories", "0"), "--histories"), (("--steps", "x"), "--steps")],
)
def test_bad_arguments_are_refused(tmp_path: Path, words: tuple[str, str], says: str) -> None:
    """One sentence, exit status 2."""
    ran = _simulate(tmp_path, *words)
    assert 2 == ran.returncode
    assert says in ran.stderr
    assert "Traceback" not in ran.stderr
