"""The document of `leadsync health`: do the workers, or does the beat, of one machine do their work?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError

from worker.errors import RedisAway
from worker.notes.marks import KEPT_S, Mark, Role, patience_s, read
from worker.redis_access import why

#: What a mark proves, as the sentences say it.
_WORK = {Role.WORKER: "did its last task", Role.BEAT: "sent its last tick"}


@dataclass(frozen=True, slots=True)
class Marks:
    """What every worker and every beat has left, and for how long each may be silent."""

    workers: Sequence[Mark]
    beats: Sequence[Mark]
    tick_s: float

    def of(self, role: Role) -> Sequence[Mark]:
        """Those of one role."""
        return self.workers if role is Role.WORKER else self.beats

    def silent(self, role: Role) -> list[Mark]:
        """Those whose next mark is overdue."""
        most_s = patience_s(role, tick_s=self.tick_s, workers=len(self.workers))
        return [mark for mark in self.of(role) if mark.age_s > most_s]

    def at_work(self, role: Role) -> bool:
        """Somebody does it, on whatever machine."""
        return len(self.silent(role)) < len(self.of(role))


@dataclass(frozen=True, slots=True)
class HealthDocument:
    """One sentence, and what it rests on."""

    ok: bool
    says: str
    marks: Sequence[Mark]


def marks_in(redis: Redis, tick_s: float) -> Marks:
    """All of them. Raises `RedisAway`."""
    try:
        return Marks(read(redis, Role.WORKER), read(redis, Role.BEAT), tick_s)
    except (RedisError, OSError) as error:
        raise RedisAway(why(error)) from None


def health(marks: Marks, role: Role, machine: str) -> HealthDocument:
    """Every process of that role on this machine has worked lately, and there is at least one."""
    here = [mark for mark in marks.of(role) if mark.name.endswith(f"@{machine}")]
    if not here:
        says = f"no {role} of {machine} has left a mark in the last {KEPT_S // 60} min{_excuse(marks, role)}"
        return HealthDocument(False, says, here)
    silent = [mark for mark in marks.silent(role) if mark in here]
    excuse = _excuse(marks, role) if silent else ""
    return HealthDocument(not silent, f"{told(role, silent or here)}{excuse}", here)


def told(role: Role, marks: Sequence[Mark]) -> str:
    """One sentence about each."""
    return "; ".join(f"{mark.name} {_WORK[role]} {mark.age_s:.0f} s ago" for mark in marks)


def _excuse(marks: Marks, role: Role) -> str:
    """A worker does nothing while nobody sends anything."""
    return "; no beat sends ticks, look there first" if role is Role.WORKER and not marks.at_work(Role.BEAT) else ""
