"""What a patch of several calls has done so far. Filled by adding and removing, read by Instantly's connector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.lead_list import Field, Value
from models.observation import MembersSeen, Shown
from models.person import Person


@dataclass(slots=True, kw_only=True)
class Done:
    """Only what is sure. Falsy as long as a repeat of the whole patch would have just as much to do."""

    #: Fields were told, whether or not the answer showed them.
    told: bool = False
    fields: Mapping[Field, Value] = field(default_factory=dict)
    #: Members that are there now, and that are not.
    added: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    #: Why members were not taken, in words that name nobody.
    refused: dict[str, str] = field(default_factory=dict)
    people: list[Person] = field(default_factory=list)
    #: Some members may be gone, and nobody said so: what the patch came to must be read.
    doubtful: bool = False

    def __bool__(self) -> bool:
        return bool(self.told or self.added or self.removed or self.refused or self.doubtful)

    def shown(self, remote_id: str) -> Shown:
        """As the answer to the patch."""
        moved = MembersSeen(whole=False, added=frozenset(self.added), removed=frozenset(self.removed))
        return Shown(
            remote_id=remote_id,
            fields=self.fields,
            moved=moved if self.added or self.removed else None,
            refused=self.refused,
            people=tuple(self.people),
        )
