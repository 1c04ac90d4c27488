"""Whatever stands in events, settings and command lines: one sentence of ours, and never a traceback."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.event import BadEvent, parse_event
from tests.support.commands import Leadsync
from worker.errors import UsageError
from worker.settings import RemoteSettings, Settings, load_settings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "crm",
    "type": "leadlist.changed",
    "subject": "42",
    "time": "2026-01-31T12:00:00Z",
    "sequence": "7",
    "data": {"fields": {"name": "Berlin", "members": ["1", {"id": "2"}]}, "links": {"lance": "x"}},
}
PLACES: list[tuple[str, ...]] = [(key,) for key in GOOD]
PLACES += [("data", key) for key in GOOD["data"]] + [("data", "fields", key) for key in GOOD["data"]["fields"]]

#: Settings that there are, with anything in them.
GROUPS = sorted(Settings.model_fields)
KEYS = sorted(
    {key for group in Settings.model_fields.values() for key in getattr(group.annotation, "model_fields", {})}
)
NEARLY = st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4) | st.dictionaries(
    st.sampled_from(["crm", "lance"]), st.dictionaries(st.sampled_from(sorted(RemoteSettings.model_fields)), JSON)
)

#: One test's folder and variables serve all examples: nothing is left in them.
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)

#: Commands that answer at once, and some words that mean something to them.
COMMANDS = ["status", "lists", "show", "plan", "apply", "scan", "link", "unlink", "parked", "conflicts", "rejects"]
COMMANDS += ["pause", "members", "export", "alerts", "audit", "scans", "events", "health", "db"]
WORDS = [
    "list",
    "--json",
    "--remote",
    "crm",
    "crm:42",
    "--limit",
    "-1",
    "--all",
    "resolve",
    "retry",
    "--since",
    "--",
    "-",
]


def _parsed(raw: bytes) -> None:
    try:
        parse_event(raw)
    except BadEvent as error:
        sentence = str(error)
        assert sentence
        assert "\n" not in sentence


@given(st.binary(max_size=200) | JSON.map(lambda value: orjson.dumps(_plain(value))))
def test_any_bytes_are_an_event_or_a_sentence(raw: bytes) -> None:
    """Nothing else is ever raised."""
    _parsed(raw)


@given(st.sampled_from(PLACES), JSON)
def test_any_value_in_any_place_of_an_event(place: tuple[str, ...], value: Any) -> None:
    """All the rest is as it should be, so that each check is reached."""
    event = orjson.loads(orjson.dumps(GOOD))
    inner = event
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = _plain(value)
    _parsed(orjson.dumps(event))


@SHARED
@given(st.text(max_size=60) | st.sampled_from(GROUPS), JSON | NEARLY)
def test_any_settings_are_good_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, group: str, value: Any
) -> None:
    """In the file: any group with any contents; TOML that is none, too."""
    file = tmp_path_factory.getbasetemp() / "leadsync.toml"
    file.write_text(f"{orjson.dumps(_plain(group)).decode()} = {_toml(value)}\n", encoding="utf-8", errors="replace")
    monkeypatch.setenv("LEADSYNC_CONFIG", str(file))
    with contextlib.suppress(UsageError):
        load_settings()


@SHARED
@given(st.sampled_from(COMMANDS), st.lists(st.sampled_from(WORDS) | st.text(max_size=12), max_size=4))
def test_any_command_line_ends_with_a_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    sqlite_url: str,
    command: str,
    words: list[str],
) -> None:
    """One of those that operating.md names, whatever is asked for."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("DATABASE__URL", sqlite_url), ("REDIS__URL", "redis://127.0.0.1:9/0")):
        monkeypatch.setenv(f"LEADSYNC_{name}", text)
    ran = Leadsync(monkeypatch, capfd)(command, *(word.replace("\0", "") for word in words if word != "--wait"))

    assert ran.status in {0, 1, 2, 3}
    assert "Traceback" not in ran.out + ran.err


def _plain(value: Any) -> Any:
    """As JSON can say it: no half characters, no numbers that are none, none that are too large."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case bool() | None:
            return value
        case int():
            return value if abs(value) < 1 << 63 else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case list():
            return [_plain(one) for one in value]
        case _:
            return {_plain(key): _plain(one) for key, one in value.items()}


def _toml(value: Any) -> str:
    """The same value; what TOML has no word for makes a file that is none."""
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{orjson.dumps(_plain(key)).decode()} = {_toml(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return orjson.dumps(_plain(value)).decode()
