"""POST /webhooks/{remote} over real HTTP into a real Redis: every answer, replays, rotation, and strangers."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.webhooks import REMOTES, SECRET, STREAM, Web, event, remote, running_web, signed

NEW_SECRET = "whsec_" + base64.b64encode(b"a new key of this remote").decode()
NUDGE = {"timestamp": "2026-01-31T12:00:00Z", "event_type": "lead_moved", "workspace": "w", "campaign_id": None}
LIST = {"id": "l-1", "name": "Paris", "type": "person", "personIds": ["p"], "updatedAt": "2026-01-31T12:00:00Z"}
ACCEPTED = (202, {"status": "accepted"})
DUPLICATE = (200, {"status": "duplicate"})


@pytest.fixture
def web(redis_url: str) -> Iterator[Web]:
    """A web server over an empty Redis."""
    with running_web(redis_url) as running:
        yield running


def test_an_event_is_in_the_stream_when_it_is_accepted(web: Web) -> None:
    """
    As it was sent, so that intake reads what was signed.
    """
    assert ACCEPTED == web.send(event()).short
    assert [event()] == web.stream()


def test_a_list_as_the_remote_shows_it_becomes_an_event(web: Web) -> None:
    """
    With the webhook's id as its own.
    """
    assert ACCEPTED == web.send(LIST, remote="lance", id="msg-7").short
    [told] = web.stream()
    assert ("lance", "l-1", "msg-7") == (told["source"], told["subject"], told["id"])


def test_instantlys_webhooks_become_one_nudge(web: Web) -> None:
    """
    However many come; the stream has no part in it, and the nudge is forgotten when a scan has been due anyway.
    """
    for _ in range(3):
        said = web.post("instantly", orjson.dumps(NUDGE), {"X-Hook-Key": "open sesame"})
        assert ACCEPTED == said.short

    assert ["leadsync:nudge:instantly"] == list(web.everything())
    assert 0 < int(web.redis.pttl("leadsync:nudge:instantly")) <= 900_000


def test_a_replay_is_dropped(web: Web) -> None:
    """
    By its id, whatever else is in it; the id is kept for longer than any sender repeats.
    """
    assert ACCEPTED == web.send(event(1)).short
    before = web.everything()

    assert DUPLICATE == web.send(event(1)).short
    assert DUPLICATE == web.send(event(2), id="msg-1").short
    assert before == web.everything()
    [mark] = [key for key in before if key != STREAM]
    assert 6.9 < int(web.redis.ttl(mark)) / 86_400 <= 7


def test_ids_of_two_remotes_do_not_meet(web: Web) -> None:
    """
    Each remote numbers its own webhooks.
    """
    assert ACCEPTED == web.send(event(), id="1").short
    assert ACCEPTED == web.send(LIST, remote="lance", id="1").short


def test_repeats_at_the_same_moment_are_one(web: Web) -> None:
    """
    A thousand deliveries of one webhook over many connections have one effect, also after a restart of the server.
    """
    with ThreadPoolExecutor(16) as threads:
        said = [one.short for one in threads.map(lambda _: web.send(event()), range(1000))]

    assert [ACCEPTED] == [one for one in said if one != DUPLICATE]
    assert [event()] == web.stream()


def test_a_restart_forgets_nothing(redis_url: str) -> None:
    """
    What was taken is remembered where the events are.
    """
    with running_web(redis_url) as web:
        assert ACCEPTED == web.send(event()).short
    with running_web(redis_url) as web:
        assert DUPLICATE == web.send(event()).short


def test_unsigned_events_are_known_by_their_own_id(web: Web) -> None:
    """
    A sender with a fixed header only has no id but the event's.
    """
    told, header = orjson.dumps(event(source="instantly")), {"x-hook-key": "open sesame"}

    assert [ACCEPTED, DUPLICATE] == [web.post("instantly", told, header).short for _ in range(2)]


def test_a_secret_is_changed_without_losing_a_webhook(redis_url: str) -> None:
    """
    While both are set, both are accepted; afterwards only the new one.
    """
    numbers = itertools.count()

    def statuses(setting: str) -> list[int]:
        with running_web(redis_url, {"crm": remote("crm", webhook_secret=setting)}) as web:
            return [web.send(event(), id=f"m{next(numbers)}", secret=one).status for one in (SECRET, NEW_SECRET)]

    assert [202, 401] == statuses(SECRET)
    assert [202, 202] == statuses(f"{NEW_SECRET} {SECRET}")
    assert [401, 202] == statuses(NEW_SECRET)


GOOD = orjson.dumps(event())


def _unsigned(_body: bytes) -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("name", "body", "headers", "status", "sentence"),
    [
        ("nobody", GOOD, signed, 404, "there is no remote of this name"),
        ("crm", GOOD, _unsigned, 401, "webhook-id: expected this header, once"),
        ("crm", GOOD, partial(signed, secret=NEW_SECRET), 401, "webhook-signature: expected one made with"),
        ("crm", GOOD + b" ", lambda body: signed(body.strip()), 401, "webhook-signature: expected one made with"),
        ("crm", GOOD, partial(signed, at=0), 401, "webhook-timestamp: expected within 300 s of now"),
        (
            "crm",
            GOOD,
            lambda body: signed(body, at=time.time() + 3600),
            401,
            "webhook-timestamp: expected within 300 s of now",
        ),
        ("instantly", b"{}", lambda _: {"x-hook-key": "open"}, 401, "x-hook-key: expected the value of"),
        ("silent", GOOD, partial(signed, secret=""), 401, "neither webhook_secret nor webhook_header is set"),
        ("crm", b"{", _unsigned, 401, "webhook-id"),  # proof before parsing
        ("crm", b"{", signed, 422, "event: expected JSON in UTF-8"),
        ("lance", GOOD, signed, 422, "source: expected lance, the remote in the address"),
        ("crm", b"{}", signed, 422, "event: expected a CloudEvent, or a lead list as its API shows it"),
    ],
)
def test_refusals_say_why_and_change_nothing(
    web: Web, name: str, body: bytes, headers: Callable[[bytes], dict[str, str]], status: int, sentence: str
) -> None:
    """
    One sentence in small JSON; Redis stays as it was.
    """
    said = web.post(name, body, headers(body))

    assert status == said.status
    assert said.json["error"].startswith(sentence)
    assert {} == web.everything()


def test_a_body_above_the_limit_is_refused_whole(web: Web) -> None:
    """
    One MiB is taken, a byte more is not, although both are signed well.
    """
    fits = GOOD + b" " * (1024 * 1024 - len(GOOD))
    over = fits + b" "

    assert 413 == web.post("crm", over, signed(over)).status
    assert ACCEPTED == web.post("crm", fits, signed(fits)).short


def test_without_redis_senders_are_told_to_come_back(tmp_path: Path) -> None:
    """
    503 with Retry-After, quickly, and nothing is taken for granted.
    """
    with running_web(f"unix://{tmp_path}/redis.sock?db=0") as web:
        said = web.send(event())

    assert (503, "5") == (said.status, said.headers["retry-after"])
    assert said.json["error"].startswith("Redis cannot take the event")


def test_an_event_that_redis_refuses_can_be_sent_again(web: Web) -> None:
    """
    The mark against replays is never kept without the event.
    """
    web.redis.set(STREAM, "not a stream")
    assert 503 == web.send(event()).status
    web.redis.delete(STREAM)

    assert ACCEPTED == web.send(event()).short


def test_logs_hold_no_secret_and_nothing_of_the_body(web: Web, capfd: pytest.CaptureFixture[str]) -> None:
    """
    Remote, status and reason, for every kind of refusal.
    """
    canary = "canary@example.com"
    odd = orjson.dumps(event(data={"links": {"lance": 5}, canary: 1}, subject=canary))
    web.post("crm", odd, signed(odd, secret=NEW_SECRET))
    web.post("crm", odd, signed(odd))
    web.post("instantly", odd, {"X-Hook-Key": canary})
    web.post(canary, odd, {"X-Hook-Key": canary})

    logged = "".join(capfd.readouterr())
    assert 4 == logged.count("webhook_refused")
    assert [] == [one for one in (canary, SECRET, SECRET[6:], "open sesame", "list-1") if one in logged]


_NAMES = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x-hook-key", "content-type", "x"])
_HEADERS = st.dictionaries(_NAMES, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40), max_size=6)
_PIECES: st.SearchStrategy[Any] = st.sampled_from([*event().values(), *LIST.values(), *NUDGE.values(), 1.5, [], {}])
_OBJECTS = st.dictionaries(st.sampled_from([*event(), *LIST, *NUDGE]), _PIECES, max_size=8).map(orjson.dumps)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([*REMOTES, "nobody"]), _HEADERS, _OBJECTS | st.binary(max_size=200), st.sampled_from([SECRET, None])
)
def test_strangers_and_clumsy_senders_get_documented_answers(
    web: Web, name: str, headers: dict[str, str], body: bytes, secret: str | None
) -> None:
    """
    No other status than the documented ones, never a 500, and no change where the answer is a refusal.
    """
    before = web.everything()

    said = web.post(name, body, headers | (signed(body, id=str(time.time_ns()), secret=secret) if secret else {}))

    assert said.status in (200, 202, 401, 404, 422)
    assert ("status" if said.status < 300 else "error") in said.json
    if said.status != 202:
        assert before == web.everything()
