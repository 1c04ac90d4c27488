"""Several machines' worth: PostgreSQL, Redis and remotes over TCP, through proxies that can reset connections.

Each part is killed or held up, workers are replaced one by one, connections break by the hundred; all while people
edit. What `tests.support.outfit` judges after each: all sides show the last edits, nothing was doubled, no writes
overlapped. `KILL_TEST_ROUNDS=20` does each that often; `-s` shows the times to recover.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.support.fault_proxy import FaultProxy, Target, fault_proxy
from tests.support.outfit import ROUNDS, Outfit, drain, running_outfit, trouble_lasts
from tests.support.postgres import Postgres, running_postgres
from tests.support.process import kill_tree, paused
from tests.support.stack import end
from tests.support.waiting import wait_until

#: Many processes begin and end here, which takes a while where there are few cores.
pytestmark = pytest.mark.timeout(300)

#: Connections that are reset between the processes and each of what they depend on.
RESETS = {"redis": 60, "postgres": 100, "instantly": 20, "lance": 20}
#: The share of chunks that cost their connection; Redis and PostgreSQL are asked far more often than remotes.
SHARES = {"redis": 0.05, "postgres": 0.03, "instantly": 0.3, "lance": 0.3}


@dataclass
class Site:
    """All that can be broken."""

    outfit: Outfit
    postgres: Postgres
    proxies: dict[str, FaultProxy]

    def reset_connections(self) -> None:
        """Returns when all of `RESETS` have happened."""
        for name, proxy in self.proxies.items():
            proxy.share, proxy.left = SHARES[name], RESETS[name]

        def left() -> dict[str, int]:
            return {name: proxy.left for name, proxy in self.proxies.items() if proxy.left}

        wait_until(lambda: not left(), deadline_s=90, what="all connections are reset", told=left)


@pytest.fixture(params=range(ROUNDS), autouse=True)
def _round() -> None:
    """Every test that often."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """All lists are linked; worker and beat run."""
    folder = tmp_path_factory.mktemp("kills")
    # What a commit has answered must outlive the server, as it does for users.
    with (
        running_postgres(synchronous_commit="on") as postgres,
        postgres.database("kills") as url,
        running_outfit(folder, url) as outfit,
        contextlib.ExitStack() as stack,
    ):
        remotes = {kind: urlsplit(remote.base_url).port or 0 for kind, remote in outfit.stack.simulators.items()}
        targets: dict[str, Target] = {"redis": outfit.redis.socket, "postgres": postgres.socket, **remotes}
        del targets["crm"]  # it is told of nothing, and hardly asked
        proxies = {name: stack.enter_context(fault_proxy(target, Random(name))) for name, target in targets.items()}
        stack.callback(end, outfit.stack.processes)
        outfit.stack.env |= _through(proxies)
        outfit.begin()
        yield Site(outfit, postgres, proxies)


def _through(proxies: Mapping[str, FaultProxy]) -> dict[str, str]:
    """Settings of a process for which they stand between it and what it depends on."""
    places = {
        "redis": ("REDIS__URL", "redis://127.0.0.1:{}/0"),
        "postgres": ("DATABASE__URL", "postgresql+psycopg://postgres@127.0.0.1:{}/kills"),
    }
    remote = "REMOTES__{}__BASE_URL", "http://127.0.0.1:{}"
    found = {name: (*places.get(name, remote), proxy.port) for name, proxy in proxies.items()}
    return {f"LEADSYNC_{key.format(name.upper())}": url.format(port) for name, (key, url, port) in found.items()}


def test_postgres_ends_at_once(site: Site) -> None:
    """As its own "immediate": no checkpoint, all connections break; then it recovers from its log."""
    with site.outfit.disaster("PostgreSQL ended at once"):
        site.postgres.server.end_at_once()
        site.postgres.start_again()


def test_paused_postgres(site: Site) -> None:
    """It hangs in the middle of everything, and goes on."""
    with site.outfit.disaster("PostgreSQL paused"), paused(site.postgres.server.pid):
        trouble_lasts(2)


def test_rolling_restart(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four workers each is replaced: a new one begins beside it, then it ends well."""
    outfit = site.outfit
    monkeypatch.setattr(outfit, "every_s", 0.05)  # it takes a while
    workers = [outfit.worker, *(outfit.stack.start("worker", "--concurrency", "2") for _ in range(2)), _another(outfit)]
    with outfit.disaster("four workers replaced"):
        for old in list(workers):
            workers.append(_another(outfit))
            assert drain(old) < 25
    for one in workers[4:-1]:
        assert drain(one) < 25


def test_a_host_that_is_cut_off(site: Site) -> None:
    """A worker reaches neither Redis nor PostgreSQL, but remotes: others take over what it had in hand, and what it
    brings when it is back no longer counts.
    """
    outfit, worker = site.outfit, site.outfit.worker
    targets: dict[str, Target] = {"redis": outfit.redis.socket, "postgres": site.postgres.socket}
    with contextlib.ExitStack() as stack:
        own = {name: stack.enter_context(fault_proxy(target, Random(name))) for name, target in targets.items()}
        far = _another(outfit, **_through(own))
        with outfit.disaster("a host cut off"):
            for proxy in own.values():
                proxy.silent = True
            outfit.wait_taken_in()
            wait_until(lambda: outfit.open_writes() == 0, deadline_s=60, what="others take over", told=outfit.told)
            for proxy in own.values():
                proxy.silent = False
        assert drain(far) < 25
    outfit.worker = worker


def _another(outfit: Outfit, **env: str) -> subprocess.Popen[bytes]:
    """A worker beside those that run."""
    outfit.worker = outfit.stack.start("worker", "--concurrency", "2", **env)
    wait_until(lambda: outfit.child("celery"), deadline_s=30, what="another worker runs", told=outfit.told)
    return outfit.worker


def test_reset_connections(site: Site) -> None:
    """Two hundred connections to Redis, PostgreSQL and remotes break, half of them after the request went through."""
    # Where the database fails and Redis does not hear that the entry is not to blame, it may look guilty and be kept.
    with site.outfit.disaster(f"{sum(RESETS.values())} connections reset", scan=True, put_aside=True):
        site.reset_connections()


def test_everything_is_killed(site: Site) -> None:
    """Workers, beat, Redis and PostgreSQL in one moment; then all of them begin again."""
    outfit = site.outfit
    with outfit.disaster("everything killed", scan=True):
        kill_tree(outfit.worker.pid)
        kill_tree(outfit.beat.pid)
        outfit.kill_redis()
        site.postgres.server.kill()
        site.postgres.start_again()
        outfit.start_redis()
        outfit.start()
