"""Every reason, and every way to wait, has its sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from models.lead_list import WHOLE, Abandoned, Copy, Field, Hold, Intent, Parked, Seen, Standing, Value, Waiting
from models.patch import Patch
from tests.support.heart import NOON, agreed_list, at, copy_of, later, list_of, remote_rules
from worker.documents.explain import Explained
from worker.engine.plan import plan
from worker.engine.rules import Direction, NoMapping, RemoteRules
from worker.ports import RemoteState

RULES = remote_rules(
    directions={Field.ENRICHMENT: Direction.PULL, Field.OWNER: Direction.OFF, Field.MEMBERS: Direction.NONE}
)
PAUSED = RemoteState(paused=True, cause="lance answered 401")


def said(
    copy: Copy,
    field: Field = Field.NAME,
    *,
    rules: RemoteRules = RULES,
    waiting: Waiting | None = None,
    state: RemoteState | None = None,
    holds: Mapping[str, Hold] | None = None,
    **wanted: Value,
) -> str:
    """What is said of one field where these values are wanted."""
    values = {Field(name): value for name, value in (wanted or {"name": "B"}).items()}
    lead_list = replace(list_of(copy, wanted=values), holds=holds or {})
    planned = plan(lead_list, copy, rules, NOON)
    explained = Explained(
        lead_list=lead_list,
        copy=copy,
        planned=planned,
        rules=rules,
        waiting=waiting,
        state=state or RemoteState(),
    )
    return explained.sentences()[field.value]


SHOWS_A = copy_of("lance", {Field.NAME: "A"})
RESOLVE = "leadsync conflicts resolve lance:lance-1 name --use lance, or --use wanted"


def no_owner(_field: Field, value: Value) -> Value:
    """Has no counterpart for anything."""
    raise NoMapping(str(value))


@pytest.mark.parametrize(
    ("sentence", "copy", "more"),
    [
        ("equal: it shows what is wanted", SHOWS_A, {"name": "A"}),
        (
            "equal as shown there: it has its own way to show what is wanted",
            replace(SHOWS_A, seen={Field.NAME: Seen("b", at(0))}),
            {"rules": remote_rules(spell=lambda _, value: str(value).lower())},
        ),
        ("direction pull: not written there; see remotes.lance.fields", SHOWS_A, {"field": Field.ENRICHMENT}),
        ("direction off: not compared there; see remotes.lance.fields", SHOWS_A, {"field": Field.OWNER}),
        ("no such field there", SHOWS_A, {"field": Field.MEMBERS}),
        (
            "no mapping: what is wanted has no counterpart there in remotes.lance.owners",
            SHOWS_A,
            {"field": Field.OWNER, "owner": "u1", "rules": remote_rules(spell=no_owner)},
        ),
        ("nothing wanted: nobody has said a value yet", SHOWS_A, {"owner": "u1"}),
        (
            f"conflict held: edited there and somewhere else; next: {RESOLVE}",
            replace(SHOWS_A, held=SHOWS_A.seen),
            {},
        ),
        (
            "differs; waiting for read-back until 2026-03-01 12:01:00Z: an older write of another value may still land",
            replace(SHOWS_A, abandoned={Field.NAME: Abandoned("Z", later(60))}),
            {"waiting": Waiting.READ_BACK},
        ),
        (
            "not read yet; waiting for a read: the list is looked at before anything is sent",
            copy_of("lance"),
            {"waiting": Waiting.FIRST_READ},
        ),
        ("not read yet; waiting for the rate budget", copy_of("lance"), {"waiting": Waiting.BUDGET}),
        (
            "differs; parked because lance answered 422; next: change the list",
            replace(SHOWS_A, standing=Standing.PARKED, parked=Parked("lance answered 422", "change the list", "")),
            {},
        ),
        (
            "to be created there; waiting for the first scan: once complete, it tells what is on lance already",
            replace(copy_of("lance"), remote_id="pending:1"),
            {"waiting": Waiting.FIRST_SCAN},
        ),
    ],
)
def test_every_reason_has_its_sentence(sentence: str, copy: Copy, more: dict[str, Any]) -> None:
    """It begins with a word of the reason, and says what to do where people can do something."""
    assert sentence == said(copy, **more)


@pytest.mark.parametrize(
    ("waiting", "sentence"),
    [
        (Waiting.TURN, "its turn"),
        (Waiting.BUDGET, "the rate budget"),
        (Waiting.BACKOFF, "backoff until 2026-03-01 12:00:30Z, after 3 failed calls"),
        (Waiting.PAUSED, "lance to be resumed: lance answered 401"),
        (Waiting.BREAKER, "the breaker: lance keeps failing, and one probe at a time goes out"),
        (Waiting.READ_BACK, "read-back until 2026-03-01 12:00:30Z: a write of unknown outcome is looked at first"),
        (Waiting.REVIEW, "review: leadsync plan, then leadsync apply HASH"),
        (Waiting.BRAKE, "a person: the brake holds it; next: leadsync plan, then leadsync apply HASH"),
    ],
)
def test_what_differs_says_what_it_waits_for(waiting: Waiting, sentence: str) -> None:
    """With the moment, where one is known."""
    copy = replace(SHOWS_A, tries=3, due_at=later(30))

    assert f"differs; waiting for {sentence}" == said(copy, waiting=waiting, state=PAUSED)


def test_what_is_in_flight_says_so() -> None:
    """What was wanted only after the call had been sent goes with the next one."""
    copy = replace(SHOWS_A, intent=Intent(Patch({Field.NAME: "B"}), NOON))
    other = replace(SHOWS_A, intent=Intent(Patch({Field.OWNER: "u"}), NOON))

    assert "differs; in flight: being sent at this moment" == said(copy, waiting=Waiting.IN_FLIGHT)
    assert "differs; waiting for the call in flight" == said(other, waiting=Waiting.IN_FLIGHT)


@pytest.mark.parametrize("waiting", [None, *Waiting])
def test_no_way_to_wait_is_without_words(waiting: Waiting | None) -> None:
    """Whatever holds the copy, every field gets a sentence without a gap."""
    for copy in (SHOWS_A, copy_of("lance"), agreed_list("lance", name="B").copies["lance"]):
        for field in Field:
            sentence = said(copy, field, waiting=waiting)
            assert sentence
            assert "{" not in sentence


def test_what_is_held_says_by_whom_and_how_to_go_on() -> None:
    """The whole list, or one copy of it; and that it is read all the same."""
    ada, held = (
        Hold("cli:ada", NOON),
        "held by cli:ada since 2026-03-01 12:00:00Z; next: leadsync release lance:lance-1",
    )
    told = [said(SHOWS_A, waiting=Waiting.HOLD, holds={scope: ada}) for scope in (WHOLE, "lance")]

    assert told == [f"differs; waiting for its release: {held}{more}" for more in ("", " --copy")]
    unseen = said(copy_of("lance"), waiting=Waiting.HOLD, holds={WHOLE: ada})
    assert unseen == "not read yet; waiting for a read: the list is looked at before anything is sent"


def test_one_failed_call_is_one() -> None:
    """And not several."""
    assert said(replace(SHOWS_A, tries=1), waiting=Waiting.BACKOFF).endswith("backoff, after 1 failed call")
