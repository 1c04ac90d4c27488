"""Questions about processes that are not our children: for tests that kill and count them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def is_alive(pid: int) -> bool:
    """True while it runs; one that has ended and only waits to be collected does not count."""
    try:
        os.kill(pid, 0)
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # ended just now; or a system without /proc, where only kill can tell
        return not Path("/proc/self").exists()


def descendants(pid: int) -> list[int]:
    """All processes below *pid*, children before grandchildren."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        parents.setdefault(int(after_name[1]), []).append(int(status.parent.name))
    found, frontier = list[int](), [pid]
    while frontier:
        children = parents.get(frontier.pop(), [])
        found += children
        frontier += children
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether it has something to do at that signal, instead of dying from it."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) & 1 << number - 1)
    return False


def kill_tree(pid: int) -> None:
    """SIGKILL for *pid* and everything below it, as a power cut would."""
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """SIGSTOP for *pid* and everything below it, for the length of the block, as a machine that hangs would."""
    tree = [pid, *descendants(pid)]
    for each in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)
