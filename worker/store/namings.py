"""By what remotes know members, and whether settings still say the same. Asked before a worker starts.

What was seen of members is kept by keys, which were made of ids. When the same ids mean other keys, everybody seems to
have gone and others to have come, and that must never be believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, exists, func, select

from models.person import Naming
from worker.errors import UsageError
from worker.store.tables import COPIES, NAMINGS
from worker.store.writing import upsert


def check_namings(engine: Engine, namings: Mapping[str, Naming]) -> None:
    """Raise `UsageError` when a remote now names members in another way than when they were seen on lists that are
    tied to others. Otherwise keep what is so now.
    """
    with engine.begin() as connection:
        before = {row.remote: row.naming for row in connection.execute(select(NAMINGS))}
        for remote, naming in namings.items():
            changed = remote in before and before[remote] != naming
            if changed and (lists := _tied(connection, remote)):
                raise UsageError(
                    f"remotes.{remote}.member_ids: it was changed, and what was seen of members there is kept by the "
                    f"old ids for {lists} lists: set it back; or set it back, unlink these lists, change it, and link "
                    "them again"
                )
        upsert(connection, NAMINGS, [{"remote": one, "naming": naming.value} for one, naming in namings.items()])


def _tied(connection: Connection, remote: str) -> int:
    """Lists there, with members that were seen, that are somewhere else too."""
    other = COPIES.alias("other")
    elsewhere = exists().where(other.c.list_id == COPIES.c.list_id, other.c.remote != remote)
    seen: tuple[Any, ...] = (COPIES.c.remote == remote, COPIES.c.tally.is_not(None), elsewhere)
    count: int = connection.execute(select(func.count()).select_from(COPIES).where(*seen)).scalar_one()
    return count
