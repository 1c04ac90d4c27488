"""Members of one Lance list: what a write means, and whether it came out so. Pure; used by Lance's connector.

Lance replaces whole arrays, so a list of a million is a million ids in each answer and each body. They are parsed
once; the array to send is made of the very strings that were read, in Lance's own order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.lead_list import Kind
from models.observation import MembersSeen, Shown
from models.patch import Patch
from models.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """A list as it was read just before a write."""

    shown: Shown
    kind: Kind
    #: Its members, who are in `shown` too, in Lance's order.
    ids: Sequence[str]
    members: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The array that is to replace what is there."""

    ids: list[str]
    #: Different ones among them.
    size: int

    def is_in(self, members: frozenset[str] | None) -> bool:
        """Whether these members are the ones that were meant."""
        return members is not None and len(members) == self.size and members.issuperset(self.ids)


def merged(fresh: Fresh, patch: Patch) -> Meant | None:
    """What the patch makes of the members who were just read; None when it changes nothing."""
    new, gone = patch.add - patch.remove - fresh.members, fresh.members & patch.remove
    if not new and not gone:
        return None
    ids = [member for member in fresh.ids if member not in gone]
    ids += sorted(new)
    return Meant(ids=ids, size=len(fresh.members) - len(gone) + len(new))


def after_replacing(answer: Shown, meant: Meant, patch: Patch, fresh: Fresh) -> Shown:
    """The answer to a write of the whole array: all came out as meant, or all that is there now."""
    shown = replace(answer, before=fresh.shown)
    return _moved(shown, patch) if meant.is_in(answer.members) else shown


def after_adding(answer: Shown, patch: Patch) -> Shown:
    """The answer to additions: all of them are there, or all that is there now."""
    added = answer.members is not None and answer.members >= patch.add
    return _moved(answer, patch) if added else answer


def _moved(shown: Shown, patch: Patch) -> Shown:
    """Only what the patch moved: the others were told before."""
    moved = MembersSeen(whole=False, added=patch.add - patch.remove, removed=patch.remove)
    people = tuple(person for person in shown.people if person.id in patch.add)
    return replace(shown, members=None, moved=moved, people=people)
