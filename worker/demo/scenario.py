"""The scenario: how many lists, for how long, what goes wrong, and the settings that leadsync gets. Read by all here.

Limits, latencies and rates of faults are made up, but of the kind that such products have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from worker.simulators.instantly import user_uuid
from worker.simulators.running import SIM_TOKEN

#: In the order in which they are shown.
REMOTES: Final = ("crm", "instantly", "lance")

#: CRM user → the user of Instantly; also in the settings.
OWNERS: Final[Mapping[str, str]] = {f"crm-user-{n}": user_uuid(f"crm-user-{n}") for n in range(1, 6)}

#: Remotes that have a field. Members of Instantly are leads, which come with a later version.
HOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "name": ("crm", "instantly", "lance"),
    "owner": ("crm", "instantly"),
    "enrichment": ("crm", "instantly"),
    "members": ("crm", "lance"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is to be played."""

    lists: int = 200
    #: How long people edit.
    seconds: float = 15.0
    seed: int = 1
    #: Remote → fields that it accepts and keeps as they were. Tests prove with it that a demo can fail.
    ignored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def edits_per_second(self) -> float:
        """A few lists are not edited by a crowd."""
        return min(16.0, 3.0 + self.lists / 10)

    @property
    def patience_s(self) -> float:
        """How long copies may take to become equal when nobody edits any more."""
        return 30.0 + self.lists / 20


def switches(scenario: Scenario) -> dict[str, dict[str, Any]]:
    """The simulators: Instantly has the limits it documents; Lance allows less than leadsync is told."""
    usual = {"latency_s": 0.02, "jitter_s": 0.04, "log_size": 50_000}
    remotes: dict[str, dict[str, Any]] = {
        "crm": {"error_rate": 0.01, "error_after_rate": 0.005},
        "instantly": {"error_rate": 0.01, "timeout_after_rate": 0.005, "optional_absent": True},
        "lance": {
            "limits": [[90, 1.0]],
            "retry_after": "seconds",
            "normalise": True,
            "cut_after_rate": 0.01,
            "drop_rate": 0.003,
        },
    }
    ignored = {name: {"ignore_fields": fields} for name, fields in scenario.ignored.items()}
    return {name: {**usual, **remotes[name], **ignored.get(name, {})} for name in REMOTES}


#: Planned on top of the rates, so that even a short demo meets each of them: remote, fault, share of the time.
MISHAPS: Final = (
    ("instantly", "timeout_after", 0.1),
    ("lance", "rate_limit", 0.2),
    ("crm", "error", 0.3),
    ("lance", "cut_after", 0.4),
    ("instantly", "rate_limit", 0.5),
    ("crm", "error_after", 0.6),
)


def settings(urls: Mapping[str, str], data_dir: Path) -> str:
    """`leadsync.toml` of the demo: what a user would write, with shorter times so that the demo ends."""
    remotes = {
        "crm": (100, ""),
        "instantly": (80, _owners()),
        "lance": (100, 'fields = { members = "both" }\nmember_ids = "shared"\n'),
    }
    return _TOP.format(data_dir=orjson.dumps(str(data_dir)).decode()) + "".join(
        _REMOTE.format(name=name, url=urls[name], token=SIM_TOKEN, limit=limit, minute=60 * limit) + more
        for name, (limit, more) in remotes.items()
    )


def _owners() -> str:
    pairs = ", ".join(f'"{ours}" = "{theirs}"' for ours, theirs in OWNERS.items())
    return f"owners = {{ {pairs} }}\n"


_TOP = """\
data_dir = {data_dir}
[sync]
authority = ["crm"]
tick_s = 1.0
late_write_s = 4.0     # the simulators apply nothing later than that
"""
_REMOTE = """\
[remotes.{name}]
kind = "{name}"
base_url = "{url}"
token = "{token}"
requests_per_second = {limit}
requests_per_minute = {minute}
timeout_s = 1.5
"""
