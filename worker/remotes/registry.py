"""All configured remotes: connectors, wires and the engine's rules. Built once, by an entry point.

A fourth kind of remote is one more folder and one more line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from models.lead_list import Field
from worker.engine.rules import Direction, OnGone, RemoteRules, Rules
from worker.errors import UsageError
from worker.remotes.base import Connector, Wire
from worker.remotes.crm.connector import CrmConnector
from worker.remotes.instantly.connector import InstantlyConnector
from worker.remotes.lance.connector import LanceConnector
from worker.settings import RemoteSettings, Settings, SyncSettings

if TYPE_CHECKING:
    from worker.remotes.http import HttpWire


class Configured(Connector, Protocol):
    """A connector that settings can choose."""

    @property
    def directions(self) -> Mapping[Field, Direction]:
        """Which way its fields flow unless settings say otherwise. Others do not exist there."""
        ...


#: The word in settings to the connector, made of the remote's name, its owners and the other remotes' names.
KINDS: Mapping[str, Callable[[str, Mapping[str, str], Collection[str]], Configured]] = MappingProxyType(
    {"crm": CrmConnector, "instantly": InstantlyConnector, "lance": LanceConnector}
)


@dataclass(frozen=True, slots=True)
class _Others(Collection[str]):
    """All names but one, without a copy of them for each remote: with thousands that took seconds."""

    names: frozenset[str]
    but: str

    def __contains__(self, name: object) -> bool:
        return name != self.but and name in self.names

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.names if name != self.but)

    def __len__(self) -> int:
        return len(self.names) - (self.but in self.names)


class Registry:
    """The remotes by name."""

    def __init__(self, settings: Settings) -> None:
        """Raises `UsageError` with one sentence when settings cannot be meant."""
        self._settings = settings.remotes
        self._wires: dict[str, HttpWire] = {}
        names = frozenset(settings.remotes)
        connectors = {
            name: KINDS[remote.kind](name, remote.owners, _Others(names, name))
            for name, remote in settings.remotes.items()
        }
        self.connectors: Mapping[str, Connector] = connectors
        self.rules = _rules(settings, connectors)

    def connector(self, remote: str) -> Connector:
        """Raises `UsageError` for a remote that settings do not name."""
        self._known(remote)
        return self.connectors[remote]

    def wire(self, remote: str) -> Wire:
        """The way to one remote, made on first use. Raises `UsageError` without a usable address or token."""
        from worker.remotes.http import HttpWire

        settings = self._known(remote)
        if remote not in self._wires:
            try:
                self._wires[remote] = HttpWire(
                    settings.base_url,
                    settings.bearer(),
                    timeout_s=settings.timeout_s,
                    max_in_flight=settings.max_in_flight,
                    max_answer_bytes=settings.max_answer_mib << 20,
                )
            except UsageError as error:
                raise UsageError(f"remotes.{remote}: {error}") from None
        return self._wires[remote]

    def check_tokens(self) -> None:
        """Raises `UsageError` when a remote could not be called at all. Nothing is connected."""
        for remote in self._settings:
            self.wire(remote)

    async def close(self) -> None:
        """Hang up everywhere."""
        for wire in self._wires.values():
            await wire.close()

    def _known(self, remote: str) -> RemoteSettings:
        try:
            return self._settings[remote]
        except KeyError:
            raise UsageError(f"there is no remote {remote!r}; known: {_listed(self._settings)}") from None


def _rules(settings: Settings, connectors: Mapping[str, Configured]) -> Rules:
    authority = settings.sync.authority
    # The default names "crm", which a user's own CRM need not be called.
    for name in () if authority == SyncSettings().authority else authority:
        if name not in connectors:
            raise UsageError(f"sync.authority: there is no remote {name!r}; known: {_listed(connectors)}")
    ranks = {name: rank for rank, name in enumerate(authority)}
    remotes = {
        name: RemoteRules(
            rank=ranks.get(name, len(ranks)),
            directions=_directions(name, settings.remotes[name], connector),
            spell=connector.spell,
            versioned=connector.capabilities.versioned,
            review=(settings.remotes[name].mode or settings.sync.mode) == "review",
            creates=settings.remotes[name].on_missing == "create",
            on_gone=OnGone(settings.remotes[name].on_gone),
            naming=settings.remotes[name].naming(connector.capabilities.naming),
            replaces_members=connector.capabilities.replaces_members,
            members_apart=connector.capabilities.members_apart,
            members_at_once=connector.capabilities.members_at_once,
            members_every_s=settings.remotes[name].members_scan_every_s,
            enrich_at_once=settings.remotes[name].enrich_at_once,
        )
        for name, connector in connectors.items()
    }
    policies = {Field(word): policy for word, policy in settings.sync.conflicts.items()}
    return Rules(remotes=remotes, policies=policies, brake=settings.sync.brake)


def _directions(name: str, settings: RemoteSettings, connector: Configured) -> Mapping[Field, Direction]:
    for field, word in settings.fields.items():
        if word != "off" and field not in connector.directions:
            fields = _listed(connector.directions)
            raise UsageError(f"remotes.{name}.fields: {settings.kind} has no {field}; it has {fields}")
    return settings.directions(connector.directions)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
