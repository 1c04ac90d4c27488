"""The tally: what many histories have met and come to, in numbers. Adds up in any order of the histories."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from models.ledger import ChangeKind
from models.scan import ScanState
from worker.simulation.faults import Fault
from worker.simulation.history import History, NoRest
from worker.simulation.judges import JUDGES, complaints
from worker.simulation.member_judges import leads_of
from worker.simulation.script import Script

#: What a batch must have met, or it shows less than it says. Faults count as met when they befell something.
PATHS = (
    "edited in quiet",
    "edit taken for our own late write",
    "edit overwritten by a conflict",
    "unclear write",
    "late write",
    "write read back and found done",
    "write sent again",
    "killed push",
    "killed scan",
    "killed intake",
    "scan gone on with",
    "scan held",
    "scan incomplete",
    "scan refused",
    "scan released",
    "scan superseded",
    "found by a scan",
    "read again after a scan",
    "remote paused",
    "list gone",
    "list created",
    "spelling learned",
    "copy parked",
    "event rejected",
    "stale answer refused",
    "conflict decided by a person",
    "held by a person",
    "members read",
    "read of members refused",
    "members removed in doubt",
    "old page of members",
    "member moved",
    "member excluded",
    "member introduced late",
)
#: Faults that befall no single call: met where they exist.
_HABITS = (
    Fault.SPELLS,
    Fault.IGNORES,
    Fault.REFUSES,
    Fault.STRICT,
    Fault.SKEWED,
    Fault.SILENT,
    Fault.RIVALS,
    Fault.SLOW,
    Fault.DELAYED,
    Fault.KEPT_OFF,
    Fault.UNKNOWN,
)
#: Histories among which each of them and each fault surely happens.
ENOUGH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one history came to."""

    seed: int
    wrong: tuple[str, ...]
    digest: str
    counts: Counter[str]


@dataclass(slots=True)
class Tally:
    """Many histories."""

    histories: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    #: By seed.
    digests: dict[int, str] = field(default_factory=dict)
    wrong: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """More of them."""
        for verdict in verdicts:
            self.histories += 1
            self.counts += verdict.counts
            self.digests[verdict.seed] = verdict.digest
            if verdict.wrong:
                self.wrong[verdict.seed] = verdict.wrong

    @property
    def digest(self) -> str:
        """Of all that happened: the same seeds make the same one, in any process."""
        whole = "".join(f"{seed} {digest}\n" for seed, digest in sorted(self.digests.items()))
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    @property
    def unmet(self) -> list[str]:
        """Paths and faults that a batch of this size should have met, and did not."""
        if self.histories < ENOUGH:
            return []
        return [path for path in (*PATHS, *Fault) if not self.counts[path]]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        counts = {str(name): count for name, count in self.counts.items()}
        return {
            "histories": self.histories,
            "failed": len(self.wrong),
            "failures": [{"seed": seed, "wrong": list(wrong)} for seed, wrong in sorted(self.wrong.items())],
            "digest": self.digest,
            "edits": self.counts["edits"],
            "lists": self.counts["lists"],
            "events": self.counts["events"],
            "events_lost": self.counts["events lost"],
            "calls": self.counts["calls"],
            "writes": self.counts["writes"],
            "port_calls": self.counts["port calls"],
            "faults": {fault.value: counts.get(fault.value, 0) for fault in Fault},
            "paths": {path: counts.get(path, 0) for path in PATHS},
            "unmet": [str(path) for path in self.unmet],
            "mended_by_upkeep": self.counts["mended by upkeep"],
            "virtual_hours": round(self.counts["virtual seconds"] / 3600, 1),
            "judges": [judge.__name__.replace("_", " ") for judge in JUDGES],
        }


def judged(script: Script) -> tuple[History, tuple[str, ...]]:
    """Play it, and say what is wrong with it."""
    history = History(script)
    try:
        return history, tuple(complaints(history.play()))
    except NoRest as error:
        return history, (f"comes to rest: {error}"[:2_000],)
    except Exception as error:  # noqa: BLE001 - a bug of ours, met by this seed: the batch goes on and tells of it
        return history, (f"breaks: {type(error).__name__}: {error}"[:2_000],)


def verdict(script: Script) -> Verdict:
    """The same in numbers."""
    history, wrong = judged(script)
    digest = hashlib.sha256(repr(history.trace).encode()).hexdigest()
    return Verdict(seed=script.seed, wrong=wrong, digest=digest, counts=_counts(history))


def _counts(one: History) -> Counter[str]:
    tables, counts = one.store.tables, Counter[str]()
    for name, count in (
        *one.counts.items(),
        *one.workers.counts.items(),
        *one.witness.counts.items(),
        *one.holder.counts.items(),
    ):
        counts[str(name)] += count
    counts["scan released"], counts["scan refused"] = counts["released"], counts["refused"]
    counts["remote paused"] = counts["paused"]
    for fault in _HABITS:
        counts[fault] += fault in one.script.faults
    for remote in leads_of(one):
        counts += remote.paths
    counts += _of_the_ledger(one)
    for scan in tables.scans.values():
        counts["read again after a scan"] += scan.moved
        counts["found by a scan"] += scan.repaired
        counts["scan incomplete"] += scan.state is ScanState.INCOMPLETE
        counts["scan superseded"] += scan.state is ScanState.SUPERSEDED
        counts["scan held"] += scan.id in one.workers.released
    copies = [copy for whole in tables.lists.values() for copy in whole.copies.values()]
    counts["spelling learned"] += sum(any(each.sure for each in copy.spelling.values()) for copy in copies)
    counts["member excluded"] += sum(copy.excluded for copy in copies)
    counts["copy parked"] += sum(copy.parked is not None for copy in copies)
    counts["event rejected"] += len(tables.rejects)
    counts["edits"], counts["lists"] = one.people.edits, len(one.people.numbers)
    counts["events"], counts["events lost"] = len(one.post.told), one.post.lost
    counts["calls"] = sum(remote.calls for remote in one.remotes.values())
    counts["writes"] = sum(len(remote.writes) for remote in one.remotes.values())
    counts["write sent again"] += sum(written.idle for remote in one.remotes.values() for written in remote.writes)
    counts["port calls"], counts["virtual seconds"] = one.calls, round(one.loop.time())
    return counts


def _of_the_ledger(one: History) -> Counter[str]:
    counts, tables = Counter[str](), one.store.tables
    for _, change in tables.changes:
        counts["late write"] += change.kind is ChangeKind.LATE_WRITE
        counts["edit overwritten by a conflict"] += change.kind is ChangeKind.CONFLICT
        counts["list gone"] += change.kind is ChangeKind.GONE
        counts["list created"] += change.kind is ChangeKind.CREATED
    unclear = set[tuple[int, str]]()
    for attempt in tables.attempts:
        place = (attempt.list_id, attempt.remote)
        if attempt.action != "read" and attempt.outcome == "unclear":
            counts["unclear write"] += 1
            unclear.add(place)
        elif attempt.action == "read" and attempt.outcome == "done" and place in unclear:
            counts["write read back and found done"] += 1
            unclear.discard(place)
        counts["stale answer refused"] += attempt.outcome == "stale"
        counts["read of members refused"] += attempt.note.startswith("not read")
    return counts
