"""`leadsync health` against a real Redis: marks that were left, grew old, or were taken away."""

from __future__ import annotations

import socket

import pytest
import redis

from tests.support.commands import Leadsync
from worker.notes import marks
from worker.notes.marks import KEPT_S, Role

HERE = socket.gethostname()


@pytest.fixture
def leadsync(redis_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Leadsync:
    """The command on an empty Redis."""
    monkeypatch.setenv("LEADSYNC_REDIS__URL", redis_url)
    return Leadsync(monkeypatch, capfd)


@pytest.mark.parametrize("role", list(Role))
def test_who_left_a_mark_is_healthy_until_it_takes_it_away(leadsync: Leadsync, redis_url: str, role: Role) -> None:
    """Status 0 with one sentence, or the document; afterwards 1."""
    with redis.Redis.from_url(redis_url) as client:
        marks.leave(client, role, f"one@{HERE}")
        text, document = leadsync("health", role), leadsync("health", role, "--json")
        marks.remove(client, role, f"one@{HERE}")
        gone = leadsync("health", role, "--json")

    assert (0, True) == (text.status, text.out.startswith(f"one@{HERE} "))
    assert (0, True, [f"one@{HERE}"]) == (
        document.status,
        document.json["ok"],
        [mark["name"] for mark in document.json["marks"]],
    )
    assert (1, False, []) == (gone.status, gone.json["ok"], gone.json["marks"])


def test_an_old_mark_is_told_with_its_age(leadsync: Leadsync, redis_url: str) -> None:
    """Five minutes without a task; another worker of this machine, which is at work, does not hide it."""
    with redis.Redis.from_url(redis_url) as client:
        for name in ("busy", "stuck"):
            marks.leave(client, Role.WORKER, f"{name}@{HERE}")
        client.expire(f"leadsync:mark:worker:stuck@{HERE}", KEPT_S - 300)
        ran = leadsync("health", "worker")

    assert 1 == ran.status
    assert f"stuck@{HERE} did its last task 300 s ago; no beat sends ticks, look there first\n" == ran.out


def test_without_redis_nobody_is_healthy(leadsync: Leadsync, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, no address with a password."""
    monkeypatch.setenv("LEADSYNC_REDIS__URL", "redis://user:hunter2@127.0.0.1:9/0")
    ran = leadsync("health", "beat")

    assert (1, "") == (ran.status, ran.out)
    assert "leadsync: Redis cannot be reached (ConnectionError): start it, then try again\n" == ran.err


def test_only_workers_and_beat_leave_marks(leadsync: Leadsync) -> None:
    """Anything else is wrong usage."""
    assert 2 == leadsync("health", "web").status
