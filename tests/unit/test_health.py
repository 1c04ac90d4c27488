"""What marks of work say: who is at work, who is silent for too long, and what cannot be told."""

from __future__ import annotations

import pytest

from worker.documents.doctor import judge_marks
from worker.documents.health import Marks, health
from worker.notes.marks import Mark, Role, patience_s

FRESH = Mark("leadsync1-3f2a91c0@here", 1.0)
SILENT = Mark("leadsync2-3f2a91c0@here", 300.0)
ELSEWHERE = Mark("leadsync1-77777777@there", 1.0)
BEAT = Mark("beat@here", 1.0)
OLD_BEAT = Mark("beat@here", 300.0)


def marks(*workers: Mark, beats: tuple[Mark, ...] = (BEAT,)) -> Marks:
    """With the default tick."""
    return Marks(workers, beats, 2.0)


@pytest.mark.parametrize(
    ("found", "ok", "says"),
    [
        (marks(FRESH), True, "leadsync1-3f2a91c0@here did its last task 1 s ago"),
        (marks(FRESH, SILENT), False, "leadsync2-3f2a91c0@here did its last task 300 s ago"),
        (marks(FRESH, ELSEWHERE), True, "leadsync1-3f2a91c0@here did its last task 1 s ago"),
        (marks(ELSEWHERE), False, "no worker of here has left a mark in the last 60 min"),
        (marks(), False, "no worker of here has left a mark in the last 60 min"),
        (
            marks(SILENT, beats=()),
            False,
            "leadsync2-3f2a91c0@here did its last task 300 s ago; no beat sends ticks, look there first",
        ),
    ],
    ids=["at work", "one is silent", "others do not count", "only elsewhere", "nobody", "no ticks"],
)
def test_workers_of_one_machine(found: Marks, *, ok: bool, says: str) -> None:
    """All of them did a task lately, and there is at least one; without ticks beat is to blame."""
    document = health(found, Role.WORKER, "here")

    assert (ok, says) == (document.ok, document.says)


@pytest.mark.parametrize(
    ("beats", "ok", "says"),
    [
        ((BEAT,), True, "beat@here sent its last tick 1 s ago"),
        ((OLD_BEAT,), False, "beat@here sent its last tick 300 s ago"),
        ((), False, "no beat of here has left a mark in the last 60 min"),
    ],
)
def test_beat_of_one_machine(beats: tuple[Mark, ...], *, ok: bool, says: str) -> None:
    """It sends ticks."""
    document = health(marks(FRESH, beats=beats), Role.BEAT, "here")

    assert (ok, says) == (document.ok, document.says)


def test_many_workers_share_the_ticks() -> None:
    """A hundred idle workers get one tick each in 200 s, and are not ill."""
    assert 60.0 == patience_s(Role.WORKER, tick_s=2.0, workers=2)
    assert 2000.0 == patience_s(Role.WORKER, tick_s=2.0, workers=100)
    assert (30.0, 600.0) == (patience_s(Role.BEAT, tick_s=2.0, workers=9), patience_s(Role.BEAT, tick_s=60, workers=1))


@pytest.mark.parametrize(
    ("found", "worker", "beat"),
    [
        (marks(beats=()), "ok", "ok"),
        (marks(FRESH, ELSEWHERE), "ok", "ok"),
        (marks(FRESH, SILENT), "bad", "ok"),
        (marks(), "bad", "ok"),
        (marks(FRESH, beats=()), "ok", "bad"),
        (marks(SILENT, beats=()), "unknown", "bad"),
        (marks(SILENT, beats=(OLD_BEAT,)), "unknown", "bad"),
    ],
    ids=["none started", "at work", "one silent", "only beat", "only workers", "silent, no beat", "all silent"],
)
def test_what_doctor_says(found: Marks, worker: str, beat: str) -> None:
    """Bad with a next step; unknown where nobody could have worked; that nothing was started yet is not bad."""
    checks = {check.name: check for check in judge_marks(found)}

    assert (worker, beat) == (checks["worker"].result, checks["beat"].result)
    assert all(check.says and (check.result == "ok" or check.next_step) for check in checks.values())
