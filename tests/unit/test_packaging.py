"""What a user gets: the wheel, the lock files, and `run` on a machine that lacks something."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("worker", "tasks", "models")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release builds it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_our_three_packages_whole_and_nothing_else(wheel: Path) -> None:
    """Every file of the packages is in, data files too; no tests, no benches."""
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    ours = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert ours == shipped


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Name, version, licence with its text, and the command."""
    with zipfile.ZipFile(wheel) as archive:
        info = f"leadsync-{PROJECT['version']}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{info}/METADATA").decode())
        commands = configparser.ConfigParser()
        commands.read_string(archive.read(f"{info}/entry_points.txt").decode())
        licence = archive.read(f"{info}/licenses/LICENSE")

    assert ("leadsync", PROJECT["version"], "Apache-2.0") == (
        metadata["Name"],
        metadata["Version"],
        metadata["License-Expression"],
    )
    assert "worker.cli:main" == commands["console_scripts"]["leadsync"]
    assert (ROOT / "LICENSE").read_bytes() == licence


def test_installed_packages_belong_to_leadsync_alone(wheel: Path, tmp_path: Path) -> None:
    """Other distributions install a `worker`, `tasks` or `models` too; with ours in place there is no doubt."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    question = (
        "import importlib.metadata as m; owners = m.packages_distributions();"
        f"print(m.version('leadsync'), *(name for package in {PACKAGES} for name in set(owners[package])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    answer = subprocess.check_output([sys.executable, "-c", question], env=environment, cwd=tmp_path, text=True)

    assert f"{PROJECT['version']} leadsync leadsync leadsync" == answer.strip()


def pins(lock: str) -> dict[str, str]:
    """Name and version of everything in a lock file."""
    text = (ROOT / lock).read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", text, flags=re.MULTILINE))


@pytest.mark.parametrize("part", ["requirements.lock", "requirements-embedded.lock", "requirements-build.lock"])
def test_the_test_lock_holds_the_others_exactly(part: str) -> None:
    """What is tested is what users run: `./run lock` makes all files agree."""
    assert pins(part)
    assert pins(part).items() <= pins("requirements-test.lock").items()


def test_locks_name_no_place_and_check_every_file() -> None:
    """No registry address, and at least one hash per package."""
    for lock in ROOT.glob("requirements*.lock"):
        entries = lock.read_text().split("\n    --hash=")
        assert "://" not in lock.read_text()
        assert len(entries) > len(pins(lock.name))
        assert not re.search(r"==[^\\\n]*\n(?!    --hash)", lock.read_text())


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`./run` with a changed environment."""
    command = ["/bin/sh", str(ROOT / "run"), *words]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, cwd="/"
    )


def test_run_alone_lists_its_commands() -> None:
    """From any folder, without installing anything."""
    listed = re.findall(r"^  (\w+) ", run().stdout, flags=re.MULTILINE)

    assert {"demo", "simulate", "test", "lint", "format", "bench", "lock"} == set(listed)


def test_run_names_a_command_that_it_does_not_know() -> None:
    """A typing mistake costs one line."""
    mistake = run("tset")

    assert (1, "run: there is no command tset; ./run lists them\n") == (mistake.returncode, mistake.stderr)


def a_python(folder: Path, *, recent: bool) -> str:
    """Something that answers like a Python without pip, recent enough or not."""
    python = folder / "python"
    python.write_text(
        '#!/bin/sh\ncase "$*" in\n*sys.executable*) echo "$0" ;;\n'
        f"*version_info*) exit {0 if recent else 1} ;;\n*) exit 1 ;;\nesac\n"
    )
    python.chmod(0o755)
    return str(python)


@pytest.mark.parametrize(
    ("recent", "sentence"),
    [(False, "run: Python 3.11 or newer is needed: install it"), (True, "needs pip 22.3 or newer: install it")],
)
def test_run_says_what_the_machine_lacks(tmp_path: Path, *, recent: bool, sentence: str) -> None:
    """An old Python, or one without pip: one sentence with the next step, and nothing is changed."""
    for name in ("run", "pyproject.toml", "requirements-test.lock", "requirements-build.lock"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    command = ["/bin/sh", str(tmp_path / "run"), "test"]
    environment = {**os.environ, "PYTHON": a_python(tmp_path, recent=recent)}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert 1 == told.returncode
    assert sentence in told.stderr
    assert 1 == len(told.stderr.splitlines())
    assert not (tmp_path / ".venv").exists()
