"""A remote that suddenly names members in another way: nobody is believed gone, because no worker starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from models.lead_list import Tally
from models.person import Naming
from tests.support.heart import copy_of, list_of
from tests.support.stores import opened, saved
from worker.errors import UsageError
from worker.store.database import open_database
from worker.store.namings import check_namings
from worker.store.sql import SqlStore

OWN, SHARED = {"lance": Naming.ID, "crm": Naming.KEY}, {"lance": Naming.KEY, "crm": Naming.KEY}


@pytest.fixture
def sql(database_url: str) -> Iterator[SqlStore]:
    """On both databases."""
    with opened(database_url) as store:
        yield store


def test_a_change_is_refused_while_members_are_known_there(sql: SqlStore, database_url: str) -> None:
    """With what to do; and what is kept stays as it was, so that setting it back is enough."""
    engine = open_database(database_url)
    check_namings(engine, OWN)
    saved(sql, list_of(copy_of("crm", {}), replace(copy_of("lance", {}), tally=Tally(2, 7))))
    for _ in range(2):
        with pytest.raises(UsageError, match=r"remotes\.lance\.member_ids: it was changed, .* for 1 lists"):
            check_namings(engine, SHARED)
    check_namings(engine, OWN)
    engine.dispose()


@pytest.mark.parametrize("tied", [False, True])
def test_a_change_is_taken_where_nothing_can_be_lost(sql: SqlStore, database_url: str, *, tied: bool) -> None:
    """No members were seen there, or the list is nowhere else; from then on the new way is the known one."""
    engine = open_database(database_url)
    check_namings(engine, OWN)
    seen = copy_of("lance", {}) if tied else replace(copy_of("lance", {}), tally=Tally(2, 7))
    saved(sql, list_of(*([copy_of("crm", {})] if tied else []), seen))
    check_namings(engine, SHARED)
    if tied:
        saved(sql, list_of(copy_of("crm", {}), replace(copy_of("lance", {}), tally=Tally(2, 7))))
        with pytest.raises(UsageError, match="member_ids"):
            check_namings(engine, OWN)
    engine.dispose()
