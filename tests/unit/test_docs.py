"""README and docs say what the code does: commands, settings, examples, links and words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from models.event import parse_event
from models.lead_list import Standing, Waiting
from models.patch import Reason
from models.scan import ScanState
from tests.support.settings_reference import reference
from worker.cli.main import app
from worker.engine.rules import Direction, Policy
from worker.remotes.crm.mapping import parse as parse_crm_list
from worker.remotes.owners import PlainOwners
from worker.remotes.registry import Registry
from worker.settings import load_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
EVERYTHING = "\n".join(TEXT.values())

#: Other words for what the glossary of docs/how-it-works.md names.
SYNONYMS = r"sync items?|records?|contacts?|audiences?|dead[- ]letters?|shadow copy|task queue"


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page, contents) of every fenced example in that language."""
    for page, text in TEXT.items():
        for contents in re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            yield page, contents


def examples(language: str) -> list[Any]:
    """The same as test parameters."""
    return [pytest.param(contents, id=f"{page}-{n}") for n, (page, contents) in enumerate(blocks(language))]


def prose(text: str) -> str:
    """Without examples and words in code font."""
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def commands(command: object, path: str = "leadsync") -> Iterator[str]:
    """Every command, as it is typed."""
    if not isinstance(command, TyperGroup):
        yield path
        return
    for name, inner in command.commands.items():
        yield from commands(inner, f"{path} {name}")


COMMANDS = set(commands(typer.main.get_command(app)))


def test_every_command_is_explained() -> None:
    """The table of commands in docs/operating.md holds each of them."""
    told = set(re.findall(r"^\| `(leadsync(?: [a-z]+)+)", TEXT["operating.md"], re.MULTILINE))
    assert COMMANDS == told


def test_every_command_that_is_named_exists() -> None:
    """Nobody is sent to a command that is not there."""
    shell = "\n".join(f"`{line}" for _, example in blocks("sh") for line in example.splitlines())
    named = set(re.findall(r"`(leadsync [a-z]+(?: [a-z]+)?)\b", EVERYTHING + shell))
    # "leadsync pause instantly": the last word may be an argument.
    assert set() == {one for one in named if COMMANDS.isdisjoint({one, one.rpartition(" ")[0]})}


def test_settings_are_current() -> None:
    """Mend it with: python -m tests.support.settings_reference > docs/settings.md."""
    assert reference() == TEXT["settings.md"]


@pytest.mark.parametrize("contents", examples("toml"))
def test_examples_of_settings_load(contents: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a leadsync.toml of its own."""
    (tmp_path / "leadsync.toml").write_text(contents)
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    if settings.remotes:
        Registry(settings)


@pytest.mark.parametrize("contents", examples("json"))
def test_examples_of_json_are_understood(contents: str) -> None:
    """Events are taken in, and what a CRM shows is read."""
    example = json.loads(contents)
    if "specversion" in example:
        parse_event(contents)
    for one in example.get("items", [example]):
        if "updated_at" in one:
            parse_crm_list(one, PlainOwners())


@pytest.mark.parametrize("contents", [one for _, one in blocks("sh") if "XADD" in one])
def test_examples_of_bare_events_are_understood(contents: str) -> None:
    """What people paste into a shell."""
    found = re.search(r"event '(\{.*\})'$", contents, re.MULTILINE | re.DOTALL)
    assert found
    parse_event(found[1].replace("'$(date -u +%FT%TZ)'", "2026-11-22T12:00:00Z"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    """To files that are there, and to headings in them."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), target
        assert not heading or heading in _anchors(file), target


def _anchors(page: Path) -> set[str]:
    """Headings as hosts spell them in addresses."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (Standing, "operating.md"),
        (Waiting, "operating.md"),
        (Reason, "how-it-works.md"),
        (ScanState, "operating.md"),
        (Policy, "connecting.md"),
        ([one for one in Direction if one is not Direction.NONE], "connecting.md"),
    ],
)
def test_closed_sets_are_explained(words: list[StrEnum], page: str) -> None:
    """Each word has its row in a table."""
    explained = set(re.findall(r"^\| `([^`]+)`", TEXT[page], re.MULTILINE))
    assert {word.value for word in words} <= explained


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_one_thing_has_one_word(page: Path) -> None:
    """The glossary's own, never another."""
    assert [] == re.findall(rf"\b(?:{SYNONYMS})\b", prose(TEXT[page.name]), re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_one_sentence_a_line(page: Path) -> None:
    """So that a change of one sentence is a change of one line."""
    lines = [line for line in prose(TEXT[page.name]).splitlines() if not line.startswith(("|", "<", "#"))]
    assert [] == [line for line in lines if re.search(r"(?<!^\d)(?<!^\d\d)[.!?] \S", line)]
