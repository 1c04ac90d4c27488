"""What alerts say, and how messages are signed: pure parts, by known answers."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.alert import Alert, AlertKind
from models.lead_list import Standing, Waiting
from worker.documents.alerts import judge
from worker.documents.overview import Overview, Stored
from worker.documents.remotes import Brakes
from worker.errors import UsageError
from worker.ports import RemoteState
from worker.remotes.hook import _signed
from worker.settings import AlertSettings, load_settings
from worker.store.views import Group
from worker.sync.alerts import _delay_s, message

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()


def stored(*groups: Group, paused: bool = False) -> Overview:
    """The CRM and its copies; Redis is away."""
    states = {"crm": RemoteState(paused, "a person paused it", "resume it", NOW)}
    brakes = Brakes(frozenset({"crm"}), states, {"crm": None})
    return Overview(stored=Stored(now=NOW, lists=1, groups=groups, brakes=brakes), redis=False)


def group(standing: Standing, waiting: Waiting | None, copies: int, age_s: float) -> Group:
    """So many copies of the CRM."""
    since = NOW - timedelta(seconds=age_s)
    return Group(remote="crm", standing=standing, waiting=waiting, copies=copies, in_flight=0, since=since)


def bad(found: Overview, **settings: float) -> set[AlertKind]:
    """Which states are bad."""
    return {one.kind for one in judge(found, AlertSettings.model_validate(settings)) if one.bad}


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (stored(), set()),
        (stored(group(Standing.DUE, Waiting.BACKOFF, 1, 901)), {AlertKind.STALE}),
        (stored(group(Standing.DUE, Waiting.BACKOFF, 1, 899)), set()),
        (stored(group(Standing.DUE, Waiting.REVIEW, 1, 9_999)), set()),
        (stored(group(Standing.PARKED, None, 10, 9_999)), set()),
        (stored(group(Standing.PARKED, None, 11, 1)), {AlertKind.PARKED}),
        (stored(group(Standing.DUE, Waiting.TURN, 1, 9_999), paused=True), {AlertKind.PAUSED}),
        (Overview(stored=None, redis=False), set()),
    ],
)
def test_what_is_bad(found: Overview, kinds: set[AlertKind]) -> None:
    """At the edges of what settings allow."""
    assert kinds == bad(found)


def test_what_is_not_known_is_not_judged() -> None:
    """Neither bad nor good: a breaker of which Redis does not tell."""
    kinds = {one.kind for one in judge(stored(), AlertSettings())}
    assert AlertKind.BREAKER not in kinds
    assert AlertKind.NUMBERS not in kinds
    assert AlertKind.STALE not in {one.kind for one in judge(stored(paused=True), AlertSettings())}


def test_a_message_says_what_and_where() -> None:
    """Names that receivers rely on."""
    alert = Alert(
        id=7, kind=AlertKind.NUMBERS, about="", nth=1, bad=True, at=NOW, says="3 copies …", next_step="", message="m",
        wavers_since=None, told_at=None, tries=0, due_at=NOW, trouble="",
    )  # fmt: skip
    assert {
        "type": "alert.bad",
        "timestamp": "2026-11-22T12:00:00+00:00",
        "data": {"kind": "numbers", "remote": None, "says": "3 copies …", "next_step": None},
    } == message(alert)


def test_a_signature_is_that_of_the_reference() -> None:
    """The example of the specification of Standard Webhooks."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = _signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')

    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == made


def test_waits_grow_up_to_an_hour() -> None:
    """With half of each left to chance."""
    assert [15.0, 30.0, 60.0] == [_delay_s(tries, 1.0) for tries in (1, 2, 3)]
    assert 7.5 == _delay_s(1, 0.0)
    assert 3_600.0 == _delay_s(10_000, 1.0)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ('url = "https://a.example"', "alerts: url needs secret too: receivers must be able to tell our alerts"),
        ('secret = "whsec_abc"', "alerts: secret: expected whsec_ and base64 of 24 to 64 bytes"),
        ('url = "ftp://a.example"\nsecret = "S"', "alerts.url: expected an address that starts with http"),
        ('url = "https://user:pw@a.example"\nsecret = "S"', "alerts.url: expected an address without spaces, user and"),
        ("settle_s = -1", "alerts.settle_s: must be greater than or equal to 0"),
        ("url_ = 1", "alerts.url_: unknown setting; did you mean url?"),
    ],
)
def test_each_mistake_in_settings_has_one_sentence(
    lines: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the secret, and without the address, which may be one."""
    monkeypatch.chdir(tmp_path)
    quoted = f'"{SECRET}"'
    told = lines.replace('"S"', quoted)
    (tmp_path / "leadsync.toml").write_text(f"[alerts]\n{told}\n")
    with pytest.raises(UsageError) as raised:
        load_settings()

    assert str(raised.value).startswith(sentence)
    assert "pw" not in str(raised.value)
    assert SECRET not in str(raised.value)


def test_every_kind_is_explained() -> None:
    """With the next step, in docs/operating.md."""
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
    table = page[page.index("\n## Alerts\n") : page.index("\n## Export\n")]
    assert {kind.value for kind in AlertKind} == set(re.findall(r"^\| `(\w+)` \| ", table, re.MULTILINE)) - {"kind"}
