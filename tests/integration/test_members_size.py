"""What one member costs does not depend on how many others are on the list: the same statements, the same rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support.big_lists import NAMED, Asked, Part, add_event, counting, email, long_ago, put_list, remove_event
from tests.support.three_sides import ThreeSides, three_sides
from worker.remotes.lance import connector

SMALL, BIG = range(1_000), range(1_000, 21_000)


class Lists:
    """A small list and a big one, in one database and on all three sides."""

    def __init__(self, sides: ThreeSides) -> None:
        self.sides = sides
        self.ids = {numbers: self._put(numbers) for numbers in (SMALL, BIG)}

    @property
    def engine(self) -> Engine:
        return self.sides.store._engine

    def take_in(self, event: bytes) -> None:
        self.sides.log.add(event)
        assert self.sides.intake().rejected == 0

    def _put(self, numbers: range) -> str:
        row = {"name": "People", "kind": "person"}
        members = {remote: [named(n) for n in numbers] for remote, named in NAMED.items()}
        simulators = self.sides.simulators
        ids = {on: simulators[on].seed([{**row, "members": members[on]}])[0] for on in NAMED}
        part = Part(numbers=numbers, on=frozenset(ids))
        put_list(self.sides.store, self.sides.rules, ids, [part], known=numbers, seen_at=long_ago())
        return ids["crm"]


@pytest.fixture
def lists(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lists]:
    """On both databases, with time for a large list on a machine that is busy with other tests."""
    monkeypatch.setattr(connector, "WINDOW_S", 60.0)
    with three_sides(database_url) as sides:
        yield Lists(sides)


def test_intake_of_one_member(lists: Lists) -> None:
    """Who it is, that it is on the list, that two copies are due, one line in the ledger: as if it were alone."""
    for tell, rows in {add_event: 10, remove_event: 7}.items():
        asked = list[Asked]()
        for number, on in zip((30_000, 30_001), (SMALL, BIG), strict=True):
            with counting(lists.engine) as one:
                lists.take_in(tell(number, lists.ids[on]))
            asked.append(one)
        assert asked[0] == asked[1]
        assert asked[1].steps <= 2 * asked[0].steps
        # Two ids and a name, the member, three copies, the ledger, two totals; who goes has told of itself before.
        assert asked[0].written == rows


def test_push_of_one_member(lists: Lists) -> None:
    """Instantly: one call of one lead. Lance: one write of all ids; no row of the others is written."""
    sides, asked = lists.sides, dict[tuple[str, range], Asked]()
    for number, on in zip((30_000, 30_001), (SMALL, BIG), strict=True):
        lists.take_in(add_event(number, lists.ids[on]))
        sides.forget_calls()
        for remote in ("instantly", "lance"):
            with counting(lists.engine) as asked[remote, on]:
                sides.push(remote)
        [added] = sides.simulators["instantly"].calls()
        assert [email(number)] == [lead["email"] for lead in added["body"]["leads"]]
        assert ["PATCH"] == [method for method, _ in sides.calls("lance") if method != "GET"]
    assert asked["instantly", SMALL] == asked["instantly", BIG]
    assert asked["instantly", BIG].steps <= 2 * asked["instantly", SMALL].steps
    assert asked["lance", SMALL].written == asked["lance", BIG].written


def test_scan_without_news(lists: Lists) -> None:
    """It writes down that it took place, and nothing of 21,000 members. Instantly's are counted: one call a list."""
    for remote, calls in {"crm": 1, "lance": 1, "instantly": 3}.items():
        lists.sides.scan(remote)  # the first one learns the versions that the lists have there
        lists.sides.forget_calls()
        with counting(lists.engine) as asked:
            assert lists.sides.scan(remote).drift == 0
        assert calls == len(lists.sides.calls(remote))
        assert asked.written < 12
