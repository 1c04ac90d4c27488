"""The metrics of `GET /metrics`: a fixed set of names, each made of what all processes share, database and Redis.

So any web process tells the same, however many there are, and nothing is counted in the memory of one of them. What
nobody can tell now has no sample. Labels hold names of remotes and words of ours, nothing personal.
"""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import Final

from models.lead_list import Standing
from models.scan import Scan
from models.totals import BEYOND, LAG_STEPS, Total, TotalKind
from worker.documents.overview import Overview, Stored
from worker.documents.remotes import BudgetDocument, age_s, budget_document
from worker.notes.marks import Role


class MetricType(enum.StrEnum):
    """As Prometheus names them."""

    COUNTER = "counter"  #: only grows
    GAUGE = "gauge"  #: as it is now
    HISTOGRAM = "histogram"  #: how many were at most so large


@dataclass(frozen=True, slots=True)
class Metric:
    """One name, which does not change without a note in CHANGELOG.md."""

    name: str
    type: MetricType
    #: One sentence.
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value."""

    metric: Metric
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    #: Of a histogram: _bucket, _sum or _count.
    part: str = ""


_COUNTER, _GAUGE, _REMOTE = MetricType.COUNTER, MetricType.GAUGE, ("remote",)

INFO = Metric("leadsync_info", _GAUGE, "Always 1; the label says which version answers.", ("version",))
REACHABLE = Metric("leadsync_reachable", _GAUGE, "1 when the part answers, 0 when it does not.", ("part",))
LAG = Metric(
    "leadsync_lag_seconds",
    MetricType.HISTOGRAM,
    "From the moment a copy stopped being in sync until the answer to the call that mended it.",
    _REMOTE,
)
STALENESS = Metric(
    "leadsync_staleness_seconds",
    _GAUGE,
    "For how long the oldest due copy has not been in sync, but for those that wait for people; 0 when none is due.",
    _REMOTE,
)
CALLS = Metric(
    "leadsync_calls_total",
    _COUNTER,
    "Calls for one copy, and pages that scans have read; the status is none when there was no answer.",
    ("remote", "action", "lane", "status"),
)
CALL_SECONDS = Metric(
    "leadsync_call_seconds_total", _COUNTER, "How long calls for copies took, all together.", ("remote", "action")
)
LIMITED = Metric("leadsync_rate_limited_total", _COUNTER, "Calls for copies that were answered with 429.", _REMOTE)
NEEDED = Metric(
    "leadsync_patches_needed_total",
    _COUNTER,
    "Patches that were needed if each change were one to every other copy that shows the field.",
    _REMOTE,
)
SAVED = Metric(
    "leadsync_saved_calls",
    _GAUGE,
    "Patches needed minus those that were sent, repeated ones too; it falls while what was counted is still sent.",
    _REMOTE,
)
LISTS = Metric("leadsync_lists", _GAUGE, "Lead lists that have a copy.")
COPIES = Metric("leadsync_copies", _GAUGE, "Copies, each with exactly one standing.", ("remote", "standing"))
DUE = Metric("leadsync_due_copies", _GAUGE, "Due copies, by what they wait for.", ("remote", "reason"))
REJECTS = Metric("leadsync_rejects", _GAUGE, "Events that could not be taken in, counted up to 100000.")
PAUSED = Metric("leadsync_remote_paused", _GAUGE, "1 while nothing is sent to the remote.", _REMOTE)
USED = Metric("leadsync_budget_used", _GAUGE, "Places taken in the rate budget.", ("remote", "window"))
LIMIT = Metric("leadsync_budget_limit", _GAUGE, "Places that the rate budget has.", ("remote", "window"))
SHARE = Metric("leadsync_budget_share", _GAUGE, "Share of the limit in force: below 1 after a 429.", _REMOTE)
WAIT = Metric(
    "leadsync_budget_wait_seconds", _GAUGE, "Until calls go out again after a 429, or the next probe does.", _REMOTE
)
BREAKER = Metric("leadsync_breaker_open", _GAUGE, "1 while the remote keeps failing and only probes go out.", _REMOTE)
STREAM_WAITING = Metric("leadsync_stream_waiting_events", _GAUGE, "Events that nobody has taken yet.")
STREAM_PENDING = Metric("leadsync_stream_pending_events", _GAUGE, "Events that are being taken in.")
STREAM_AGE = Metric("leadsync_stream_age_seconds", _GAUGE, "Age of the oldest event that is not taken in; 0 for none.")
SCAN_AGE = Metric("leadsync_scan_age_seconds", _GAUGE, "Since the last complete scan began.", _REMOTE)
SCAN_DURATION = Metric("leadsync_scan_duration_seconds", _GAUGE, "How long the last complete scan took.", _REMOTE)
SCAN_LISTS = Metric("leadsync_scan_lists", _GAUGE, "Lists that the last complete scan was shown.", _REMOTE)
SCAN_DRIFT = Metric("leadsync_scan_drift_lists", _GAUGE, "Known lists that it found changed.", _REMOTE)
SCAN_GONE = Metric("leadsync_scan_gone_lists", _GAUGE, "Known lists that are gone since.", _REMOTE)
SCAN_HELD = Metric("leadsync_scan_held", _GAUGE, "1 while a scan waits for a person.", _REMOTE)
MISMATCHES = Metric(
    "leadsync_numbers_mismatches", _GAUGE, "Copies that did not stand as they should, until a day after the last one."
)
NUMBERS_AGE = Metric("leadsync_numbers_age_seconds", _GAUGE, "Since upkeep last looked whether the numbers add up.")
PROCESSES = Metric("leadsync_processes", _GAUGE, "Workers and beats that have done their work lately.", ("role",))

#: In the order in which they are told.
METRICS: Final = (
    INFO, REACHABLE, LAG, STALENESS, CALLS, CALL_SECONDS, LIMITED, NEEDED, SAVED, LISTS, COPIES, DUE, REJECTS, PAUSED,
    USED, LIMIT, SHARE, WAIT, BREAKER, STREAM_WAITING, STREAM_PENDING, STREAM_AGE, SCAN_AGE, SCAN_DURATION, SCAN_LISTS,
    SCAN_DRIFT, SCAN_GONE, SCAN_HELD, MISMATCHES, NUMBERS_AGE, PROCESSES,
)  # fmt: skip

#: Calls that write.
WRITES: Final = frozenset({"patch", "create"})


def samples(found: Overview) -> list[Sample]:
    """All that can be told now, in the order of `METRICS`."""
    told = [
        Sample(INFO, 1, {"version": version("leadsync")}),
        Sample(REACHABLE, found.stored is not None, {"part": "database"}),
        Sample(REACHABLE, found.redis, {"part": "redis"}),
        *(() if found.stored is None else _stored(found.stored)),
        *_redis(found),
    ]
    return sorted(told, key=lambda sample: METRICS.index(sample.metric))


def exposition(told: Iterable[Sample]) -> str:
    """Prometheus' text format, version 0.0.4. Names without a sample are left out."""
    lines, before = list[str](), None
    for one in told:
        metric = one.metric
        if metric is not before:
            lines += [f"# HELP {metric.name} {_escaped(metric.help)}", f"# TYPE {metric.name} {metric.type}"]
            before = metric
        words = ",".join(f'{name}="{_quoted(value)}"' for name, value in one.labels.items())
        labels = f"{{{words}}}" if words else ""
        lines.append(f"{metric.name}{one.part}{labels} {_number(one.value)}")
    return "\n".join(lines) + "\n"


def _stored(found: Stored) -> Iterator[Sample]:
    yield Sample(LISTS, found.lists)
    yield Sample(REJECTS, found.rejects)
    yield from _totals(found.totals, found.remotes)
    for remote in found.remotes:
        here = {"remote": remote}
        copies = found.copies(remote)
        yield Sample(STALENESS, found.stale_s(remote), here)
        yield from (Sample(COPIES, copies[one], {**here, "standing": one.value}) for one in Standing)
        due = sorted(found.due(remote).items())
        yield from (Sample(DUE, count, {**here, "reason": reason.value}) for reason, count in due if count)
        yield Sample(PAUSED, found.brakes.state(remote).paused, here)
        yield Sample(SCAN_HELD, remote in found.held, here)
        if remote in found.last_complete:
            yield from _scan(found.last_complete[remote], found.now)
        budget = budget_document(found.brakes.budgets.get(remote))
        if not isinstance(budget, str):
            yield from _budget(budget, here)


def _totals(totals: Iterable[Total], remotes: Iterable[str]) -> Iterator[Sample]:
    """A remote that has never been called has zeros: so a first call is a rise, as any other."""
    of: dict[TotalKind, list[Total]] = defaultdict(list)
    for one in totals:
        of[one.kind].append(one)
    names = sorted({*remotes, *(one.remote for one in totals)})
    limited, sent, needed = Counter[str](), Counter[str](), Counter[str]()
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for one in of[TotalKind.CALLS]:
        action, lane, status = one.detail.split(" ")
        labels = {"remote": one.remote, "action": action, "lane": lane, "status": status}
        yield Sample(CALLS, one.number, labels)
        seconds[one.remote, action] += one.seconds
        limited[one.remote] += one.number * (status == "429")
        sent[one.remote] += one.number * (action in WRITES)
    for (remote, action), taken in sorted(seconds.items()):
        if action != "page":  # a page is noted without how long it took
            yield Sample(CALL_SECONDS, taken, {"remote": remote, "action": action})
    needed.update({one.remote: one.number for one in of[TotalKind.NEEDED]})
    for remote in names:
        yield Sample(LIMITED, limited[remote], {"remote": remote})
        yield Sample(NEEDED, needed[remote], {"remote": remote})
        yield Sample(SAVED, needed[remote] - sent[remote], {"remote": remote})
        yield from _lag([one for one in of[TotalKind.LAG] if one.remote == remote], remote)


def _lag(steps: Iterable[Total], remote: str) -> Iterator[Sample]:
    by_step = {one.detail: one for one in steps}
    count = 0
    for bound in (*(f"{one:g}" for one in LAG_STEPS), BEYOND):
        count += by_step[bound].number if bound in by_step else 0
        yield Sample(LAG, count, {"remote": remote, "le": "+Inf" if bound == BEYOND else bound}, "_bucket")
    yield Sample(LAG, sum(one.seconds for one in by_step.values()), {"remote": remote}, "_sum")
    yield Sample(LAG, count, {"remote": remote}, "_count")


def _scan(scan: Scan, now: datetime) -> Iterator[Sample]:
    here = {"remote": scan.remote}
    yield Sample(SCAN_AGE, age_s(scan.started_at, now) or 0.0, here)
    if scan.ended_at is not None:
        yield Sample(SCAN_DURATION, max(0.0, (scan.ended_at - scan.started_at).total_seconds()), here)
    yield Sample(SCAN_LISTS, scan.lists, here)
    yield Sample(SCAN_DRIFT, scan.drift, here)
    yield Sample(SCAN_GONE, scan.gone, here)


def _budget(budget: BudgetDocument, here: Mapping[str, str]) -> Iterator[Sample]:
    for window, limit in budget.limit.items():
        yield Sample(USED, budget.used[window], {**here, "window": window})
        yield Sample(LIMIT, limit, {**here, "window": window})
    yield Sample(SHARE, budget.share, here)
    yield Sample(WAIT, max(budget.backoff_s, budget.breaker_s or 0.0), here)
    yield Sample(BREAKER, budget.breaker_s is not None, here)


def _redis(found: Overview) -> Iterator[Sample]:
    if found.stream is not None:
        if not isinstance(found.stream.waiting, str):
            yield Sample(STREAM_WAITING, found.stream.waiting)
        yield Sample(STREAM_PENDING, found.stream.pending)
    if found.oldest_event_s is not None:
        yield Sample(STREAM_AGE, found.oldest_event_s)
    if found.numbers is not None:
        yield Sample(MISMATCHES, found.numbers.mismatches)
        yield Sample(NUMBERS_AGE, found.numbers.age_s)
    if found.marks is not None:
        for role in Role:
            well = len(found.marks.of(role)) - len(found.marks.silent(role))
            yield Sample(PROCESSES, well, {"role": role.value})


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
