"""The document of `leadsync doctor`: each thing leadsync needs is ok, bad or unknown, with the next step.

A check that could not run is unknown, never ok (design rule 13). No token or password is ever shown.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from worker.documents.health import Marks, marks_in, told
from worker.documents.numbers import STALE_S, NumbersDocument, ask_numbers
from worker.documents.remotes import Unknown
from worker.documents.trouble import START_DATABASE, redis_trouble
from worker.errors import AccessLost, LeadsyncError, Permanent, Transient, UsageError
from worker.limits.base import Lane
from worker.limits.throttle import Throttle
from worker.notes.marks import KEPT_S, Role
from worker.remotes.line import Line
from worker.settings import config_path
from worker.store.health import Health
from worker.wiring import Runtime

#: The oldest Redis whose commands suffice.
OLDEST_REDIS: Final = (7, 0)
#: Clocks that differ by more make ages and waits wrong.
MOST_SKEW_S: Final = 5.0
#: Nothing bad: they may be started any time.
NONE_RUNS: Final = "none runs; leadsync up starts all, leadsync worker and leadsync beat one each"
#: A check waits this long for a place in a remote's rate budget.
_PATIENCE_S: Final = 5.0


class Result(enum.StrEnum):
    """What a check found."""

    OK = "ok"  #: as it should be
    BAD = "bad"  #: leadsync cannot work, or not safely
    UNKNOWN = "unknown"  #: the check could not run


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    result: Result
    says: str
    #: What to do; null when there is nothing to do.
    next_step: str | None = None


@dataclass(frozen=True, slots=True)
class DoctorDocument:
    """All checks, in the order in which they build on each other."""

    ok: bool
    checks: list[Check]


async def doctor(runtime: Runtime, database: Health, *, no_redis: str | None = None) -> DoctorDocument:
    """Run every check. `no_redis` says why the embedded server could not be started."""
    checks = [_settings(runtime)]
    checks += await _redis(runtime, no_redis)
    checks += await asyncio.to_thread(_database, database)
    checks += await _clocks(runtime, database)
    processes = await asyncio.to_thread(_processes, runtime)
    started = any(check.next_step or check.says != NONE_RUNS for check in processes)
    checks += [*processes, judge_numbers(await ask_numbers(runtime), started=started)]
    checks.append(await asyncio.to_thread(_members, database))
    checks += await asyncio.gather(*(_remote(runtime, name) for name in sorted(runtime.settings.remotes)))
    return DoctorDocument(all(check.result is Result.OK for check in checks), checks)


def _settings(runtime: Runtime) -> Check:
    remotes, path = runtime.settings.remotes, config_path()
    where = f"{path}" if path else "no file, only defaults and LEADSYNC_… variables"
    if not remotes:
        return Check("settings", Result.BAD, f"{where}: no remotes", "add [remotes.NAME] with kind, base_url and token")
    return Check("settings", Result.OK, f"{where}: {', '.join(sorted(remotes))}")


async def _redis(runtime: Runtime, no_redis: str | None) -> list[Check]:
    embedded = runtime.settings.redis.url is None
    where = "embedded server" if embedded else _address(runtime.redis_url)
    parts = ("redis writes", "redis version", "redis eviction", "redis persistence")
    if no_redis is not None:
        return [_bad("redis", no_redis), *_unknown(parts, "no Redis")]
    trouble = await redis_trouble(runtime.redis)
    if trouble is not None and not trouble.refuses:
        step = "start Redis, and check redis.url and its password"
        away = Check("redis", Result.BAD, f"{where} does not answer: {trouble.says}", step)
        return [away, *_unknown(parts, "Redis does not answer")]
    found = [Check("redis", Result.OK, f"{where} answers"), Check(parts[0], Result.OK, "keys can be written")]
    if trouble is not None:
        found[1] = Check(parts[0], Result.BAD, trouble.says, trouble.next_step)
    try:
        told = await runtime.redis.info()
    except (RedisError, OSError):
        return [*found, *_unknown(parts[1:], "Redis does not let us ask (INFO)")]
    return [*found, *judge_redis(told)]


def judge_redis(told: Mapping[str, Any]) -> list[Check]:
    """What INFO says about version, eviction and persistence. Hosted servers may leave things out."""
    version, policy, appends = (told.get(key) for key in ("redis_version", "maxmemory_policy", "aof_enabled"))
    return [
        _judged(
            "redis version",
            version,
            good=_version(version) >= OLDEST_REDIS,
            step="install Redis 7.0 or newer, or leadsync[embedded]",
        ),
        _judged(
            "redis eviction",
            policy,
            good=policy == "noeviction",
            step="set maxmemory-policy noeviction: an evicted event is lost",
        ),
        _judged(
            "redis persistence",
            None if appends is None else f"appendonly {'yes' if appends else 'no'}",
            good=bool(appends),
            step="set appendonly yes: events that were not taken in yet would not survive a restart",
        ),
    ]


def _judged(name: str, told: Any, *, good: bool, step: str) -> Check:
    if told is None:
        return Check(name, Result.UNKNOWN, "Redis does not say", f"look there yourself: {step}")
    return Check(name, Result.OK, str(told)) if good else Check(name, Result.BAD, str(told), step)


def _version(version: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in str(version).split(".")[:2] if part.isdigit())


def _database(database: Health) -> list[Check]:
    checks = [_tried("database", database.address, database.check_answers)]
    journal = ["database journal"] if database.is_sqlite else []
    parts = ["database schema", "database writes", "database room", *journal]
    if checks[0].result is not Result.OK:
        return [*checks, *_unknown(parts, "the database cannot be used")]
    checks.append(_tried("database schema", "fits", database.check_schema))
    if checks[1].result is not Result.OK:
        return [*checks, *_unknown(parts[1:], "the schema comes first")]
    checks.append(_tried("database writes", "rows can be written", database.check_writable))
    checks.append(_tried("database room", "its disk is not full", database.check_room))
    if database.is_sqlite:
        mode = database.journal_mode()
        step = "put the file on a disk of this machine: WAL does not work over a network"
        wal = Check("database journal", Result.OK, "WAL")
        checks.append(wal if mode == "wal" else Check("database journal", Result.BAD, mode, step))
    return checks


def _tried(name: str, well: str, check: Callable[[], None]) -> Check:
    try:
        check()
    except UsageError as error:
        return _bad(name, str(error))
    except LeadsyncError as error:
        says, _, step = str(error).partition("; ")
        return Check(name, Result.BAD, says, step or START_DATABASE)
    return Check(name, Result.OK, well)


def _bad(name: str, sentence: str) -> Check:
    """Our own errors say what is wrong; and what to do, mostly behind a semicolon."""
    says, _, step = sentence.partition("; ")
    return Check(name, Result.BAD, says, step or "correct that, then: leadsync doctor")


async def _clocks(runtime: Runtime, database: Health) -> list[Check]:
    async def of_database() -> datetime:
        return await asyncio.to_thread(database.clock)

    async def of_redis() -> datetime:
        seconds, microseconds = await runtime.redis.time()
        return datetime.fromtimestamp(seconds + microseconds / 1e6, UTC)

    checks = []
    for name, ask in (("clock of the database", of_database), ("clock of Redis", of_redis)):
        before = datetime.now(UTC)
        try:
            told = await ask()
        except (LeadsyncError, RedisError, OSError):
            checks += _unknown([name], "it does not answer")
        else:
            checks.append(judge_clock(name, before, told, datetime.now(UTC)))
    return checks


def judge_clock(name: str, before: datetime, told: datetime, after: datetime) -> Check:
    """`told` was read somewhere between `before` and `after`, on this machine's clock."""
    skew_s = max((before - told).total_seconds(), (told - after).total_seconds(), 0.0)
    if skew_s < MOST_SKEW_S:
        return Check(name, Result.OK, f"within {skew_s:.1f} s of this machine's")
    return Check(name, Result.BAD, f"{skew_s:.0f} s away from this machine's", "set the clocks by NTP on both machines")


def _processes(runtime: Runtime) -> list[Check]:
    try:
        marks = marks_in(runtime.bells, runtime.settings.sync.tick_s)
    except LeadsyncError:
        return _unknown(list(Role), "Redis does not answer")
    return judge_marks(marks)


def judge_marks(marks: Marks) -> list[Check]:
    """Do workers and beat do their work? That none was started yet is nothing bad."""
    if not marks.workers and not marks.beats:
        return [Check(role, Result.OK, NONE_RUNS) for role in Role]
    return [_judge_role(marks, role) for role in Role]


def _judge_role(marks: Marks, role: Role) -> Check:
    found, silent = marks.of(role), marks.silent(role)
    if role is Role.WORKER and not marks.at_work(Role.BEAT) and (silent or not found):
        return Check(role, Result.UNKNOWN, "nothing to do: no beat sends ticks", "mend that first")
    if not found:
        return Check(role, Result.BAD, f"none in the last {KEPT_S // 60} min", f"start it: leadsync {role}")
    if silent:
        step = f"look at its log and start it anew; one that was killed is forgotten after {KEPT_S // 60} min"
        return Check(role, Result.BAD, told(role, silent), step)
    newest = told(role, [min(found, key=lambda mark: mark.age_s)])
    return Check(role, Result.OK, f"{len(found)} at work; {newest}")


def judge_numbers(found: NumbersDocument | Unknown, *, started: bool) -> Check:
    """What upkeep found when it last looked. While nobody runs, nobody looks."""
    what, tell = "numbers", "look for numbers_do_not_add_up in the workers' log, and report it"
    if isinstance(found, str):
        if not started:
            return Check(what, Result.OK, "checked every minute once a worker and beat run")
        return Check(what, Result.UNKNOWN, "not checked yet", "ask again in two minutes; it takes worker and beat")
    says = f"{found.lists_checked} lists checked, the last {found.age_s:.0f} s ago; {found.mismatches} mismatches"
    if found.mismatches:
        return Check(what, Result.BAD, f"{says}, which were mended", tell)
    if started and found.age_s > STALE_S:
        return Check(what, Result.UNKNOWN, says, "upkeep looks every minute: see what worker and beat do")
    return Check(what, Result.OK, says)


def _members(database: Health) -> Check:
    """Nothing bad: what a remote does not know flows as soon as it is taught."""
    try:
        excluded = database.excluded()
    except LeadsyncError:
        return _unknown(["members"], "the database comes first")[0]
    told = ", ".join(f"{count} on {remote}" for remote, count in excluded.items())
    says = f"excluded where no id is known, or they were refused: {told}" if told else "none is excluded anywhere"
    return Check("members", Result.OK, says)


async def _remote(runtime: Runtime, name: str) -> Check:
    """One harmless read with the remote's credentials, inside its rate budget."""
    what, tickets = f"remote {name}", Throttle(runtime.budget(name))
    try:
        connector, wire = runtime.registry.connector(name), runtime.registry.wire(name)
        with Line(wire, tickets, Lane.LIVE, connector.error, patience_s=_PATIENCE_S) as line:
            says = await connector.check(line)
        await tickets.flush()
    except UsageError as error:
        return _bad(what, str(error))
    except AccessLost as error:
        return Check(
            what, Result.BAD, str(error), f"renew its token, start the workers anew, then: leadsync resume {name}"
        )
    except Permanent as error:
        return Check(what, Result.BAD, str(error), f"check remotes.{name}.base_url")
    except Transient as error:
        return Check(what, Result.UNKNOWN, str(error), "try again when it answers")
    return Check(what, Result.OK, says)


def _unknown(names: Iterable[str], why: str) -> list[Check]:
    return [Check(name, Result.UNKNOWN, f"not checked: {why}", "mend that first") for name in names]


def _address(url: str) -> str:
    """Where Redis is, without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
