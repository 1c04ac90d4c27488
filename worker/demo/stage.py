"""The stage: simulators, Redis, SQLite and the worker's real processes, in a temporary folder. Set up by `play.py`."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any, TypeVar

from redis import Redis

from worker.demo.scenario import Scenario, settings, switches
from worker.embedded import embedded_redis, server_binary
from worker.errors import UsageError
from worker.processes import DRAIN_S, Child, Kept, running
from worker.settings import PREFIX, config_path, load_settings
from worker.simulators.running import RunningSimulator, running_all
from worker.store.database import open_database, upgrade
from worker.store.views import Views
from worker.wiring import Runtime

T = TypeVar("T")

_ROOT = Path(__file__).resolve().parents[2]
_REDIS_BIN = "LEADSYNC_REDIS_BIN"
#: One for intake and one for each remote.
_CONCURRENCY = 4


@dataclass
class Stage:
    """All that the demo runs on."""

    folder: Path
    simulators: Mapping[str, RunningSimulator]
    runtime: Runtime
    views: Views
    _children: list[Kept]
    #: Keep the folder at the end, for a person to look into.
    keep: bool = False

    @property
    def redis(self) -> Redis:
        """As any program would reach it, to add events."""
        return self.runtime.bells

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "leadsync.toml"

    @property
    def log(self) -> Path:
        """What the processes say."""
        return self.folder / "processes.log"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """A question to leadsync."""
        return self.runtime.run(work)

    def tend(self) -> None:
        """Start again what crashed."""
        with _stderr_to(self.log):
            for child in self._children:
                child.tend()


@contextlib.contextmanager
def staged(scenario: Scenario, say: Callable[[str], None]) -> Iterator[Stage]:
    """Everything runs inside the block and is gone after it, the folder too unless it is to be kept."""
    folder = _temporary_folder()
    keep = False
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(_own_environment(folder, say))
            stage = _set_up(stack, scenario, folder)
            try:
                yield stage
            except (KeyboardInterrupt, SystemExit):
                say("ending: the worker finishes the calls it has begun")
                raise
            keep = stage.keep
    finally:
        if not keep:
            rmtree(folder, ignore_errors=True)


def _temporary_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="leadsync-demo-"))
    except OSError as error:
        raise UsageError(
            f"no temporary folder can be made ({error.strerror}): set TMPDIR to a folder of yours"
        ) from None


def _set_up(stack: contextlib.ExitStack, scenario: Scenario, folder: Path) -> Stage:
    log = folder / "processes.log"
    with _stderr_to(log):
        simulators = stack.enter_context(running_all(seed=scenario.seed, switches=switches(scenario)))
        urls = {name: simulator.base_url for name, simulator in simulators.items()}
        (folder / "leadsync.toml").write_text(settings(urls, folder / "data"), encoding="utf-8")
        ours = load_settings()
        redis = stack.enter_context(embedded_redis(ours.data_dir, own=True))
        engine = open_database(ours.database_url)
        upgrade(engine)
        runtime = Runtime(ours, redis.url)
        stack.callback(runtime.close)
        views = Views(engine)
        stack.callback(views.close)
        children = stack.enter_context(running(_children(redis.url), drain_s=DRAIN_S + 5))
    kept = [*children, redis.server] if redis.server else children
    return Stage(folder, simulators, runtime, views, kept)


def _children(redis_url: str) -> list[Child]:
    leadsync, env = (sys.executable, "-m", "worker.cli"), {"LEADSYNC_REDIS__URL": redis_url}
    return [
        Child(name="worker", argv=(*leadsync, "worker", "--concurrency", str(_CONCURRENCY)), env=env),
        Child(name="beat", argv=(*leadsync, "beat"), env=env),
    ]


@contextlib.contextmanager
def _own_environment(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """The user's settings do not count, and neither do files of the working directory that are named like ours."""
    theirs = {name: value for name, value in os.environ.items() if name.startswith(PREFIX) and name != _REDIS_BIN}
    file = config_path()
    if ignored := sorted({*theirs, *([str(file)] if file else [])}):
        say(f"the demo has settings of its own and ignores {', '.join(ignored)}")
    before = dict(os.environ)
    path = os.pathsep.join(filter(None, (str(_ROOT), before.get("PYTHONPATH"))))
    ours = {"LEADSYNC_CONFIG": str(folder / "leadsync.toml"), "PYTHONPATH": path}
    ours[_REDIS_BIN] = str(Path(server_binary()).absolute())
    try:
        for name in theirs:
            del os.environ[name]
        os.environ.update(ours)
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _stderr_to(log: Path) -> Iterator[None]:
    """Processes that start in here write their messages to a file: the terminal shows the live view."""
    sys.stderr.flush()
    terminal = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    except UsageError as error:
        raise UsageError(f"{error}{_last_line(log)}") from None
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return f" ({lines[-1]})" if lines else ""
