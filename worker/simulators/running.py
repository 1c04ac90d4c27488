"""Simulators in a child process, for the demo, the tests and the benches.

with running("instantly", latency_s=0.02) as remote:
    remote.seed(seed_lists(100, Random(1)))
    ... remote.base_url ...
    assert remote.summary()["rate_limited"] == 0
"""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from worker.errors import UsageError
from worker.simulators.server import KINDS, simulator

#: What a simulator accepts unless its switches say otherwise.
SIM_TOKEN: Final = "sim-token"  # noqa: S105 - no secret

_ROOT = Path(__file__).resolve().parents[2]
_END_S = 5.0


class RunningSimulator:
    """A handle on a simulator that answers at `base_url`: everything `/_sim/...` can do."""

    def __init__(self, kind: str, base_url: str) -> None:
        self.kind = kind
        self.base_url = base_url

    def state(self) -> list[dict[str, Any]]:
        """Every lead list, in canonical words."""
        items: list[dict[str, Any]] = self.sim_get("state")["items"]
        return items

    def lead_list(self, list_id: str) -> dict[str, Any]:
        """One lead list, in canonical words."""
        row: dict[str, Any] = self.sim_get(f"state?id={list_id}")["items"][0]
        return row

    def calls(self, *, after: int = 0) -> list[dict[str, Any]]:
        """The log of calls with a number above *after*, oldest first."""
        items: list[dict[str, Any]] = self.sim_get(f"calls?limit=100000&after={after}")["items"]
        return items

    def summary(self) -> dict[str, Any]:
        """The sums over all calls."""
        return dict(self.sim_get("summary"))

    def switch(self, **switches: Any) -> None:
        """Set some switches."""
        self._ask("PATCH", "switches", switches)

    def seed(self, lists: Sequence[Mapping[str, Any]]) -> list[str]:
        """Put lists there without telling anybody; their ids, in the same order."""
        ids: list[str] = self.sim_post("seed", {"lists": lists})["ids"]
        return ids

    def edit(self, list_id: str, **edit: Any) -> dict[str, Any]:
        """Change a list as a person would: canonical fields, members_added, members_removed, deleted."""
        return dict(self.sim_post("edit", {"id": list_id, **edit}))

    def next(self, fault: str, *, times: int = 1, methods: Sequence[str] = ()) -> None:
        """The next calls meet this fault."""
        self.sim_post("next", {"fault": fault, "times": times, "methods": list(methods)})

    def forget_calls(self) -> None:
        """Empty the log and the sums."""
        self.sim_post("reset", {"only": "calls"})

    def sim_get(self, path: str) -> Any:
        """GET `/_sim/{path}`."""
        return self._ask("GET", path, None)

    def sim_post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST `/_sim/{path}`."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.base_url).netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, f"/_sim/{path}", None if body is None else orjson.dumps(body))
            answer = connection.getresponse()
            content = orjson.loads(answer.read())
        if answer.status != 200:
            raise UsageError(f"Simulator {self.kind}: {content['error']}.")
        return content


@contextlib.contextmanager
def running(kind: str, *, seed: int = 0, **switches: Any) -> Iterator[RunningSimulator]:
    """One simulator on a free loopback port, in a process of its own that ends with this one."""
    with running_all((kind,), seed=seed, switches={kind: switches}) as simulators:
        yield simulators[kind]


@contextlib.contextmanager
def running_all(
    kinds: Sequence[str] = tuple(KINDS),
    *,
    ports: Mapping[str, int] | None = None,
    seed: int = 0,
    switches: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[dict[str, RunningSimulator]]:
    """Several simulators, each on its port (a free one unless named), together in one child process."""
    switches = switches or {}
    for kind in kinds:
        simulator(kind, switches.get(kind))  # a wrong switch is told here, not by a child that dies
    words = [f"{kind}={(ports or {}).get(kind, 0)}" for kind in kinds]
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "worker.simulators.server", *words),
            *("--seed", str(seed), "--switches", orjson.dumps(switches).decode(), "--until-stdin-closes"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the parent, which then lets go
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        },
    )
    try:
        yield {kind: RunningSimulator(kind, url) for kind, url in _urls(child).items()}
    finally:
        _end(child)


def _urls(child: subprocess.Popen[bytes]) -> dict[str, str]:
    """The base URLs, which the child prints as soon as its sockets are bound."""
    line = child.stdout.readline() if child.stdout else b""
    if not line:
        raise UsageError("The simulators did not start; the line above says why.")
    return dict(orjson.loads(line))


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let go of its stdin, which ends it."""
    for pipe in (child.stdin, child.stdout):
        if pipe:
            pipe.close()
    try:
        child.wait(_END_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
