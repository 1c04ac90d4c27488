"""Which lead lists people ask for. A part of `View.lists`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from models.lead_list import Standing
from worker.store.codec import name_key
from worker.store.upkeep import COPIES, LISTS


@dataclass(frozen=True, slots=True)
class ListFilter:
    """Which lead lists are meant; everything that is given must hold."""

    #: Those with a copy there; together with standings, with a copy there that stands so.
    remote: str | None = None
    #: Part of the name that one of its copies shows, whatever case and spacing.
    name: str | None = None


ANY_LIST = ListFilter()


def meant(which: ListFilter, standings: Collection[Standing]) -> list[Any]:
    """As conditions. A lead list without any copy is none of them."""
    some = select(COPIES.c.list_id)
    if standings:
        some = some.where(COPIES.c.standing.in_([standing.value for standing in standings]))
    if which.remote is not None:
        some = some.where(COPIES.c.remote == which.remote)
    conditions = [LISTS.c.id.in_(some)]
    if which.name is not None:
        named = COPIES.c.name_key.contains(name_key(which.name), autoescape=True)
        conditions.append(LISTS.c.id.in_(select(COPIES.c.list_id).where(named)))
    return conditions
