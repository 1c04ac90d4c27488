"""The patch: what one copy is to be told. Computed from state when it is sent, never stored as work."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from models.lead_list import Field, Standing, Value
    from models.person import Person


class Reason(enum.StrEnum):
    """Why a field is, or is not, part of a patch."""

    DIFFERS = "differs"  #: sent
    EQUAL = "equal"  #: the copy shows what is wanted
    EQUAL_AS_SHOWN = "equal, as shown there"  #: the remote spells it its own way
    DIRECTION = "direction"  #: settings say that this field is not written there
    NO_FIELD = "no such field there"  #: this kind of remote has nothing like it
    NO_MAPPING = "no mapping"  #: the wanted value has no counterpart there
    EXCLUDED = "not known there"  #: members differ that this remote cannot be told of
    CONFLICT = "conflict held"  #: a person decides first
    BRAKE = "held by the brake"  #: it would remove so many members that a person decides first
    READ_BACK = "waiting for read-back"  #: an older write of another value may still land
    UNSEEN = "not read yet"  #: the copy must be read first
    NOTHING_WANTED = "nothing wanted"  #: nobody has said a value yet


@dataclass(frozen=True, slots=True)
class Patch:
    """Canonical fields that differ, members to add and to remove. Falsy when there is nothing to say."""

    fields: Mapping[Field, Value] = field(default_factory=dict)
    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()
    #: Who the members to add are, by the same ids; for remotes that make a row of each.
    people: Mapping[str, Person] = field(default_factory=dict, compare=False)
    #: When the membership was last seen, on the remote's clock: an older one must not be merged with.
    base: datetime | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return bool(self.fields or self.add or self.remove)

    def digest(self) -> str:
        """The same 16 hex digits for the same contents, in every process."""
        fields = {field.value: value for field, value in self.fields.items()}
        contents = (fields, sorted(self.add), sorted(self.remove))
        return hashlib.sha256(orjson.dumps(contents, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """What push would send to one copy now, and why every field is or is not in it."""

    patch: Patch
    reasons: Mapping[Field, Reason]
    standing: Standing
    #: The patch may not go out before then (an older write may still land); None when it may.
    not_before: datetime | None = None
