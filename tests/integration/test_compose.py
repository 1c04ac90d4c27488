"""docker-compose.yml and Dockerfile, without a Docker engine: read as data, and as settings of leadsync."""

from __future__ import annotations

import re
import sys
import time
import tomllib
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml

from tests.support.commands import run_program
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from worker.processes import DRAIN_S, Child, running, spawn
from worker.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}

#: Programs that the images surely have; a health check may use no others.
PROGRAMS = {
    "redis": "valkey-cli",
    "postgres": "pg_isready",
    "web": "python",
    "worker": "leadsync",
    "beat": "leadsync",
}

#: The settings inside the file itself, for `--profile sim`.
SIMULATED: str = COMPOSE["configs"]["simulated"]["content"]


def plain(text: str) -> str:
    """*text* as Compose reads it when no variable is set: ${NAME:-default} is the default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_what_runs_with_and_without_the_profile() -> None:
    """The stack of the contract; simulators only with `--profile sim`."""
    always = {name for name, service in SERVICES.items() if "profiles" not in service}
    simulated = {name for name, service in SERVICES.items() if service.get("profiles") == ["sim"]}

    assert {"redis", "postgres", "migrate", "worker", "beat", "web"} == always
    assert {"simulator-crm", "simulator-instantly", "simulator-lance"} == simulated
    assert 2 == SERVICES["worker"]["deploy"]["replicas"]


def test_redis_keeps_its_data_and_evicts_nothing() -> None:
    """Events live in Redis until they are taken in: append-only file, no eviction, a volume."""
    command = SERVICES["redis"]["command"]

    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert ["redis:/data"] == SERVICES["redis"]["volumes"]


def test_every_volume_is_declared() -> None:
    """Data survives `docker compose down`."""
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}

    assert set(COMPOSE["volumes"]) == used == {"redis", "postgres"}


@pytest.mark.parametrize("name", ["worker", "beat", "web"])
def test_processes_start_on_a_healthy_redis_and_a_current_schema(name: str) -> None:
    """Migrations wait for PostgreSQL, everything else waits for them."""
    conditions = {needed: how["condition"] for needed, how in SERVICES[name]["depends_on"].items()}

    assert {"redis": "service_healthy", "migrate": "service_completed_successfully"} == conditions
    assert {"postgres": {"condition": "service_healthy"}} == SERVICES["migrate"]["depends_on"]


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_health_checks_use_programs_of_their_image(name: str) -> None:
    """A check whose program is missing would call a healthy service ill."""
    how, command, *_ = SERVICES[name]["healthcheck"]["test"]

    assert how in ("CMD", "CMD-SHELL")
    assert PROGRAMS[name] == command.split()[0]


def test_whatever_is_waited_for_has_a_health_check() -> None:
    """`service_healthy` without a check would wait for ever."""
    conditions = [item for service in SERVICES.values() for item in service.get("depends_on", {}).items()]
    waited_for = {needed for needed, how in conditions if how["condition"] == "service_healthy"}

    assert {"redis", "postgres"} == waited_for
    assert all("healthcheck" in SERVICES[name] for name in waited_for)


def test_the_environment_is_valid_settings_for_simulated_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`docker compose --profile sim up` needs no keys: its own settings are whole and name its simulators."""
    assert "simulated" == plain(SERVICES["worker"]["configs"][0]["source"])
    path = tmp_path / "leadsync.toml"
    path.write_text(SIMULATED)
    for name, value in SERVICES["worker"]["environment"].items():
        monkeypatch.setenv(name, plain(value))
    monkeypatch.setenv("LEADSYNC_CONFIG", str(path))
    settings = load_settings()
    addresses = {name: urlsplit(remote.base_url) for name, remote in settings.remotes.items()}

    assert {"crm", "instantly", "lance"} == set(addresses)
    for name, address in addresses.items():
        command = SERVICES[address.hostname or ""]["command"]
        assert ["simulator", name] == command[:2]
        assert str(address.port) == command[command.index("--port") + 1]
        assert settings.remotes[name].bearer().get_secret_value()


def test_settings_come_from_one_place() -> None:
    """All our processes share one environment, one file and the database's one password."""
    processes = [service for service in OURS.values() if "profiles" not in service]
    password = re.search(r":([^:@/]+)@postgres/", plain(processes[0]["environment"]["LEADSYNC_DATABASE__URL"]))

    assert all(service["environment"] == processes[0]["environment"] for service in processes)
    assert all(service["configs"] == processes[0]["configs"] for service in processes)
    assert password is not None
    assert plain(SERVICES["postgres"]["environment"]["POSTGRES_PASSWORD"]) == password[1]


def test_containers_get_longer_than_the_drain() -> None:
    """Docker kills after the grace period; leadsync must be done before."""
    assert all(float(SERVICES[name]["stop_grace_period"].rstrip("s")) > DRAIN_S for name in ("worker", "web"))


def test_the_image_runs_as_an_ordinary_user_from_checked_packages() -> None:
    """Not root, hashes for everything, no embedded Redis (it has no wheel for every base image)."""
    lines = (ROOT / "Dockerfile").read_text()
    installs = re.findall(r"pip install (.*)", lines)

    assert "USER leadsync" in lines
    assert 'ENTRYPOINT ["leadsync"]' in lines
    assert all("--require-hashes" in install or "--no-deps dist/" in install for install in installs)
    assert "embedded" not in lines


def test_the_build_context_has_what_the_image_is_built_from() -> None:
    """.dockerignore lets in all that hatchling and the Dockerfile need, and nothing private."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

    assert {*packages, "pyproject.toml", "README.md", "LICENSE"} <= let_in
    assert {"requirements.lock", "requirements-build.lock"} <= let_in
    assert all((ROOT / name).exists() for name in let_in)


def test_every_command_runs_as_a_plain_process(tmp_path: Path, redis_url: str, postgres_url: str) -> None:
    """The stack of `docker compose --profile sim up` on this machine: all ready, none crashes, all end in time."""
    ports = {name: str(free_port()) for name in SERVICES if name.startswith("simulator-")}
    web_port = str(free_port())
    settings = tmp_path / "leadsync.toml"
    settings.write_text(re.sub(r"//([\w-]+):\d+", lambda it: f"//127.0.0.1:{ports[it[1]]}", SIMULATED))
    here = {
        "LEADSYNC_CONFIG": str(settings),
        "LEADSYNC_REDIS__URL": redis_url,
        "LEADSYNC_DATABASE__URL": postgres_url,
        "LEADSYNC_WEB__HOST": "127.0.0.1",
        "LEADSYNC_WEB__PORT": web_port,
    }
    assert SERVICES["worker"]["environment"].keys() <= here.keys()
    here["LEADSYNC_DATA_DIR"] = str(tmp_path / "data")

    def process(name: str) -> Child:
        words = [ports[name] if word.isdigit() else word for word in SERVICES[name]["command"]]
        return Child(name=name, argv=[sys.executable, "-m", "worker.cli", *words], env=here)

    migrate = spawn(process("migrate"))
    assert 0 == migrate.wait(timeout=60)
    lasting = [process(name) for name in OURS if name != "migrate"] + [process("worker")]  # two replicas
    with running(lasting) as kept:
        for url in (
            f"http://127.0.0.1:{web_port}/readyz",
            *(f"http://127.0.0.1:{p}/_sim/state" for p in ports.values()),
        ):
            wait_until(partial(answers, url), deadline_s=60, what=f"{url} answers")
        with redis.Redis.from_url(redis_url) as client:
            client.xadd("leadsync:events", {"event": "not even JSON"})
            wait_until(lambda: taken_in(client), deadline_s=60, what="a worker takes the event in")
        for role in ("worker", "beat"):
            wait_until(partial(is_healthy, role, here), deadline_s=60, what=f"{role} is healthy")
        assert [] == [one.name for one in kept if one.status() is not None]
        began = time.monotonic()
    assert {0} == {one.status() for one in kept}
    assert time.monotonic() - began < DRAIN_S
    # Who ended as it should is missed by nobody.
    assert not is_healthy("worker", here)
    assert not is_healthy("beat", here)


def is_healthy(name: str, env: dict[str, str]) -> bool:
    """What the health check of that service says here."""
    how, program, *words = SERVICES[name]["healthcheck"]["test"]
    assert (how, program) == ("CMD", "leadsync")
    return run_program(*words, env=env).status == 0


def taken_in(client: redis.Redis) -> bool:
    """True when every entry of the stream has been read and acknowledged."""
    groups = client.xinfo_groups("leadsync:events")
    return bool(groups) and all(group["lag"] == 0 and group["pending"] == 0 for group in groups)


def answers(url: str) -> bool:
    """True when a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
