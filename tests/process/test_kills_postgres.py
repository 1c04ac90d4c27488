"""Several machines' worth: PostgreSQL, Redis and remotes over TCP, through proxies that can reset connections.

Each part is killed or held up, workers are replaced one by one, connections break by the hundred; all while people
edit. What `tests.support.outfit` judges after each: all sides show the last edits, nothing was doubled, no writes
overlapped. `KILL_TEST_ROUNDS=20` does each that often; `-s` shows the times to recover.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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

pytestmark = pytest.mark.xdist_group("kills-postgres")

#: Connections that are reset between the processes and each of what they depend on.
RESETS = {"redis": 20, "postgres": 40, "instantly": 20, "lance": 20}
#: The share of chunks that cost their connection; Redis and PostgreSQL are asked far more often than remotes.
SHARES = {"redis": 0.03, "postgres": 0.015, "instantly": 0.1, "lance": 0.1}


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

        wait_until(lambda: not left(), deadline_s=60, what="all connections are reset", told=left)


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
        ports = {name: f"127.0.0.1:{proxy.port}" for name, proxy in proxies.items()}
        outfit.stack.env |= {
            "LEADSYNC_REDIS__URL": f"redis://{ports['redis']}/0",
            "LEADSYNC_DATABASE__URL": f"postgresql+psycopg://postgres@{ports['postgres']}/kills",
            **{
                f"LEADSYNC_REMOTES__{kind.upper()}__BASE_URL": f"http://{ports[kind]}"
                for kind in remotes.keys() & ports
            },
        }
        outfit.begin()
        yield Site(outfit, postgres, proxies)


def test_postgres_ends_at_once(site: Site) -> None:
    """As its own "immediate": no checkpoint, all connections break; then it recovers from its log."""
    with site.outfit.disaster("PostgreSQL ended at once"):
        site.postgres.server.end_at_once()
        site.postgres.start_again()


def test_paused_postgres(site: Site) -> None:
    """It hangs in the middle of everything, and goes on."""
    with site.outfit.disaster("PostgreSQL paused"), paused(site.postgres.server.pid):
        trouble_lasts(2)


def test_rolling_restart(site: Site) -> None:
    """A new worker begins beside the old one, which ends well; and once more."""
    outfit = site.outfit
    with outfit.disaster("workers replaced"):
        for _ in range(2):
            old, outfit.worker = outfit.worker, outfit.stack.start("worker", "--concurrency", "2")
            wait_until(lambda: outfit.child("celery"), deadline_s=30, what="the new worker runs")
            assert drain(old) < 25


def test_reset_connections(site: Site) -> None:
    """A hundred connections to Redis, PostgreSQL and remotes break, half of them after the request went through."""
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
