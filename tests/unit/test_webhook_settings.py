"""The settings of webhooks: what is accepted, and sentences that do not tell the secret."""

from __future__ import annotations

import pytest

from tests.support.webhooks import SECRET, remote
from worker.errors import UsageError
from worker.settings import RemoteSettings, Settings, load_settings
from worker.web.server import serve


def with_settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> RemoteSettings:
    """A remote with these settings, as the environment gives them."""
    known = {"kind": "crm", "base_url": "http://127.0.0.1:9"}
    for name, value in {**known, **values}.items():
        monkeypatch.setenv(f"LEADSYNC_REMOTES__CRM__{name.upper()}", value)
    return load_settings().remotes["crm"]


@pytest.mark.parametrize("secret", ["", ",", "whsec_", "whsec_hunter2!", f"{SECRET} hunter2!", "whsec_hunter2"])
def test_a_secret_that_is_none_is_told_without_showing_it(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    """
    A typing mistake must not become a key that nobody can sign with, nor end up in a log.
    """
    with pytest.raises(UsageError) as refused:
        with_settings(monkeypatch, webhook_secret=secret).webhook_keys()

    assert "webhook_secret: expected whsec_ and base64, as the sender shows it" == str(refused.value)


@pytest.mark.parametrize("line", ["", "X-Hook-Key", "X-Hook-Key:", ": hunter2", "X Key: hunter2", "X-Key: hünter2"])
def test_a_header_that_is_none_is_told_without_showing_it(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """
    An empty value would prove nothing, and a name without a value is no header.
    """
    with pytest.raises(UsageError) as refused:
        with_settings(monkeypatch, webhook_header=line).webhook_name_and_value()

    assert "webhook_header: expected a header as in X-Hook-Key: value, in plain ASCII" == str(refused.value)


def test_the_web_process_does_not_start_with_a_secret_that_is_none() -> None:
    """
    It names the setting, before it listens.
    """
    settings = Settings.model_validate({"remotes": {"crm": remote("crm", webhook_secret="whsec_…")}})

    with pytest.raises(UsageError, match=r"^remotes\.crm\.webhook_secret: expected whsec_"):
        serve(settings, "redis://127.0.0.1:9")


def test_secrets_and_headers_are_read_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Several secrets, with or without prefix; spaces around a header's parts do not count.
    """
    remote = with_settings(monkeypatch, webhook_secret=f" {SECRET},\n{SECRET[6:]} ", webhook_header="X-Key :  a b:c ")

    assert (b"0123456789abcdef01234567",) * 2 == remote.webhook_keys()
    assert ("x-key", "a b:c") == remote.webhook_name_and_value()


def test_nothing_is_asked_for_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Which means that every webhook is refused.
    """
    remote = with_settings(monkeypatch)

    assert ((), None) == (remote.webhook_keys(), remote.webhook_name_and_value())
