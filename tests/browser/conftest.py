"""One stack and one browser for all tests of the pages."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from playwright.sync_api import Browser

from tests.support.browsing import Visitor, running_chromium
from tests.support.stack import LEADSYNC, Stack, running_stack
from tests.support.waiting import wait_until
from worker.embedded import embedded_redis

PASSWORD, VIEWERS = "open sesame", "look only"
LISTS = 20

SETTINGS = {
    "LEADSYNC_WEB__PASSWORD": PASSWORD,
    "LEADSYNC_WEB__VIEWER_PASSWORD": VIEWERS,
    "LEADSYNC_ALERTS__SETTLE_S": "0",
    "LEADSYNC_SYNC__CONFLICTS": '{"name": "hold"}',
    # What is to go there waits for a person: there is always something to plan.
    "LEADSYNC_REMOTES__LANCE__MODE": "review",
}


@dataclass
class House:
    """The real thing: simulators, Redis, worker, beat and web."""

    stack: Stack
    url: str
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(LISTS)))

    def fresh(self) -> int:
        """A list that no other test uses."""
        return next(self._numbers)

    def id(self, n: int, remote: str = "crm") -> str:
        """Its id there."""
        return self.stack.ids[remote][n]

    def named(self, n: int, remote: str = "crm") -> str:
        """REMOTE:ID."""
        return f"{remote}:{self.id(n, remote)}"

    def page_of(self, n: int) -> str:
        """Where its page is."""
        return f"/list?copy=crm%3A{self.id(n)}"

    def shows(self, n: int, remote: str) -> str:
        """The name that a remote shows."""
        return str(self.stack.simulators[remote].lead_list(self.id(n, remote))["name"])

    def told(self, n: int) -> dict[str, Any]:
        """What `leadsync show --json` says."""
        done = subprocess.run(
            [*LEADSYNC, "show", self.named(n), "--json"], env=self.stack.env, capture_output=True, check=False
        )
        document: dict[str, Any] = orjson.loads(done.stdout)
        return document

    def wait(self, n: int, remote: str, standing: str) -> None:
        """Until its copy stands so."""
        wait_until(
            lambda: self.told(n)["copies"][remote]["standing"] == standing,
            deadline_s=30,
            what=f"list {n} is {standing} on {remote}",
            told=lambda: self.told(n)["copies"][remote],
        )

    def park(self, n: int, name: str) -> None:
        """Instantly says 200 to the new name and keeps the old one."""
        instantly = self.stack.simulators["instantly"]
        instantly.switch(ignore_fields=["name"])
        self.stack.rename(n, name)
        self.wait(n, "instantly", "parked")
        instantly.switch(ignore_fields=[])

    def dispute(self, n: int, ours: str, theirs: str) -> None:
        """Two people give it another name before either side has heard of the other's."""
        names = {"crm": ours, "instantly": theirs}
        for remote, name in names.items():
            self.stack.simulators[remote].edit(self.id(n, remote), name=name)
        at = datetime.now(UTC).isoformat()
        with self.stack.redis.pipeline() as both:  # news of both comes at once
            for source, name in names.items():
                event = {
                    "specversion": "1.0",
                    "id": f"dispute-{n}",
                    "source": source,
                    "type": "leadlist.changed",
                    "subject": self.id(n, source),
                    "time": at,
                    "data": {"fields": {"name": name}},
                }
                both.xadd("leadsync:events", {"event": orjson.dumps(event)})
            both.execute()
        self.wait(n, "instantly", "conflict")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Everything runs, and all copies were read once."""
    folder = tmp_path_factory.mktemp("house")
    with contextlib.ExitStack() as opened:
        redis = opened.enter_context(embedded_redis(folder / "redis"))
        database = f"sqlite:///{folder / 'leadsync.db'}"
        stack = opened.enter_context(running_stack(folder / "data", redis.url, database, settings=SETTINGS))
        stack.seed(LISTS)
        stack.start("worker", "--concurrency", "1")
        stack.start("beat")
        url = _web(stack, folder / "web.log")
        stack.link_all()
        stack.wait_linked()
        stack.wait_scanned()
        yield House(stack, url)


def _web(stack: Stack, log: Path) -> str:
    """The web process; it says where it listens."""
    with log.open("wb") as stderr:
        web = subprocess.Popen([*LEADSYNC, "web"], env=stack.env, process_group=0, stderr=stderr)
    stack.processes.append(web)
    said = re.compile(r"web on (http://\S+)\n")
    [url] = wait_until(lambda: said.findall(log.read_text()), deadline_s=30, what="web listens", told=log.read_text)
    return str(url)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all; each visitor has a context of their own. Of this module only: while it is open its event loop runs,
    and no other test of this process could run one.
    """
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def visit(house: House, browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors."""
    with contextlib.ExitStack() as leaving:

        def come(**more: Any) -> Visitor:
            visitor = Visitor(browser, house.url, **more)
            leaving.callback(visitor.close)
            return visitor

        yield come


@pytest.fixture
def operator(visit: Callable[..., Visitor]) -> Visitor:
    """Logged in, and may act."""
    return visit().log_in(PASSWORD)
