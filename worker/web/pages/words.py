"""Numbers and states as people read them. Used by the templates and the Now page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from models.lead_list import Standing, Waiting
from worker.documents.doctor import DoctorDocument, Result
from worker.documents.overview import FOR_PEOPLE
from worker.documents.remotes import BudgetDocument
from worker.documents.status import RemoteDocument, StatusDocument

#: What stands in for "nobody has said".
NOTHING: Final = "–"
#: A narrow space that does not break.
THOUSANDS: Final = "\N{NARROW NO-BREAK SPACE}"
#: Between a number and its unit.
NBSP: Final = "\N{NO-BREAK SPACE}"

#: What each reason means, and what is to be done, if anything.
WAITS: Final = {
    Waiting.TURN: ("nothing holds them but the queue", None),
    Waiting.BUDGET: ("the rate budget is spent for now", None),
    Waiting.BACKOFF: ("the last call failed; it is tried again by itself", "see the list's timeline for what failed"),
    Waiting.PAUSED: ("their remote is paused", "resume it on the page Now when it is well"),
    Waiting.BREAKER: ("their remote keeps failing; one probe at a time goes out", "see whether it is up"),
    Waiting.READ_BACK: ("a write of unknown outcome is looked at first, or waited out", None),
    Waiting.FIRST_READ: ("they are read before anything is sent", None),
    Waiting.FIRST_SCAN: ("a complete scan must first tell what is there already", "see the page Scans"),
    Waiting.BRAKE: (
        "so many members would go at once, or be added to a list whose enrichment is on, that the brake holds them",
        "what would go is decided on the page Conflicts; what would be added is on the page Plan, to be applied",
    ),
    Waiting.REVIEW: ("they are sent only after a person has seen the plan", "look at the page Plan, and apply it"),
    Waiting.HOLD: ("a person holds them: they are read as ever, and nothing is written", "release them, below"),
    Waiting.IN_FLIGHT: ("they are being sent at this moment", None),
}

#: What a button did, by the word in the address of the page that follows: nobody can put words of theirs there.
#: Where it is about a number of things, first as it is said of one.
SAID: Final[dict[str, tuple[str, ...]]] = {
    "paused": ("It is paused: nothing is sent there.",),
    "resumed": ("It is active again.",),
    "retried": (
        "1 copy is due again; it is read before anything is sent.",
        "{n} copies are due again; each is read before anything is sent.",
    ),
    "discarded": ("1 copy is unlinked.", "{n} copies are unlinked."),
    "unlinked": ("It is unlinked: that list is no longer synced there.",),
    "pushed": ("A worker was told to look at this list now.",),
    "held": ("It is on hold: nothing is written there until somebody releases it.",),
    "let-go": (
        "1 list is released: what differs is due at once.",
        "{n} lists are released: what differs is due at once.",
    ),
    "resolved": ("1 held field is decided.", "{n} held fields are decided."),
    "scanning": ("A scan is under way.",),
    "released": ("The scan goes on: what it found is taken in.",),
    "refused": ("The scan is refused: nothing of what it found is taken in.",),
    "requeued": ("1 event is in the stream again.", "{n} events are in the stream again."),
    "none": ("Nothing was changed: somebody else was faster, or it changed by itself.",),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the adding-up bar."""

    #: As in the class of its colour.
    kind: str
    label: str
    copies: int
    #: Where it begins, and how wide it is, of 1000.
    begin: float
    width: float


def said(word: str, number: str) -> str | None:
    """What the last button did."""
    count = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
    sentences = SAID.get(word)
    return None if sentences is None else sentences[0 if count == 1 else -1].format(n=thousands(count))


def sentence(found: StatusDocument) -> str:
    """Everything in one sentence, the calm part first."""
    remotes = found.remotes
    parts = [_how_many(found), *_on_their_way(found), *_for_people(found), *_held_up(remotes), *_budget(remotes)]
    parts += [f"{one.says}, {one.next_step}" for one in found.trouble]
    return "; ".join(parts) + "."


def _how_many(found: StatusDocument) -> str:
    copies = found.copies
    if not copies.total:
        return "No list is known yet: an event, a scan or leadsync link tells of the first"
    lists = f"{thousands(found.lists)} {_s('list', found.lists)}"
    if copies.in_sync == copies.total:
        return f"All {thousands(copies.total)} copies of {lists} are in sync"
    if copies.in_sync + copies.excluded == copies.total:
        rest = f"the other {thousands(copies.excluded)} {_is(copies.excluded)} excluded"
        return f"All copies of {lists} are as they should be: {thousands(copies.in_sync)} in sync, {rest}"
    return f"{thousands(copies.in_sync)} of {thousands(copies.total)} copies of {lists} are in sync"


def _on_their_way(found: StatusDocument) -> Iterator[str]:
    due = found.copies.due - sum(found.due_by_reason.get(waiting, 0) for waiting in FOR_PEOPLE)
    if due:
        yield f"{thousands(due)} {_is(due)} due"
    if found.oldest_unsynced_s is not None:
        yield f"the oldest has not been in sync for {duration(found.oldest_unsynced_s)}"


def _for_people(found: StatusDocument) -> Iterator[str]:
    by = found.due_by_reason
    waits = (
        ("parked", found.copies.parked),
        ("in conflict", found.copies.conflict),
        ("held by the brake", by.get(Waiting.BRAKE, 0)),
        ("in review", by.get(Waiting.REVIEW, 0)),
    )
    told = [f"{thousands(number)} {word}" for word, number in waits if number]
    held = by.get(Waiting.HOLD, 0)
    if held:
        yield f"{thousands(held)} {_is(held)} on hold"
    if told:
        yield f"for a person to look at: {', '.join(told)}"


def _held_up(remotes: dict[str, RemoteDocument]) -> Iterator[str]:
    for word in ("paused", "unknown"):
        names = [name for name, one in remotes.items() if one.state == word]
        if names:
            state = "paused" if word == "paused" else "in an unknown state, because Redis does not answer"
            yield f"{', '.join(names)} {_is(len(names))} {state}"
    held = [name for name, one in remotes.items() if one.held_scan]
    if held:
        yield f"a scan of {', '.join(held)} is held for a person"


def _budget(remotes: dict[str, RemoteDocument]) -> Iterator[str]:
    """Of the remote with the least room left; nothing is said while no call is counted anywhere."""
    used = [(_used(one.budget), name) for name, one in remotes.items() if not isinstance(one.budget, str)]
    share, name = max(used, default=(0.0, ""))
    if share > 0:
        yield f"the rate budget of {name} is {max(1, round(100 * share))}{NBSP}% used"


def _used(budget: BudgetDocument) -> float:
    """Of the window with the least room, as much as is in force of it after a 429."""
    return max((budget.used[w] / max(1.0, limit * budget.share) for w, limit in budget.limit.items()), default=0.0)


def bar(found: StatusDocument) -> list[Part]:
    """All copies, in parts that add up."""
    copies = found.copies
    due = [("due", f"due: {reason}", number) for reason, number in found.due_by_reason.items()]
    numbers = [
        (Standing.IN_SYNC, "in sync", copies.in_sync),
        *due,
        (Standing.CONFLICT, "conflict", copies.conflict),
        (Standing.EXCLUDED, "excluded", copies.excluded),
        (Standing.PARKED, "parked", copies.parked),
    ]
    total, begin, parts = max(copies.total, 1), 0.0, list[Part]()
    for kind, label, number in numbers:
        width = 1000 * number / total
        parts.append(Part(str(kind), label, number, round(begin, 2), round(width, 2)))
        begin += width
    return parts


def most_a_minute(found: StatusDocument) -> int | None:
    """Calls that all rate budgets together leave room for now; None when nobody can tell."""
    room = [
        min(60 * one.budget.limit["second"], one.budget.limit["minute"]) * one.budget.share
        for one in found.remotes.values()
        if not isinstance(one.budget, str)
    ]
    return round(sum(room)) if room else None


def duration(seconds: float | None) -> str:
    """Seconds in the largest unit that makes sense."""
    if seconds is None:
        return NOTHING
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{NBSP}{unit}"
    return f"{seconds:.0f}{NBSP}s"


def age(since: datetime | None) -> str:
    """How long ago."""
    return duration(None if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds()))


def milliseconds(value: float | None) -> str:
    """With so many digits as mean something."""
    if value is None:
        return NOTHING
    if value < 1_000:
        return f"{value:.0f}{NBSP}ms"
    return f"{value / 1_000:.1f}{NBSP}s" if value < 100_000 else duration(value / 1_000)


def thousands(number: int) -> str:
    """In groups of three."""
    return f"{number:,}".replace(",", THOUSANDS)


def words(value: str) -> str:
    """An identifier as words."""
    return str(value).replace("_", " ")


def health(found: DoctorDocument) -> str:
    """All checks in one sentence. What cannot be known yet, as in the first minutes, is nothing wrong."""
    if found.ok:
        return "Everything is as it should be"
    if any(check.result is Result.BAD for check in found.checks):
        return "Something is not as it should be"
    return "Nothing is wrong, as far as is known"


def value(shown: Any) -> str:
    """A field's value; None is empty there."""
    match shown:
        case None | "":
            return "empty"
        case bool():
            return "yes" if shown else "no"
        case int():
            return thousands(shown)
        case dict():
            return "; ".join(f"{name}: {value(one)}" for name, one in shown.items())
        case list():
            return ", ".join(map(value, shown))
        case _:
            return str(shown)


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _s(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
