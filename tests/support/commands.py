"""Runs `leadsync` commands for tests: within this process, or as the real program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import orjson
import pytest

from models.lead_list import LeadList
from worker.cli import main
from worker.ports import Tx
from worker.store.sql import SqlStore


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return orjson.loads(self.out)


class Leadsync:
    """Runs commands within this process: fast, through the same door as the real program."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capfd = monkeypatch, capfd

    def __call__(self, *argv: str) -> Ran:
        """`leadsync argv…`."""
        self._monkeypatch.setattr(sys, "argv", ["leadsync", *argv])
        self._capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capfd.readouterr()
        return Ran(int(ended.value.code or 0), printed.out, printed.err)


class Command(Protocol):
    """Makes the command: told of remotes by their kinds, and of more variables."""

    def __call__(self, *remotes: str, **more: str) -> Leadsync:
        """Ready to be run."""
        ...


def run_program(*argv: str, env: Mapping[str, str], program: tuple[str, ...] = ("-m", "worker.cli")) -> Ran:
    """The same as a process of its own. Its settings are those of `env` alone."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEADSYNC_")}
    done = subprocess.run(
        [sys.executable, *program, *argv],
        env={**clean, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def remote_env(name: str, kind: str, base_url: str = "http://127.0.0.1:9", token: str = "sim-token") -> dict[str, str]:
    """The variables that configure one remote."""
    group = f"LEADSYNC_REMOTES__{name.upper()}__"
    return {f"{group}KIND": kind, f"{group}BASE_URL": base_url, f"{group}TOKEN": token}


def put(store: SqlStore, *lists: LeadList) -> list[int]:
    """Store these lead lists as they are; their numbers."""

    def work(tx: Tx) -> list[int]:
        numbers = tx.create([one.kind for one in lists])
        tx.save([(None, replace(one, id=number)) for number, one in zip(numbers, lists, strict=True)])
        return numbers

    return store.run_now(work)
