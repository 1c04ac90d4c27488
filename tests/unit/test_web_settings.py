"""The settings of access: mistakes that would let everybody in, or nobody, are told at the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import UsageError
from worker.settings import load_settings

TOKEN = "web.api_token: expected 16 to 512 letters, digits and marks without spaces, as openssl rand -hex 32 prints"


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ('password = ""', "web.password: must not be empty; leave it out to have none"),
        ('password = "  "', "web.password: must not be empty; leave it out to have none"),
        ('passwort = "x"', "web.passwort: unknown setting; did you mean password?"),
        ('viewer_password = "s3cret"', "web: viewer_password needs password too, or nobody could act"),
        (
            'password = "s3cret"\nviewer_password = "s3cret"',
            "web: viewer_password must be another one than password",
        ),
        (
            'api_token = "s3cret"',
            TOKEN,
        ),
        (
            'trusted_proxy = ["proxy"]',
            "web.trusted_proxy.0: expected an address or a network, as in 10.0.0.5 or 10.0.0.0/24",
        ),
        ('trusted_proxy = "10.0.0.5"', "web.trusted_proxy: must be an array"),
        ('trustd_proxy = ["10.0.0.5"]', "web.trustd_proxy: unknown setting; did you mean trusted_proxy?"),
    ],
)
def test_each_mistake_has_one_sentence(
    toml: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It never shows the secret."""
    monkeypatch.chdir(tmp_path)
    Path("leadsync.toml").write_text(f"[web]\n{toml}\n")
    with pytest.raises(UsageError) as refused:
        load_settings()
    assert sentence == str(refused.value)
    assert "s3cret" not in sentence


def test_all_of_them_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are told in one spelling, and secrets do not show."""
    monkeypatch.chdir(tmp_path)
    Path("leadsync.toml").write_text('[web]\npassword = "a"\nviewer_password = "b"\nsecure = true\n')
    monkeypatch.setenv("LEADSYNC_WEB__API_TOKEN", "0123456789abcdef")
    monkeypatch.setenv("LEADSYNC_WEB__TRUSTED_PROXY", '["10.0.0.5", "fd00::/8"]')
    web = load_settings().web
    assert ("10.0.0.5/32", "fd00::/8") == web.trusted_proxy
    assert "0123456789abcdef" not in repr(web)
