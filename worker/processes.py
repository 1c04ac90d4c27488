"""Child processes that are kept running: for `leadsync up`, `leadsync worker` and the embedded Redis.

A child lives in its own process group, so Ctrl-C in a terminal reaches us alone and the children are asked to
end once, in order. On Linux a child also gets SIGTERM from the kernel when we die without a word (kill -9).
Nothing here uses threads: the kernel ties that promise to the thread that started the child.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Self

from worker.errors import UsageError

#: Seconds that children get to finish what they hold. Containers are killed after 30, so this must be less;
#: a supervisor of supervisors (`up` over `worker`) must wait longer than the ones below it.
DRAIN_S: Final = 25.0

#: A crashed child starts again after 1 s, then 2, 4, ... at most 30; a minute without a crash forgives all.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
FORGIVEN_AFTER_S: Final = 60.0

#: Our exit status for wrong usage or settings: a child that ended with it would only do so again.
WRONG_SETTINGS: Final = 2

# Becomes the child's own program after one system call. (A function run between fork and exec would be
# shorter, but is unsafe, and warned about, in a process that has threads.)
_DIE_WITH_PARENT: Final = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):  # it died before we asked to be told
    sys.exit(1)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A program to keep running."""

    #: What messages call it.
    name: str
    argv: Sequence[str]
    #: Added to our own environment.
    env: Mapping[str, str] = field(default_factory=dict)


def say_on_stderr(line: str) -> None:
    """Where messages go unless the caller has a better place."""
    sys.stderr.write(f"leadsync: {line}\n")


def spawn(child: Child) -> subprocess.Popen[bytes]:
    """Start *child* in its own process group, without input, to die with us (call it on the main thread)."""
    argv = list(child.argv)
    if sys.platform == "linux":
        argv = [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *argv]
    environment = {**os.environ, **child.env}
    # What a child prints is a log line; our standard output is for documents (`--json`).
    return subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=2, process_group=0)


class Kept:
    """One child, started again after a growing pause whenever it ends without being asked to."""

    def __init__(
        self,
        child: Child,
        *,
        say: Callable[[str], None] = say_on_stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._child = child
        self._say = say
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at = -math.inf
        self._crashes = 0

    @property
    def name(self) -> str:
        return self._child.name

    @property
    def pid(self) -> int | None:
        """None while it is not running."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def tend(self) -> float:
        """Start it if it is time; return the seconds until the next look is due, unless it ends before."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return math.inf
            self._note_crash(status)
        pause = self._start_at - self._clock()
        if pause > 0:
            return pause
        self._process = spawn(self._child)
        self._start_at = self._clock()
        return math.inf

    def status(self) -> int | None:
        """How it ended, as `subprocess` puts it; None while it runs or waits to be started again."""
        return self._process.poll() if self._process else None

    def ask_to_end(self) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, with all that it started in its group."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: not permitted on the dead
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _note_crash(self, status: int) -> None:
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        self.kill()  # what it left behind must not work beside its successor
        self._process = None
        if status == WRONG_SETTINGS:
            raise UsageError(f"{self.name} {how}; its message above says what to change")
        steady = self._clock() - self._start_at >= FORGIVEN_AFTER_S
        self._crashes = 1 if steady else self._crashes + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(self._crashes - 1, 10))
        self._start_at = self._clock() + pause
        self._say(f"{self.name} {how}; it starts again in {pause:g} s")


def stop(
    kept: Sequence[Kept],
    *,
    drain_s: float,
    wait: Callable[[float], None] = lambda most_s: time.sleep(min(most_s, 0.02)),
    hurry: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = say_on_stderr,
) -> bool:
    """Ask all to end; kill what still runs after *drain_s*, or when told to hurry. True if nothing did."""
    for one in kept:
        one.ask_to_end()
    deadline = time.monotonic() + drain_s
    while running := [one for one in kept if one.pid]:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or hurry():
            break
        wait(left_s)
    for one in running:
        say(f"{one.name} was still busy and had to be killed; nothing is lost, its work will be done again")
    for one in kept:
        one.kill()  # with what those that ended in time left behind
    return not running


@contextlib.contextmanager
def running(children: Sequence[Child], *, drain_s: float = DRAIN_S) -> Iterator[list[Kept]]:
    """*children* run inside the block: for a caller with a loop of its own, who may `tend` them there."""
    kept = [Kept(child) for child in children]
    try:
        for one in kept:
            one.tend()
        yield kept
    finally:
        stop(kept, drain_s=drain_s)


def supervise(
    children: Sequence[Child],
    *,
    also: Sequence[Kept] = (),
    drain_s: float = DRAIN_S,
    say: Callable[[str], None] = say_on_stderr,
) -> int:
    """Keep *children* running until SIGTERM, SIGINT or SIGHUP, then drain. Return the exit status.

    A second signal while draining kills at once. *also* are kept running too, but not ended: they are what
    the children stand on (the embedded Redis) and their owner ends them afterwards.
    """
    kept = [Kept(child, say=say) for child in children]
    with _Signals() as signals:
        try:
            while not signals.asked_to_end:
                signals.wait(min(one.tend() for one in (*also, *kept)))
        finally:
            drained = stop(kept, drain_s=drain_s, wait=signals.wait, hurry=signals.again(), say=say)
    return 0 if drained else 1


@contextlib.contextmanager
def sigterm_ends_well() -> Iterator[None]:
    """Exit status 0 on SIGTERM, also for a server that drains and then raises the signal again (uvicorn)."""
    old = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


class _Signals:
    """Turns signals into a count and a wake-up, so that one `select` waits for children, signals and time."""

    _END = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def __init__(self) -> None:
        self.asked_to_end = 0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._old_wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # A signal that our caller ignores (nohup) stays ignored.
        wanted = [number for number in self._END if signal.getsignal(number) is not signal.SIG_IGN]
        self._old = {number: signal.signal(number, self._count) for number in wanted}
        # The default action of SIGCHLD wakes nobody; any Python handler does.
        self._old[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._reader.close()
        self._writer.close()

    def again(self) -> Callable[[], bool]:
        """A question: has one more signal come since now?"""
        asked = self.asked_to_end
        return lambda: self.asked_to_end > asked

    def wait(self, most_s: float) -> None:
        """Sleep until a signal comes (a child that ends sends one too), at most *most_s*."""
        readable, _, _ = select.select([self._reader], [], [], None if math.isinf(most_s) else most_s)
        if readable:
            self._reader.recv(4096)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.asked_to_end += 1
