"""`leadsync audit list`: what people did by commands, on real databases, in the transaction of what they changed."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Iterator

import pytest

from models.audit import Action
from models.lead_list import LeadList, Standing
from tests.support.desk import Desk, desk_at, standing_copy
from worker.documents.audit import audit
from worker.errors import UsageError
from worker.ports import Tx
from worker.sync import operate
from worker.sync.acting import Acting


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    """With two remotes."""
    with desk_at(database_url, redis_url, "crm", "lance") as opened:
        yield opened


def test_who_did_what_is_kept_with_what_it_changed(desk: Desk) -> None:
    """The newest first, page by page; what changed nothing is not in it."""
    store, rules = Acting(desk.runtime.store, "cli:ann"), desk.runtime.registry.rules
    desk.put(LeadList(id=0, copies={"crm": standing_copy("crm", "1", Standing.PARKED)}))
    run = desk.runtime.run
    run(operate.pause(store, rules, "lance"))
    run(operate.pause(store, rules, "lance"))
    run(operate.retry_parked(Acting(desk.runtime.store, "operator 10.0.0.7"), rules, [("crm", "1"), ("crm", "2")]))

    page = run(audit(desk.views, limit=1, after=None))
    rest = run(audit(desk.views, limit=1, after=page.next))
    assert rest.next is None
    assert [("operator 10.0.0.7", Action.RETRY, "crm:1"), ("cli:ann", Action.PAUSE, "lance")] == [
        (one.who, one.what, one.target) for one in [*page.items, *rest.items]
    ]
    assert ("crm answered 422", {"standing": "due"}) == (page.items[0].before["cause"], page.items[0].after)
    with pytest.raises(UsageError):
        run(audit(desk.views, limit=1, after="x"))


def test_what_did_not_happen_is_not_in_it(desk: Desk) -> None:
    """One transaction: both or neither."""

    def work(tx: Tx) -> None:
        tx.audit.note(Action.PAUSE, "crm", {}, {})
        raise UsageError("changed my mind")

    with pytest.raises(UsageError):
        desk.runtime.run(Acting(desk.runtime.store, "cli:ann").run(work))
    assert [] == desk.runtime.run(audit(desk.views, limit=10, after=None)).items


def test_long_names_are_cut(desk: Desk) -> None:
    """An action never fails because somebody's name is long."""
    store = Acting(desk.runtime.store, "x" * 1000)
    desk.runtime.run(store.run(lambda tx: tx.audit.note(Action.LINK, "y" * 5000, {}, {})))
    [one] = desk.runtime.run(audit(desk.views, limit=10, after=None)).items
    assert (200, 700) == (len(one.who), len(one.target))


def test_commands_name_whoever_typed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of this machine, or by number where it has none."""
    from worker.cli.opening import person

    assert f"cli:{getpass.getuser()}" == person()
    monkeypatch.setattr("worker.cli.opening.getpass.getuser", _nobody)
    assert person().removeprefix("cli:").isdigit()


def _nobody() -> str:
    raise KeyError


def test_the_twin_in_memory_says_the_same() -> None:
    """So that the tests of use cases may look into it."""
    from tests.support.desk import NOW
    from worker.store.memory import MemoryStore

    store = MemoryStore(lambda: NOW)
    asyncio.run(Acting(store, "ann").run(lambda tx: tx.audit.note(Action.SCAN, "crm", {}, {"scan": 1})))
    [one] = store.tables.audit
    assert ("ann", Action.SCAN, "crm", {"scan": 1}, NOW) == (one.who, one.what, one.target, one.after, one.at)
