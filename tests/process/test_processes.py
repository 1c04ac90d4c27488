"""The supervisor of `leadsync up` and `leadsync worker`, with real processes and real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.process import is_alive
from tests.support.waiting import wait_until
from worker.errors import UsageError
from worker.processes import Child, Kept, running, supervise

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="a promise of the Linux kernel")

#: A child that notes its pid and every signal in the file argv[1], and ends on SIGTERM.
POLITE = """
import os, signal, sys
notes = open(sys.argv[1], "a", buffering=1)
def note(number, _frame):
    print(signal.Signals(number).name, file=notes)
    if number == signal.SIGTERM:
        sys.exit(0)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, note)
print(os.getpid(), file=notes)
while True:
    signal.pause()
"""

#: One that does not end when told to, and has a child of its own that does not either.
STUBBORN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), file=open(sys.argv[1], "a"), flush=True)
while True:
    signal.pause()
"""

#: Its own settings are wrong.
MISTAKEN = "import sys; sys.exit(2)"

#: A supervisor as a process. argv: how long it drains, then a program and its file of notes for each child.
SUPERVISOR = """
import sys
from worker.errors import UsageError
from worker.processes import Child, supervise
drain_s, *rest = sys.argv[1:]
pairs = enumerate(zip(rest[::2], rest[1::2]))
children = [Child(name=f"child{n}", argv=[sys.executable, "-c", code, notes]) for n, (code, notes) in pairs]
try:
    sys.exit(supervise(children, drain_s=float(drain_s)))
except UsageError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


class Supervised:
    """A running supervisor and what its children noted."""

    def __init__(self, folder: Path, *programs: str, drain_s: float = 10.0, launcher: tuple[str, ...] = ()) -> None:
        self._notes = [folder / f"notes{number}" for number in range(len(programs))]
        pairs = [word for pair in zip(programs, map(str, self._notes), strict=True) for word in pair]
        self.process = subprocess.Popen(
            [*launcher, sys.executable, "-c", SUPERVISOR, str(drain_s), *pairs],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def noted(self, number: int = 0) -> list[str]:
        path = self._notes[number]
        return path.read_text().splitlines() if path.exists() else []

    def pids(self, number: int = 0) -> list[int]:
        """All that ever ran as this child, in order."""
        return [int(line) for line in self.noted(number) if line.isdigit()]

    def signals(self, number: int = 0) -> list[str]:
        return [line for line in self.noted(number) if not line.isdigit()]

    def waits_for_pids(self, count: int, number: int = 0) -> list[int]:
        wait_until(lambda: len(self.pids(number)) >= count, what=f"{count} starts of child {number}")
        return self.pids(number)

    def ended(self) -> tuple[int, str]:
        """Exit status, and what was said."""
        _, said = self.process.communicate(timeout=20)
        return self.process.returncode, said

    def clean_up(self) -> None:
        self.process.kill()
        for pid in [pid for number in range(len(self._notes)) for pid in self.pids(number)]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Supervised]]:
    """Starts supervisors, and leaves nothing of them behind."""
    started: list[Supervised] = []

    def begin(*programs: str, drain_s: float = 10.0, launcher: tuple[str, ...] = ()) -> Supervised:
        started.append(Supervised(tmp_path, *programs, drain_s=drain_s, launcher=launcher))
        return started[-1]

    yield begin
    for one in started:
        one.clean_up()


Start = Callable[..., Supervised]


def test_sigterm_ends_every_child_once_and_the_status_is_zero(start: Start) -> None:
    """An ordinary end: all children are asked once, all of them end, exit status 0."""
    tree = start(POLITE, POLITE)
    tree.waits_for_pids(1, 0)
    tree.waits_for_pids(1, 1)
    tree.process.send_signal(signal.SIGTERM)

    assert (0, "") == tree.ended()
    assert ["SIGTERM"] == tree.signals(0) == tree.signals(1)


def test_ctrl_c_reaches_the_children_as_one_sigterm(start: Start) -> None:
    """A terminal sends SIGINT to the whole foreground group; the children are not in it."""
    tree = start(POLITE)
    tree.waits_for_pids(1)
    os.killpg(tree.process.pid, signal.SIGINT)

    assert (0, "") == tree.ended()
    assert ["SIGTERM"] == tree.signals()


def test_a_killed_child_is_started_again(start: Start) -> None:
    """A crash is told in one line and the child runs again, not at once but after a pause."""
    tree = start(POLITE)
    [first] = tree.waits_for_pids(1)
    began = time.monotonic()
    os.kill(first, signal.SIGKILL)
    [_, second] = tree.waits_for_pids(2)
    pause = time.monotonic() - began
    tree.process.send_signal(signal.SIGTERM)
    status, said = tree.ended()

    assert first != second
    assert pause > 0.9
    assert (0, "leadsync: child0 was ended by SIGKILL; it starts again in 1 s\n") == (status, said)


def test_what_a_crashed_child_left_behind_ends_before_its_successor_starts(start: Start) -> None:
    """Processes that a dead child had started do not work beside the new one."""
    tree = start(STUBBORN)
    old = tree.waits_for_pids(2)
    os.kill(os.getpgid(old[0]), signal.SIGKILL)
    tree.waits_for_pids(4)

    assert not any(is_alive(pid) for pid in old)


def test_a_child_that_refuses_its_settings_ends_everything_with_status_2(start: Start) -> None:
    """Status 2 means that starting it again cannot help."""
    tree = start(POLITE, MISTAKEN)
    status, said = tree.ended()

    assert 2 == status
    assert "child1 ended with status 2; its message above says what to change\n" == said
    assert not any(is_alive(pid) for pid in tree.pids(0))


def test_a_child_that_does_not_end_is_killed_with_all_its_processes(start: Start) -> None:
    """After the drain time SIGKILL goes to the child's whole group, and the exit status is 1."""
    tree = start(STUBBORN, POLITE, drain_s=0.3)
    stubborn = tree.waits_for_pids(2, 0)
    tree.waits_for_pids(1, 1)
    tree.process.send_signal(signal.SIGTERM)
    status, said = tree.ended()

    assert 1 == status
    assert said.startswith("leadsync: child0 was still busy")
    wait_until(lambda: not any(is_alive(pid) for pid in stubborn), what="the stubborn processes end")
    assert ["SIGTERM"] == tree.signals(1)


def test_a_second_ctrl_c_does_not_wait_for_the_drain(start: Start) -> None:
    """Who asks twice is in a hurry."""
    tree = start(STUBBORN, POLITE, drain_s=60)
    tree.waits_for_pids(2, 0)
    tree.waits_for_pids(1, 1)
    began = time.monotonic()
    tree.process.send_signal(signal.SIGINT)
    wait_until(lambda: tree.signals(1), what="the children are asked to end")
    tree.process.send_signal(signal.SIGINT)

    assert 1 == tree.ended()[0]
    assert time.monotonic() - began < 20


@only_linux
def test_no_orphans_after_kill_9_of_the_supervisor(start: Start) -> None:
    """When the supervisor dies without a word, the kernel ends its children."""
    tree = start(POLITE, POLITE)
    pids = [*tree.waits_for_pids(1, 0), *tree.waits_for_pids(1, 1)]
    tree.process.kill()

    wait_until(lambda: not any(is_alive(pid) for pid in pids), what="the children end")
    assert ["SIGTERM"] == tree.signals(0) == tree.signals(1)


def test_nohup_is_respected(start: Start) -> None:
    """A SIGHUP that our caller told us to ignore stays ignored."""
    tree = start(POLITE, launcher=("sh", "-c", 'trap "" HUP; exec "$@"', "sh"))
    tree.waits_for_pids(1)
    tree.process.send_signal(signal.SIGHUP)
    tree.process.send_signal(signal.SIGTERM)

    assert (0, "") == tree.ended()


def test_what_children_print_goes_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output is for documents: a child's lines may not mix into `--json`."""
    with running([Child(name="talker", argv=["sh", "-c", "echo hello"])]) as [talker]:
        wait_until(lambda: talker.status() == 0, what="the child has spoken")

    assert ("", "hello\n") == capfd.readouterr()


def test_a_child_gets_our_environment_and_its_own(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`env` adds to what we have."""
    monkeypatch.setenv("OURS", "ours")
    child = Child(name="reader", argv=["sh", "-c", "echo $OURS $ITS"], env={"ITS": "its"})
    with running([child]) as [reader]:
        wait_until(lambda: reader.status() == 0, what="the child has ended")

    assert "ours its\n" == capfd.readouterr().err


def test_pauses_grow_to_a_cap_and_a_good_minute_forgives() -> None:
    """1, 2, 4, ... 30 s before a child that crashes at once starts again; after a minute's work 1 s."""
    now = 0.0
    said: list[str] = []
    kept = Kept(Child(name="brittle", argv=["false"]), say=said.append, clock=lambda: now)

    def crash(after_s: float) -> float:
        nonlocal now
        kept.tend()
        wait_until(lambda: kept.status() is not None, what="the child crashes")
        now += after_s
        pause = kept.tend()
        now += pause
        return pause

    assert [1, 2, 4, 8, 16, 30, 30] == [crash(after_s=0.1) for _ in range(7)]
    assert 1 == crash(after_s=61)
    assert "brittle ended with status 1; it starts again in 1 s" == said[0]


def test_supervise_keeps_its_foundation_running_but_does_not_end_it() -> None:
    """What the children stand on is started again like them, and outlives them."""
    foundation = Kept(Child(name="foundation", argv=["sleep", "60"]))
    foundation.tend()
    first = foundation.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    # The only child ends its supervisor, which is this very process, once the foundation stands again.
    child = Child(name="child", argv=["sh", "-c", "sleep 1.5; kill -TERM $PPID; sleep 60"])
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    try:
        assert 0 == supervise([child], also=[foundation])
        assert foundation.pid not in (None, first)
    finally:
        foundation.kill()
    assert handlers == [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]


def test_a_program_that_does_not_exist_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback, one sentence."""
    with running([Child(name="nothing", argv=["/no/such/program"])]) as [nothing]:
        wait_until(lambda: nothing.status() is not None, what="the start fails")

    assert "cannot run /no/such/program: No such file or directory\n" == capfd.readouterr().err


def test_wrong_settings_are_an_error_for_whoever_tends() -> None:
    """Outside `supervise` too, status 2 is not retried."""
    kept = Kept(Child(name="wrong", argv=["sh", "-c", "exit 2"]))
    kept.tend()
    wait_until(lambda: kept.status() == 2, what="the child refuses")

    with pytest.raises(UsageError, match="wrong ended with status 2"):
        kept.tend()
