"""Workers die with SIGKILL at named places: between an effect and the word that it is done, and on either side of it.

What `tests.support.outfit` judges afterwards: all sides show the last edits, nothing was doubled, no writes overlapped.
`-s` shows how long it took after each kill; where copies were in hand, a lease ends first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.failpoints import UNDER_WAY, Failpoints, Place, with_failpoints
from tests.support.outfit import SETTINGS, Outfit, running_outfit
from tests.support.postgres import Postgres
from tests.support.stack import Stack, running_stack
from tests.support.waiting import wait_until

#: Short, so that leases end sooner: after twice that, and 5 s.
QUICK = {f"LEADSYNC_REMOTES__{remote}__TIMEOUT_S": "1" for remote in ("CRM", "INSTANTLY", "LANCE")}
CREATE = {
    f"LEADSYNC_REMOTES__{remote}__{name}": value
    for remote in ("INSTANTLY", "LANCE")
    for name, value in (("ON_MISSING", "create"), ("SCAN_EVERY_S", "2"))
}
DATABASES = ["sqlite", "postgres"]


def of(kind: str) -> list[Place]:
    """The places on one part of the way."""
    return [place for place in Place if place.name.startswith(kind)]


@pytest.fixture(scope="module", params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its kind."""
    kind: str = request.param
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('database') / 'leadsync.db'}"
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    with server.database("failpoints") as url:
        yield url


@pytest.fixture(scope="module")
def outfit(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[tuple[Outfit, Failpoints]]:
    """All lists are linked; worker and beat run."""
    folder = tmp_path_factory.mktemp("failpoints")
    with running_outfit(folder, database, **QUICK) as outfit:
        points = with_failpoints(outfit.stack, folder / "armed")
        outfit.begin()
        yield outfit, points


@pytest.mark.parametrize("database", DATABASES[1:], indirect=True)
def test_from_an_event_to_its_patch(outfit: tuple[Outfit, Failpoints]) -> None:
    """Each place meets the only event of a list: none comes later that would make up for it."""
    stage, points = outfit
    killed = dict[Place, tuple[int, float]]()

    def all_back() -> bool:
        for place, (n, at) in list(killed.items()):
            if stage.shows(n):
                _tell(f"killed: {place}: seen to be back", at)
                del killed[place]
        return not killed

    with stage.judged("killed at events and copies"):
        for n, place in enumerate([*of("EVENTS"), *of("COPIES")]):
            with _slow(stage.stack, place), points.killing(place, stage.told):
                stage.stack.add(stage.rename(n))
            killed[place] = n, time.monotonic()
            if place in of("EVENTS"):  # an entry that is there whenever a worker dies would be put aside
                stage.wait_taken_in()
                wait_until(all_back, deadline_s=60, what="the list is back", told=stage.told)
        wait_until(all_back, deadline_s=60, what="all lists are back", told=stage.told)


@pytest.mark.parametrize("database", DATABASES[:1], indirect=True)
def test_a_scan(outfit: tuple[Outfit, Failpoints]) -> None:
    """It is completed by the next worker, and finds what no event told of."""
    stage, points = outfit
    with stage.judged("killed at a scan"):
        stage.rename(0)
        with points.killing(Place.PAGE_READ, stage.told):
            stage.stack.start("scan", "crm")
        for place in (Place.PAGE_TAKEN, Place.PAGE_COMMITTED):
            with points.killing(place, stage.told):
                killed_at = time.monotonic()
            _tell(f"killed: {place}: the scan had gone on", killed_at)
        wait_until(lambda: stage.shows(0), deadline_s=60, what="it is found", told=stage.told)


def test_a_create(tmp_path: Path, redis_url: str, sqlite_url: str) -> None:
    """No remote can tell a repeat: what was sent and not linked is looked for. Each list is there once."""
    with running_stack(tmp_path / "data", redis_url, sqlite_url, settings={**SETTINGS, **QUICK, **CREATE}) as stack:
        points, names = with_failpoints(stack, tmp_path / "armed"), [str(place) for place in of("CREATE")]
        stack.ids["crm"] = stack.simulators["crm"].seed([{"name": name, "kind": "person"} for name in names])
        stack.start("worker", "--concurrency", "2")
        stack.start("beat")
        for n, place in enumerate(of("CREATE")):
            with _slow(stack, place), points.killing(place, stack.told):
                stack.publish(n, {"fields": {"name": names[n], "kind": "person"}})
        killed_at = time.monotonic()

        def once() -> bool:
            shown = [sorted(one["name"] for one in stack.simulators[kind].state()) for kind in ("instantly", "lance")]
            return shown == [sorted(names)] * 2

        wait_until(once, deadline_s=60, what="each list is there once", told=stack.told)
        wait_until(lambda: stack.status()["copies"]["in_sync"] == 9, deadline_s=60, what="in sync", told=stack.told)
        _tell("killed at creates: all is there", killed_at)
        assert once()


def _tell(what: str, since: float) -> None:
    print(f"{what} after {time.monotonic() - since:.1f} s")  # noqa: T201 - shown with -s


@contextlib.contextmanager
def _slow(stack: Stack, place: Place) -> Iterator[None]:
    """Remotes take their time to answer, where a worker is to die before that."""
    latency_s = 0.4 if place in UNDER_WAY else 0
    for remote in stack.simulators.values():
        remote.switch(latency_s=latency_s)
    yield
    for remote in stack.simulators.values():
        remote.switch(latency_s=0)
