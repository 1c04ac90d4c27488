"""Plans and approvals: one class of tests on memory, SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.lead_list import Standing, Waiting
from models.plan import KEPT, KEPT_FOR, KeptPlan, PlanItem, hash_of
from tests.support.heart import copy_of, list_of
from tests.support.stores import NAME, RunsNow, due_copy, loaded, saved
from worker.parts import Kept


@pytest.fixture
def store(every_store: RunsNow) -> RunsNow:
    """All three."""
    return every_store


def plan_of(*items: PlanItem, age: timedelta = timedelta()) -> KeptPlan:
    """Made so long ago."""
    return KeptPlan(hash=hash_of(items), made_at=datetime.now(UTC) - age, items=items)


def keep(store: RunsNow, plan: KeptPlan) -> None:
    """Keep it."""
    store.run_now(lambda tx: tx.plans.keep(plan))


def find(store: RunsNow, digits: str) -> list[KeptPlan]:
    """Plans whose hash begins so."""
    found: list[KeptPlan] = store.run_now(lambda tx: tx.plans.find(digits))
    return found


def item(number: int) -> PlanItem:
    """Any."""
    return PlanItem(number, "lance", f"a:{number}", "f" * 64)


class TestPlans:
    """What every store does."""

    def test_a_plan_is_found_by_its_first_digits(self, store: RunsNow) -> None:
        """As it was kept; what no hash begins with finds nothing."""
        plan = plan_of(item(1), item(2))
        keep(store, plan)
        keep(store, plan_of(item(3)))
        assert [plan] == find(store, plan.hash[:12]) == find(store, plan.hash)
        assert [] == find(store, "%") == find(store, "_" * 12) == find(store, plan.hash + "0")
        assert 2 == len(find(store, ""))

    def test_the_same_plan_again_is_as_new(self, store: RunsNow) -> None:
        """It is there once, with the later time."""
        old, new = plan_of(item(1), age=timedelta(days=6)), plan_of(item(1))
        keep(store, old)
        keep(store, new)
        assert [new] == find(store, "")

    def test_plans_that_are_too_many_or_too_old_go(self, store: RunsNow) -> None:
        """The newest stay."""
        ages = [timedelta(minutes=number) for number in range(KEPT + 3)]
        plans = [plan_of(item(number), age=age) for number, age in enumerate(ages)]
        keep(store, plan_of(item(99), age=KEPT_FOR + timedelta(seconds=1)))
        for plan in plans:
            keep(store, plan)
        there = [plan.hash for plan in plans if find(store, plan.hash)]
        assert [plan.hash for plan in plans[:KEPT]] == there

    def test_an_old_plan_is_not_found(self, store: RunsNow) -> None:
        """Even while nobody has made another one since."""
        old = plan_of(item(1), age=KEPT_FOR + timedelta(seconds=1))
        keep(store, old)
        assert [] == find(store, old.hash)

    def test_upkeep_may_end_their_keeping_sooner(self, store: RunsNow) -> None:
        """By `sync.keep_days`."""
        plans = [plan_of(item(days), age=timedelta(days=days)) for days in (1, 3)]
        for plan in plans:
            keep(store, plan)
        before = datetime.now(UTC) - timedelta(days=2)
        assert 1 == store.run_now(lambda tx: tx.upkeep.forget(Kept.PLANS, before, 100))
        assert [plans[0]] == find(store, "")

    def test_due_lists_come_in_the_order_of_their_numbers(self, store: RunsNow) -> None:
        """Those that wait for a person too; others not; a list with two due copies once."""
        crm, lance = (
            replace(copy_of(name), standing=Standing.DUE, waiting=Waiting.REVIEW) for name in ("crm", "lance")
        )
        both = list_of(crm, lance, wanted={NAME: "B"})
        numbers = [
            saved(store, one).id
            for one in (due_copy(), list_of(copy_of("lance")), both, due_copy(60, standing=Standing.PARKED))
        ]
        first, _, third, _ = numbers

        def waiting(remote: str | None, after: int, limit: int) -> list[int]:
            found: list[int] = store.run_now(lambda tx: tx.plans.waiting(remote, after, limit))
            return found

        assert [first, third] == waiting(None, 0, 10) == waiting("lance", 0, 10)
        assert [first] == waiting(None, 0, 1)
        assert [third] == waiting(None, first, 10) == waiting("crm", 0, 10)
        assert [] == waiting(None, third, 10) == waiting("instantly", 0, 10)

    def test_an_approval_is_kept_with_its_copy(self, store: RunsNow) -> None:
        """And goes when it is used up."""
        made = saved(store, list_of(replace(copy_of("lance"), approved="f" * 64)))
        assert "f" * 64 == loaded(store, made.id).copies["lance"].approved
        after = replace(made, copies={"lance": replace(made.copies["lance"], approved="")})
        store.run_now(lambda tx: tx.save([(made, after)]))
        assert "" == loaded(store, made.id).copies["lance"].approved
