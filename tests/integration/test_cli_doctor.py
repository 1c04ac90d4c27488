"""`leadsync doctor` against real servers: ok, bad or unknown, and never ok without having looked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Leadsync, Ran, remote_env
from worker.simulators.running import RunningSimulator, running_all
from worker.store.database import open_database, upgrade

SECRETS = ("sim-token", "wrong-token", "hunter2")


@pytest.fixture(scope="module")
def simulators() -> Iterator[dict[str, RunningSimulator]]:
    """A CRM and a Lance that know the token."""
    with running_all(("crm", "lance")) as simulators:
        yield simulators


@pytest.fixture
def leadsync(
    simulators: dict[str, RunningSimulator],
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Leadsync:
    """The command, with settings under which everything is ok."""
    engine = open_database(database_url)
    upgrade(engine)
    engine.dispose()
    monkeypatch.chdir(tmp_path)
    env = {"LEADSYNC_DATABASE__URL": database_url, "LEADSYNC_REDIS__URL": redis_url}
    for name, simulator in simulators.items():
        env |= remote_env(name, name, simulator.base_url)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return Leadsync(monkeypatch, capfd)


def checks(ran: Ran) -> dict[str, dict[str, Any]]:
    """By name."""
    return {check["name"]: check for check in ran.json["checks"]}


def results(ran: Ran) -> dict[str, str]:
    """Name to result."""
    return {name: check["result"] for name, check in checks(ran).items()}


def test_everything_is_ok(leadsync: Leadsync) -> None:
    """Exit status 0, every check has run, and nothing asks for a next step."""
    ran, text = leadsync("doctor", "--json"), leadsync("doctor")

    assert {"ok"} == set(results(ran).values()), ran.out
    assert (0, True, 0) == (ran.status, ran.json["ok"], text.status)
    assert {"settings", "redis", "redis version", "redis eviction", "redis persistence"} <= set(results(ran))
    assert {"database", "database schema", "database writes", "clock of Redis"} <= set(results(ran))
    assert "lead lists can be read" in checks(ran)["remote crm"]["says"]
    assert "none is excluded anywhere" == checks(ran)["members"]["says"]
    assert all(secret not in ran.out + text.out for secret in SECRETS)


def test_a_check_takes_one_place_in_the_rate_budget(
    leadsync: Leadsync, simulators: dict[str, RunningSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no place left the credentials stay unknown, and the remote is not called."""
    monkeypatch.setenv("LEADSYNC_REMOTES__CRM__REQUESTS_PER_MINUTE", "1")
    assert "ok" == results(leadsync("doctor", "--json"))["remote crm"]
    simulators["crm"].forget_calls()
    again = leadsync("doctor", "--json")

    assert (3, "unknown") == (again.status, results(again)["remote crm"])
    assert "no place in the rate budget" in checks(again)["remote crm"]["says"]
    assert not simulators["crm"].calls()


def test_a_refused_token_is_bad(leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remote's own words, the next step, and never the token itself."""
    monkeypatch.setenv("LEADSYNC_REMOTES__LANCE__TOKEN", "wrong-token")
    ran = leadsync("doctor", "--json")
    text = leadsync("doctor")
    lance = checks(ran)["remote lance"]

    assert (3, "bad") == (ran.status, lance["result"])
    assert "renew its token, start the workers anew, then: leadsync resume lance" == lance["next_step"]
    assert "remote lance: renew its token" in text.out
    assert "ok" == results(ran)["remote crm"]
    assert all(secret not in ran.out + ran.err + text.out + text.err for secret in SECRETS)


@pytest.mark.parametrize(
    ("setting", "value", "result", "said"),
    [
        ("TOKEN", "", "bad", "remotes.crm: token: expected printable ASCII"),
        ("BASE_URL", "http://127.0.0.1:9", "unknown", "no connection to 127.0.0.1:9"),
        ("BASE_URL", "http://user:hunter2@127.0.0.1:9", "bad", "expected no user, password"),
    ],
)
def test_a_remote_that_cannot_be_asked(
    leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, result: str, said: str
) -> None:
    """Down is unknown, wrong settings are bad; both have a next step."""
    monkeypatch.setenv(f"LEADSYNC_REMOTES__CRM__{setting}", value)
    ran = leadsync("doctor", "--json")
    crm = checks(ran)["remote crm"]

    assert (3, result) == (ran.status, crm["result"])
    assert said in crm["says"] + crm["next_step"]
    assert crm["next_step"]
    assert all(secret not in ran.out + ran.err for secret in SECRETS)


def test_without_a_token_the_setting_is_named(leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says where the token goes."""
    monkeypatch.delenv("LEADSYNC_REMOTES__CRM__TOKEN")
    crm = checks(leadsync("doctor", "--json"))["remote crm"]

    assert ("bad", True) == (crm["result"], "remotes.crm: no token: set LEADSYNC_REMOTES__" in crm["says"])


def test_without_redis_nothing_that_needs_it_is_ok(leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bad; what it would have told is unknown; credentials too, because nobody calls without a budget."""
    monkeypatch.setenv("LEADSYNC_REDIS__URL", "redis://user:hunter2@127.0.0.1:9/0")
    ran = leadsync("doctor", "--json")
    by_result = {
        result: {name for name, it in results(ran).items() if it == result} for result in ("bad", "unknown", "ok")
    }

    assert 3 == ran.status
    assert {"redis"} == by_result["bad"]
    assert {"redis version", "redis eviction", "redis persistence", "clock of Redis"} < by_result["unknown"]
    assert {"remote crm", "remote lance"} < by_result["unknown"]
    assert {"settings", "database", "database schema", "database writes"} <= by_result["ok"]
    assert "redis://127.0.0.1:9/0 does not answer" in checks(ran)["redis"]["says"]
    assert all(secret not in ran.out + ran.err for secret in SECRETS)


def test_an_embedded_server_that_cannot_start_is_bad(
    leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Doctor goes on with all the rest."""
    monkeypatch.delenv("LEADSYNC_REDIS__URL")
    monkeypatch.setenv("LEADSYNC_REDIS_BIN", str(tmp_path / "nothing"))
    found = results(leadsync("doctor", "--json"))

    assert ("bad", "ok", "unknown") == (found["redis"], found["database"], found["remote crm"])


@pytest.mark.parametrize(
    ("url", "says", "step"),
    [
        ("sqlite:///empty.db", "the database has no tables yet", "run: leadsync db upgrade"),
        ("sqlite:///no/such/folder.db", "cannot be opened", "check that the folder exists and is writable"),
        ("postgresql+psycopg://u:hunter2@127.0.0.1:9/x", "u:***@127.0.0.1:9", "start the database"),
    ],
)
def test_a_database_that_cannot_be_used_is_bad(
    leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch, url: str, says: str, step: str
) -> None:
    """What comes after it is unknown."""
    monkeypatch.setenv("LEADSYNC_DATABASE__URL", url)
    ran = leadsync("doctor", "--json")
    [bad] = [check for check in checks(ran).values() if check["result"] == "bad"]

    assert (3, "unknown") == (ran.status, results(ran)["database writes"])
    assert says in bad["says"]
    assert step in bad["next_step"]
    assert all(secret not in ran.out + ran.err for secret in SECRETS)


def test_no_remotes_is_bad(leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh installation is told what to write first."""
    for name in ("CRM", "LANCE"):
        for setting in ("KIND", "BASE_URL", "TOKEN"):
            monkeypatch.delenv(f"LEADSYNC_REMOTES__{name}__{setting}")
    settings = checks(leadsync("doctor", "--json"))["settings"]

    assert ("bad", True) == (settings["result"], settings["next_step"].startswith("add [remotes.NAME]"))
