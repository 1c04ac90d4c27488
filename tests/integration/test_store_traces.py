"""Traces in the store: one class of tests on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from models.lead_list import Field
from tests.support.stores import RunsNow
from worker.parts import TRACED_FOR, Trace

LONG_AGO = datetime.now(UTC) - timedelta(days=7)


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def trace(number: int, which: int, field: Field | None = Field.NAME) -> Trace:
    """One of many."""
    return Trace(number, field, f"00-{which:032x}-{which:016x}-01")


def keep(store: RunsNow, *traces: Trace) -> datetime:
    """In one transaction; answers with its moment."""

    def work(tx: object) -> datetime:
        tx.traces.keep(traces)  # type: ignore[attr-defined]  # both stores' own
        return tx.now  # type: ignore[attr-defined,no-any-return]

    return store.run_now(work)


def of(store: RunsNow, since: dict[int, datetime], most: int = 10) -> dict[int, list[Trace]]:
    """Ask."""
    found: dict[int, list[Trace]] = store.run_now(lambda tx: tx.traces.of(since, most))
    return found


def test_the_newest_of_each_list_come_first(store: RunsNow) -> None:
    """And no more than were asked for, whatever another list has."""
    keep(store, *(trace(1, n) for n in range(1, 5)), trace(2, 9, None))
    keep(store, trace(1, 5), trace(3, 7))

    assert {1: [trace(1, 5), trace(1, 4)], 2: [trace(2, 9, None)]} == of(store, {1: LONG_AGO, 2: LONG_AGO}, most=2)


def test_what_came_before_the_copy_differed_is_no_cause(store: RunsNow) -> None:
    """The transaction in which it began to differ is one."""
    keep(store, trace(1, 1), trace(2, 2))
    since = keep(store, trace(1, 3))

    assert {1: [trace(1, 3)], 2: [trace(2, 2)]} == of(store, {1: since, 2: LONG_AGO})
    assert {} == of(store, {})


def test_old_ones_go(store: RunsNow, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the next that are kept."""
    keep(store, trace(1, 1))
    for module in ("traces", "memory_traces"):
        monkeypatch.setattr(f"worker.store.{module}.TRACED_FOR", -TRACED_FOR)
    keep(store, trace(1, 2))
    keep(store)

    assert {} == of(store, {1: LONG_AGO})
