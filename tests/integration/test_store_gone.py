"""Lists that were found to be gone: one class of tests on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.stores import RunsNow
from worker.parts import Kept


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def gone(store: RunsNow, *keys: tuple[str, str]) -> dict[tuple[str, str], datetime]:
    """Which of these are gone, and since when."""
    found: dict[tuple[str, str], datetime] = store.run_now(lambda tx: tx.scans.gone_since(keys))
    return found


class TestGone:
    """What every store does."""

    def test_a_list_that_is_gone_is_known_by_remote_and_id(self, store: RunsNow) -> None:
        """Another remote may have a list of the same id."""
        before = datetime.now(UTC)
        store.run_now(lambda tx: tx.scans.found_gone("lance", "1"))
        assert [("lance", "1")] == list(gone(store, ("lance", "1"), ("crm", "1"), ("lance", "2")))
        assert timedelta() <= gone(store, ("lance", "1"))["lance", "1"] - before < timedelta(minutes=1)
        assert {} == gone(store)

    def test_gone_once_more_is_gone_since_then(self, store: RunsNow) -> None:
        """It was restored there, and deleted again."""
        store.run_now(lambda tx: tx.scans.found_gone("lance", "1"))
        first = gone(store, ("lance", "1"))["lance", "1"]
        store.run_now(lambda tx: tx.scans.found_gone("lance", "1"))
        assert gone(store, ("lance", "1"))["lance", "1"] > first

    def test_upkeep_ends_the_keeping(self, store: RunsNow) -> None:
        """By `sync.keep_days`."""
        store.run_now(lambda tx: tx.scans.found_gone("lance", "1"))
        now = datetime.now(UTC)
        assert 0 == store.run_now(lambda tx: tx.upkeep.forget(Kept.GONE, now - timedelta(days=1), 100))
        assert 1 == store.run_now(lambda tx: tx.upkeep.forget(Kept.GONE, now + timedelta(days=1), 100))
        assert {} == gone(store, ("lance", "1"))
