"""The pages' words: the one sentence, the bar that adds up, and what buttons say afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.lead_list import Waiting
from worker.documents.doctor import Check, DoctorDocument, Result
from worker.documents.remotes import BudgetDocument
from worker.documents.scans import HeldScan
from worker.documents.status import CopyCounts, RemoteDocument, StatusDocument
from worker.web.pages import words
from worker.web.pages.front import Asked, back, link


def counts(**numbers: int) -> CopyCounts:
    """Those that are not named are none."""
    named = {"in_sync": 0, "due": 0, "conflict": 0, "excluded": 0, "parked": 0, **numbers}
    return CopyCounts(total=sum(named.values()), **named)


def remote(**more: object) -> RemoteDocument:
    """An active one."""
    calm = RemoteDocument(
        state="active",
        cause=None,
        next_step=None,
        since=None,
        budget="unknown",
        copies=counts(),
        last_complete_scan=None,
        held_scan=None,
    )
    return replace(calm, **more)  # type: ignore[arg-type]  # any field


def status(copies: CopyCounts, **more: object) -> StatusDocument:
    """Of two lists, with one remote."""
    calm = StatusDocument(
        lists=2,
        copies=copies,
        due_by_reason={},
        oldest_unsynced_s=None,
        remotes={"crm": remote()},
        stream="unknown",
        numbers="unknown",
        trouble=[],
    )
    return replace(calm, **more)  # type: ignore[arg-type]  # any field


def test_the_room_of_all_budgets_is_told_by_the_minute() -> None:
    """The smaller window of each counts, and what a 429 left of it; those that are not known are left out."""
    full = BudgetDocument(used={}, limit={"second": 10, "minute": 300}, share=1.0, backoff_s=0.0, breaker_s=None)
    cut = BudgetDocument(used={}, limit={"second": 2, "minute": 600}, share=0.7, backoff_s=0.0, breaker_s=None)
    known = {"crm": remote(budget=full), "lance": remote(budget=cut), "instantly": remote()}

    assert 384 == words.most_a_minute(status(counts(), remotes=known))
    assert words.most_a_minute(status(counts())) is None


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (status(counts(), lists=0), "No list is known yet: an event, a scan or leadsync link tells of the first."),
        (status(counts(in_sync=4)), "All 4 copies of 2 lists are in sync."),
        (
            status(counts(in_sync=4, excluded=1)),
            "All copies of 2 lists are as they should be: 4 in sync, the other 1 is excluded.",
        ),
        (
            status(counts(in_sync=4, due=2), due_by_reason={Waiting.TURN: 2}, oldest_unsynced_s=41.0),
            "4 of 6 copies of 2 lists are in sync; 2 are due; the oldest has not been in sync for 41 s.",
        ),
        (
            status(counts(in_sync=4, due=3, conflict=1, parked=2), due_by_reason={Waiting.BRAKE: 1, Waiting.REVIEW: 2}),
            (
                "4 of 10 copies of 2 lists are in sync; "
                "for a person to look at: 2 parked, 1 in conflict, 1 held by the brake, 2 in review."
            ),
        ),
        (
            status(counts(in_sync=4, due=3), due_by_reason={Waiting.HOLD: 2, Waiting.TURN: 1}),
            "4 of 7 copies of 2 lists are in sync; 1 is due; 2 are on hold.",
        ),
        (
            status(
                counts(in_sync=4),
                remotes={
                    "crm": remote(state="paused", held_scan=HeldScan(id=1, reason="", next_step="")),
                    "lance": remote(state="unknown"),
                },
            ),
            (
                "All 4 copies of 2 lists are in sync; crm is paused; "
                "lance is in an unknown state, because Redis does not answer; a scan of crm is held for a person."
            ),
        ),
    ],
)
def test_one_sentence_says_it_all(found: StatusDocument, sentence: str) -> None:
    """What is calm, what is on its way, what waits for people, what is held up."""
    assert sentence == words.sentence(found).replace(words.NBSP, " ")


def test_the_sentence_tells_the_least_room_of_all_budgets() -> None:
    """As much as is in force of it after a 429; nothing while nobody calls."""
    idle = BudgetDocument(used={"second": 0}, limit={"second": 10}, share=1.0, backoff_s=0.0, breaker_s=None)
    busy = replace(idle, used={"second": 1, "minute": 37}, limit={"second": 10, "minute": 100})
    cut = replace(idle, used={"second": 3}, share=0.5)
    calm = "All 4 copies of 2 lists are in sync"
    told = [
        words.sentence(status(counts(in_sync=4), remotes=remotes)).replace(words.NBSP, " ")
        for remotes in (
            {"crm": remote(budget=idle), "lance": remote()},
            {"crm": remote(budget=idle), "lance": remote(budget=busy)},
            {"crm": remote(budget=cut), "lance": remote(budget=busy)},
            {"crm": remote(budget=replace(idle, used={"second": 1}, limit={"second": 1_000}))},
        )
    ]

    assert told == [
        f"{calm}.",
        f"{calm}; the rate budget of lance is 37 % used.",
        f"{calm}; the rate budget of crm is 60 % used.",
        f"{calm}; the rate budget of crm is 1 % used.",
    ]


def test_the_bar_adds_up() -> None:
    """Its parts hold every copy once, and fill it."""
    found = status(counts(in_sync=5, due=3, parked=1), due_by_reason={Waiting.TURN: 1, Waiting.BACKOFF: 2})
    bar = words.bar(found)

    assert found.copies.total == sum(part.copies for part in bar)
    assert 1000 == pytest.approx(sum(part.width for part in bar), abs=0.1)
    assert 1000 == pytest.approx(bar[-1].begin + bar[-1].width, abs=0.1)


def test_every_reason_is_explained() -> None:
    """In words, on the page Waiting."""
    assert set(Waiting) == set(words.WAITS)


@pytest.mark.parametrize(
    ("word", "number", "says"),
    [
        ("retried", "3", "3 copies are due again; each is read before anything is sent."),
        ("retried", "1", "1 copy is due again; it is read before anything is sent."),
        ("let-go", "1", "1 list is released: what differs is due at once."),
        ("let-go", "2", "2 lists are released: what differs is due at once."),
        ("retried", "<b>", "0 copies are due again; each is read before anything is sent."),
        ("paused", "", "It is paused: nothing is sent there."),
        ("anything else", "1", None),
    ],
)
def test_nobody_puts_words_into_a_page_by_its_address(word: str, number: str, says: str | None) -> None:
    """Only our own sentences, and a number."""
    assert says == words.said(word, number)


@pytest.mark.parametrize(
    "where", ["//elsewhere.example", "https://elsewhere.example/", "/\\elsewhere", "", "x" * 9_999]
)
def test_buttons_lead_back_to_our_own_pages_only(where: str) -> None:
    """Whatever the form says."""
    assert "/lists?said=paused" == back(Asked([("back", where)]), "/lists", "paused").headers["location"]


def test_buttons_lead_back_to_where_they_were() -> None:
    """With what they did, once."""
    asked = Asked([("back", "/lists?q=a%26b&said=old&n=1")])

    assert "/lists?q=a%26b&said=retried&n=2" == back(asked, "/", "retried", 2).headers["location"]
    assert "/list?copy=crm%3Aa%2Fb+%3F" == link("/list", copy="crm:a/b ?", after=None)


@pytest.mark.parametrize(
    ("seconds", "says"), [(None, "–"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_800, "2 d")]
)
def test_durations(seconds: float | None, says: str) -> None:
    """In the largest unit that makes sense."""
    assert says == words.duration(seconds).replace(words.NBSP, " ")


@pytest.mark.parametrize(
    ("results", "says"),
    [
        ((Result.OK, Result.OK), "Everything is as it should be"),
        ((Result.OK, Result.UNKNOWN), "Nothing is wrong, as far as is known"),
        ((Result.UNKNOWN, Result.BAD), "Something is not as it should be"),
    ],
)
def test_what_is_not_known_yet_is_nothing_wrong(results: tuple[Result, ...], says: str) -> None:
    """In the first minutes nobody has looked at the numbers."""
    checks = [Check("numbers", result, "") for result in results]
    assert says == words.health(DoctorDocument(set(results) == {Result.OK}, checks))


def test_values() -> None:
    """Empty is said; numbers are grouped."""
    assert ["empty", "empty", "yes", "no", "1\N{NARROW NO-BREAK SPACE}234", "x"] == [
        words.value(one) for one in (None, "", True, False, 1234, "x")
    ]
    assert "3: crm:1, lance:2; 4: empty" == words.value({"3": ["crm:1", "lance:2"], "4": None})
    told = [words.milliseconds(one).replace(words.NBSP, " ") for one in (None, 12.3, 1_500, 200_000)]
    assert ["–", "12 ms", "1.5 s", "3 min"] == told
    assert "–" == words.age(None)
    assert f"0{words.NBSP}s" == words.age(datetime.now(UTC))
