"""Settings become connectors, wires and rules; what cannot be meant is told in one sentence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from models.lead_list import Field
from worker.engine.rules import Direction, NoMapping, Policy
from worker.errors import UsageError
from worker.remotes.registry import KINDS, Registry, _Others
from worker.settings import RemoteSettings, Settings, SyncSettings


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No leadsync.toml lies in the working directory."""
    monkeypatch.chdir(tmp_path)


def remote(kind: str, **other: Any) -> RemoteSettings:
    """A remote with fakes for what is not under test."""
    return RemoteSettings.model_validate({"kind": kind, "base_url": "http://127.0.0.1:1", "token": "fake", **other})


def registry(sync: dict[str, Any] | None = None, **remotes: RemoteSettings) -> Registry:
    """The registry of these remotes."""
    return Registry(Settings(remotes=remotes, sync=SyncSettings.model_validate(sync or {})))


def directions(kind: str, **other: Any) -> dict[str, str]:
    """Which way each field flows at a remote of this kind."""
    rules = registry(it=remote(kind, **other)).rules.remotes["it"]
    return {field.value: rules.direction(field).value for field in Field}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_settings_has_a_connector(kind: str) -> None:
    """The words in settings and the table are the same."""
    connector = registry(it=remote(kind)).connector("it")

    assert "it" == connector.name
    assert set(KINDS) == set(RemoteSettings.model_fields["kind"].annotation.__args__)  # type: ignore[union-attr]


def test_default_directions_write_nothing_that_could_be_wrong() -> None:
    """Owners need a map, and members need identities elsewhere than in the CRM."""
    everything = dict.fromkeys(["name", "owner", "enrichment", "members"], "both")

    assert everything == directions("crm")
    assert {**everything, "owner": "off", "members": "off"} == directions("instantly")
    assert {"name": "both", "owner": "none", "enrichment": "none", "members": "off"} == directions("lance")


def test_a_map_of_owners_lets_them_flow() -> None:
    """And settings have the last word."""
    assert "both" == directions("instantly", owners={"crm-1": "u-1"})["owner"]
    assert "pull" == directions("instantly", owners={"crm-1": "u-1"}, fields={"owner": "pull"})["owner"]
    assert "push" == directions("lance", fields={"members": "push"})["members"]


def test_a_field_that_is_not_there_may_only_be_off() -> None:
    """A wish that cannot be fulfilled is told, not ignored."""
    assert "none" == directions("lance", fields={"owner": "off"})["owner"]
    with pytest.raises(UsageError) as caught:
        registry(l1=remote("lance", fields={"owner": "both"}))

    assert "remotes.l1.fields: lance has no owner; it has members, name" == str(caught.value)


def test_ranks_follow_the_order_of_authority() -> None:
    """Remotes that are not named share the last place."""
    rules = registry(
        {"authority": ["b", "a"]}, a=remote("crm"), b=remote("lance"), c=remote("lance"), d=remote("instantly")
    ).rules

    assert {"b": 0, "a": 1, "c": 2, "d": 2} == {name: one.rank for name, one in rules.remotes.items()}


def test_the_default_authority_needs_no_remote_of_that_name() -> None:
    """Other keys of the same group may be set all the same."""
    assert 0.5 == registry({"brake": 0.5}, hubspot=remote("crm")).rules.brake


def test_an_unknown_name_in_authority_is_told() -> None:
    """A typing mistake there would change who wins."""
    with pytest.raises(UsageError) as caught:
        registry({"authority": ["crn"]}, crm=remote("crm"))

    assert "sync.authority: there is no remote 'crn'; known: crm" == str(caught.value)


def test_the_default_authority_needs_no_remote_called_crm() -> None:
    """Nobody named it, so nobody made a mistake."""
    assert {"sales": 1} == {name: one.rank for name, one in registry(sales=remote("crm")).rules.remotes.items()}


def test_policies_and_versions_reach_the_rules() -> None:
    """Conflict policy per field, authority where nothing is said; Instantly has no versions."""
    rules = registry(
        {"conflicts": {"name": "hold"}}, crm=remote("crm"), i1=remote("instantly"), l1=remote("lance")
    ).rules

    assert (Policy.HOLD, Policy.AUTHORITY) == (rules.policy(Field.NAME), rules.policy(Field.OWNER))
    assert {"crm": True, "i1": False, "l1": True} == {name: one.versioned for name, one in rules.remotes.items()}


def test_the_crm_knows_the_names_of_all_others() -> None:
    """A stranger of Instantly is not written to the CRM; a CRM user with a colon is."""
    spell = registry(crm=remote("crm"), i1=remote("instantly")).rules.remotes["crm"].spell

    assert "auth0:7" == spell(Field.OWNER, "auth0:7")
    with pytest.raises(NoMapping):
        spell(Field.OWNER, "i1:u-1")


def test_a_second_crm_may_have_a_map_of_owners() -> None:
    """Its users are not the canonical ones then."""
    rules = registry(crm=remote("crm"), old=remote("crm", owners={"crm-1": "o-1"})).rules

    assert "crm-1" == rules.remotes["old"].spell(Field.OWNER, "crm-1")
    with pytest.raises(NoMapping):
        rules.remotes["old"].spell(Field.OWNER, "crm-2")
    assert Direction.BOTH is rules.remotes["old"].direction(Field.OWNER)


def test_a_wire_is_made_once() -> None:
    """Connections are shared by everything in a process; without a token there is none."""
    remotes = registry(crm=remote("crm"), bare=remote("crm", token=None))

    assert remotes.wire("crm") is remotes.wire("crm")
    with pytest.raises(UsageError, match=r"^remotes.bare: no token"):
        remotes.wire("bare")
    asyncio.run(remotes.close())


def test_a_bad_address_names_its_remote() -> None:
    """There may be several."""
    with pytest.raises(UsageError, match=r"^remotes.crm: base_url: expected"):
        registry(crm=remote("crm", base_url="http://user:fake@127.0.0.1")).wire("crm")


def test_an_unknown_remote_is_told() -> None:
    """With the names that there are."""
    remotes = registry(crm=remote("crm"), i1=remote("instantly"))

    for ask in (remotes.connector, remotes.wire):
        with pytest.raises(UsageError, match=r"^there is no remote 'mars'; known: crm, i1$"):
            ask("mars")
    with pytest.raises(UsageError, match="known: none"):
        registry().connector("mars")


def test_the_others_are_all_names_but_one() -> None:
    """One set for all remotes: a copy for each would grow with the square of their number."""
    others = _Others(frozenset({"crm", "one", "two"}), "one")

    assert {"crm", "two"} == set(others)
    assert (2, False, True) == (len(others), "one" in others, "two" in others)
