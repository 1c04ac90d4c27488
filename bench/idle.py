"""Idle: what `leadsync up` costs while nothing happens, by process. Run by hand.

    ./run bench idle [--small] [--json]

Held fixed: the machine, `leadsync up` with its two Celery processes, embedded Redis, SQLite and the default tick, three
remotes in the settings and nothing to do for 20 s, after 20 s in which everything starts and is used once.

PSS counts a page that n processes share as 1/n in each, so the sum is what the machine really gives; RSS counts it in
full in each. CPU is a share of one core. The baseline is an idle Celery worker of two processes with the usual
settings and no tasks (the plain worker's).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.common import SOURCE, WORDS, configure, cpu_s, leadsync, memory_mib, plain_worker, tree
from bench.table import Figure, options, show
from worker.embedded import embedded_redis
from worker.processes import Child, running


@dataclass(frozen=True, slots=True, kw_only=True)
class Idling:
    """One process."""

    name: str
    pss_mib: float
    rss_mib: float
    cpu_percent: float


def watch(child: Child, *, settle_s: float, seconds: float) -> list[Idling]:
    """Every process of the tree, the root first."""
    with running([child]) as [kept]:
        time.sleep(settle_s)
        pids = tree(kept.pid or 0)
        before, begun = {pid: cpu_s(pid) for pid in pids}, time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - begun
        return [
            Idling(
                name=_name(pid),
                pss_mib=memory_mib(pid, "smaps_rollup", "Pss"),
                rss_mib=memory_mib(pid, "status", "VmRSS"),
                cpu_percent=(cpu_s(pid) - before[pid]) / passed * 100,
            )
            for pid in pids
        ]


def _name(pid: int) -> str:
    """What its command line says it is."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    known = {"up", "worker", "beat", "web", "worker.doorbell"}
    said = next((word for word in words if word in known), Path(words[0]).name)
    return f"celery {said}" if "celery" in words else said


def figures(*, small: bool) -> Iterator[Figure]:
    """All lines of the table."""
    settle_s, seconds = (10.0, 5.0) if small else (20.0, 20.0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = dict.fromkeys((SOURCE, *WORDS), "http://127.0.0.1:9")
        configure(folder, database_url=f"sqlite:///{folder / 'leadsync.db'}", urls=urls)
        ours = watch(leadsync("up"), settle_s=settle_s, seconds=seconds)
        server = stack.enter_context(embedded_redis(folder))
        worker = plain_worker(database_url="sqlite://", redis_url=server.url, urls={})
        plain = watch(worker, settle_s=settle_s, seconds=seconds)
    for what, unit in {"pss_mib": "MiB PSS", "rss_mib": "MiB RSS", "cpu_percent": "% CPU"}.items():
        value, baseline = _sum(ours, what), _sum(plain, what)
        yield Figure(what="leadsync up, all processes", value=value, unit=unit, baseline=baseline, of="× plain worker")
    for one in ours:
        yield Figure(what=f"  {one.name}", value=one.pss_mib, unit="MiB PSS")
        yield Figure(what=f"  {one.name}", value=one.cpu_percent, unit="% CPU")


def _sum(processes: list[Idling], what: str) -> float:
    return sum(float(getattr(one, what)) for one in processes)


if __name__ == "__main__":
    chosen = options(__doc__)
    show(figures(small=chosen.small), as_json=chosen.json)
