"""What every bench prints and writes: its figures beside their baselines, and what they were measured on.

A table as the figures come; and the same as JSON under bench/results, or wherever `--json` says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.postgres import _places
from worker.embedded import server_binary

#: Where results are kept unless told otherwise; git does not see it.
RESULTS = Path(__file__).parent / "results"
#: Named with their versions; other people's programs where they are installed.
PACKAGES = ("leadsync", "celery", "kombu", "redis", "sqlalchemy", "psycopg", "httpx", "aiohttp")
PEERS = ("huey", "limits", "vdirsyncer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a bench: a figure, and the same of what it is compared with."""

    what: str
    value: float
    unit: str
    baseline: float | None = None
    #: What the baseline is.
    of: str = ""
    #: The same of the barest program that could do it, where one was measured in this run.
    ceiling: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None

    @property
    def share(self) -> float | None:
        """Of the raw ceiling."""
        return self.value / self.ceiling if self.ceiling else None


def options(doc: str | None) -> argparse.Namespace:
    """The arguments that all benches have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a quick size, to see that it works")
    add_json(parser)
    return parser.parse_args()


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json` alone prints the document instead of the table, `--json FILE` writes it beside the table."""
    told = "print one JSON document instead of the table, or write it to FILE (by itself: bench/results)"
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=told)


def show(figures: Iterator[Figure], *, as_json: str | None) -> None:
    """Lines as they come, and one document at the end."""
    kept = list[Figure]()
    if as_json == "-":
        kept += figures
        print(json.dumps(document(kept)))
        return
    print(" · ".join(f"{name} {version}" for name, version in versions().items()))
    print(f"{'':52} {'figure':>12} {'':12} {'baseline':>12} {'ratio':>8} {'ceiling':>8}")
    for one in figures:
        kept.append(one)
        ratio = f"{one.baseline:12,.6g} {one.ratio:8.3g}" if one.baseline and one.ratio is not None else " " * 21
        share = f"{one.share:8.0%}" if one.share is not None else " " * 8
        print(f"{one.what:52} {one.value:12,.6g} {one.unit:12} {ratio} {share}  {one.of}".rstrip(), flush=True)
    write(as_json, document(kept))


def write(file: str | None, told: dict[str, object]) -> None:
    """Keep it there, or where results of this bench are kept."""
    target = Path(file) if file else RESULTS / f"{Path(sys.argv[0]).stem}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(told, indent=1) + "\n")


def document(figures: list[Figure]) -> dict[str, object]:
    """Everything that the table shows."""
    items = [{**asdict(one), "ratio": one.ratio, "share": one.share} for one in figures]
    return {"at": datetime.now(UTC).isoformat(), "versions": versions(), "items": items, "next": None}


def versions() -> dict[str, str]:
    """What was measured: programs by name."""
    found = {"Python": platform.python_version(), "cores": str(os.cpu_count())}
    for package in (*PACKAGES, *PEERS):
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    found["SQLite"] = sqlite3.sqlite_version
    with suppress(OSError, IndexError):  # Valkey v=9.1.2 sha=…
        found["Redis server"] = " ".join(_says(server_binary()).split()[0:3:2]).replace("v=", "")
    with suppress(OSError, StopIteration):
        found["PostgreSQL"] = _says(next(place / "postgres" for place in _places() if (place / "initdb").exists()))
    return found


def _says(program: str | Path) -> str:
    """`postgres --version` is refused to nobody, not even to root."""
    with TemporaryDirectory() as elsewhere:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, cwd=elsewhere, check=False)
    return done.stdout.strip().removeprefix("postgres (PostgreSQL) ")
