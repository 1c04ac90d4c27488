"""The plan that a person has seen: which patches, by their signatures, so that exactly those can be applied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from models.lead_list import PENDING

#: So many digits of a hash are enough to name a plan.
DIGITS = 12
#: Plans that are kept: so many, and for so long.
KEPT = 20
KEPT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PlanItem:
    """One patch for one copy."""

    list_id: int
    remote: str
    remote_id: str
    #: Of the patch and the values that it is written over.
    signature: str

    @property
    def creates(self) -> bool:
        """The list is still to be created there."""
        return self.remote_id.startswith(PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlan:
    """A plan as it was shown."""

    hash: str
    made_at: datetime
    items: tuple[PlanItem, ...]


def hash_of(items: Iterable[PlanItem]) -> str:
    """One for contents and base of all patches, whatever their order."""
    contents = sorted((item.list_id, item.remote, item.signature) for item in items)
    return hashlib.sha256(orjson.dumps(contents)).hexdigest()
