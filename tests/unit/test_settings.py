"""Settings: file, environment, and the sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.lead_list import Field
from worker.engine.rules import Direction, Policy
from worker.errors import UsageError
from worker.settings import RemoteSettings, load_settings

CRM = '[remotes.crm]\nkind = "crm"\nbase_url = "https://crm.internal/api"\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(toml: str) -> None:
    """Make the file in the working directory."""
    Path("leadsync.toml").write_text(toml, encoding="utf-8")


def why_not(toml: str = "") -> str:
    """The sentence that this file is refused with."""
    write(toml)
    with pytest.raises(UsageError) as refused:
        load_settings()
    return str(refused.value)


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('[radis]\nurl = "x"', "radis: unknown setting; did you mean redis?"),
        ('[redis]\nurll = "x"', "redis.urll: unknown setting; did you mean url?"),
        ("[sync]\nkeep_days = 0", "sync.keep_days: must be greater than 0"),
        ("[sync]\nkeep_days = 1000000000", "sync.keep_days: must be less than or equal to 36500"),
        ("[sync]\nlate_write = 5", "sync.late_write: unknown setting; did you mean late_write_s?"),
        (CRM + 'tokn = "x"', "remotes.crm.tokn: unknown setting; did you mean token?"),
        ("zzz = 1", "zzz: unknown setting; known here: alerts, data_dir, database, events, redis, remotes, sync, web"),
        ('[redis]\nurl = "http://x"', "redis.url: expected an address that starts with redis://, rediss:// or unix://"),
        ('[redis]\nurl = "redis://u:secret@[bad"',
         "redis.url: expected an address with a host, as in redis://127.0.0.1:6379/0"),
        ("[redis]\nurl = 5", "redis.url: must be a string"),
        ('[database]\nurl = "mysql://x"', "database.url: expected sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"),
        ('[remotes.crm]\nkind = "crm"', "remotes.crm.base_url: this setting is needed and is not there"),
        ('[remotes.crm]\nkind = "crm"\nbase_url = "crm.internal"',
         "remotes.crm.base_url: expected an address that starts with http:// or https://"),
        ('[remotes.crm]\nkind = "crm"\nbase_url = "https://"',
         "remotes.crm.base_url: expected an address with a host, as in https://crm.internal/api"),
        ('[remotes.crm]\nkind = "salesforce"\nbase_url = "https://x"',
         "remotes.crm.kind: must be 'crm', 'instantly' or 'lance'"),
        (CRM + "timeout_s = 0", "remotes.crm.timeout_s: must be greater than 0"),
        (CRM + "max_in_flight = 1.5",
         "remotes.crm.max_in_flight: must be a valid integer, got a number with a fractional part"),
        (CRM + '[remotes.crm.fields]\nnam = "both"',
         "remotes.crm.fields.nam: must be 'name', 'owner', 'enrichment' or 'members'"),
        (CRM + '[remotes.crm.fields]\nname = "sideways"',
         "remotes.crm.fields.name: must be 'both', 'push', 'pull' or 'off'"),
        (CRM + '[remotes.crm.owners]\na = "x"\nb = "x"',
         "remotes.crm: owners: two CRM users are mapped to one user of this remote; the way back is ambiguous"),
        ('[remotes]\ncrm = "x"', "remotes.crm: must be a table"),
        ('remotes = "x"', "remotes: must be a table"),
        ('[remotes."a:b"]\nkind = "crm"\nbase_url = "https://x"',
         "remotes.a:b: a remote's name has 1 to 64 lower-case letters, digits, hyphens and single underscores"),
        ('[remotes."a__b"]\nkind = "crm"\nbase_url = "https://x"',
         "remotes.a__b: a remote's name has 1 to 64 lower-case letters, digits, hyphens and single underscores"),
        ("[sync]\nbrake = 2", "sync.brake: must be less than or equal to 1"),
        ('[sync]\nauthority = "crm"', "sync.authority: must be an array"),
        ('[sync.conflicts]\nname = "newst"', "sync.conflicts.name: must be 'authority', 'newest' or 'hold'"),
        ('[sync.conflicts]\nmembers = "hold"', "sync.conflicts.members: must be 'name', 'owner' or 'enrichment'"),
        ("[events]\nbatch = 0", "events.batch: must be greater than 0"),
        ('[web]\nport = "x"', "web.port: must be a whole number"),
        ("not toml =",
         "leadsync.toml: not valid TOML: Expected '=' after a key in a key/value pair (at line 1, column 5)"),
    ],
)  # fmt: skip
def test_each_mistake_has_one_sentence(toml: str, sentence: str) -> None:
    """It names the key and what to do, and never the value."""
    assert sentence == why_not(toml)


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("LEADSYNC_RADIS__URL", "redis://x", "LEADSYNC_RADIS__URL: unknown setting; did you mean redis?"),
        ("LEADSYNC_REDIS__URLL", "x", "redis.urll: unknown setting; did you mean url?"),
        ("LEADSYNC_REMOTES__CRM__TOKN", "x", "remotes.crm.tokn: unknown setting; did you mean token?"),
        ("LEADSYNC_SYNC__BRAKE", "abc", "sync.brake: must be a number"),
        (
            "LEADSYNC_REMOTES",
            "{",
            "LEADSYNC_REMOTES: expected a JSON object; or set one key, as in LEADSYNC_REDIS__URL",
        ),
        ("LEADSYNC_CONFIG", "missing.toml", "LEADSYNC_CONFIG: there is no file missing.toml"),
        ("LEADSYNC_REMOTES__LANCE__TOKEN", "x", "remotes.lance.kind: this setting is needed and is not there"),
    ],
)
def test_each_mistake_in_a_variable(variable: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing mistake in the environment is no less an error than one in the file."""
    monkeypatch.setenv(variable, value)
    assert sentence == why_not(CRM)


def test_without_anything_there_are_defaults() -> None:
    """No file, no variables: embedded Redis, SQLite under the data folder, no remotes."""
    settings = load_settings()
    assert (None, {}) == (settings.redis.url, settings.remotes)
    assert f"sqlite:///{Path('.leadsync').resolve() / 'leadsync.db'}" == settings.database_url


def test_variables_win_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key of a remote in the environment, the others from the file; numbers and names are read as such."""
    write(CRM)
    monkeypatch.setenv("LEADSYNC_REMOTES__CRM__BASE_URL", "https://other")
    monkeypatch.setenv("LEADSYNC_REMOTES__CRM__TOKEN", "secret")
    monkeypatch.setenv("LEADSYNC_REDIS__URL", "redis://127.0.0.1:6379/3")
    monkeypatch.setenv("LEADSYNC_EVENTS__BATCH", "7")
    settings = load_settings()
    assert ("https://other", "secret") == (
        settings.remotes["crm"].base_url,
        settings.remotes["crm"].bearer().get_secret_value(),
    )
    assert ("redis://127.0.0.1:6379/3", 7) == (settings.redis.url, settings.events.batch)


def test_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LEADSYNC_CONFIG names the file; leadsync.toml is not read then."""
    write("zzz = 1")
    other = tmp_path / "other.toml"
    other.write_text(CRM)
    monkeypatch.setenv("LEADSYNC_CONFIG", str(other))
    assert {"crm"} == set(load_settings().remotes)


def test_a_trailing_slash_does_not_matter() -> None:
    """Addresses are joined with paths later."""
    write(CRM.replace("/api", "/api/"))
    assert "https://crm.internal/api" == load_settings().remotes["crm"].base_url


def test_policies_and_directions_are_words_of_the_engine() -> None:
    """What the file says is what the engine gets; a field that the kind does not have stays none."""
    write(CRM + '[remotes.crm.fields]\nname = "pull"\nmembers = "off"\n[sync.conflicts]\nname = "hold"\n')
    settings = load_settings()
    defaults = {Field.NAME: Direction.BOTH, Field.OWNER: Direction.BOTH}
    assert {Field.NAME: Direction.PULL, Field.OWNER: Direction.BOTH} == settings.remotes["crm"].directions(defaults)
    assert {"name": Policy.HOLD} == settings.sync.conflicts


def _remote(**more: object) -> RemoteSettings:
    return RemoteSettings.model_validate({"kind": "crm", "base_url": "https://x", **more})


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    """Blank space around it is not part of it."""
    (tmp_path / "token").write_text(" secret\n")
    assert "secret" == _remote(token_file=tmp_path / "token").bearer().get_secret_value()


def test_a_token_that_is_not_there(tmp_path: Path) -> None:
    """One sentence, whether it was never given or its file cannot be read."""
    with pytest.raises(UsageError, match=r"no token: set LEADSYNC_REMOTES__<NAME>__TOKEN, or token_file in leadsync"):
        _remote().bearer()
    with pytest.raises(UsageError, match=r"token_file .*missing: No such file or directory; make it readable"):
        _remote(token_file=tmp_path / "missing").bearer()


def test_secrets_do_not_show() -> None:
    """Neither in the settings' own text nor in an error about a neighbour."""
    write(CRM + 'token = "s3cret"\nwebhook_secret = "s3cret"\n')
    assert "s3cret" not in repr(load_settings())
    assert "s3cret" not in why_not(CRM + 'token = "s3cret"\ntimeout_s = "s3cret"\n')
