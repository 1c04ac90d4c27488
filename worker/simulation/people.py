"""People who edit: fields, members, whole lists; on every side, at once, and back again.

Each edit has its own number and its own chance, so that a failing history can be played again without some of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from models.lead_list import SCALARS, Field, Value
from models.observation import Shown
from models.person import is_named
from models.values import replace
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import Fault
from worker.simulation.leads import RemoteWithLeads
from worker.simulation.life import Fate
from worker.simulation.post import Post
from worker.simulation.remote import SimulatedRemote
from worker.simulation.witness import Witness

_WORDS = ("Alpha", "alpha", "Beta  two", "Gamma with a long tail", "Delta ")
VALUES: dict[Field, tuple[Value, ...]] = {Field.OWNER: (None, "u1", "u2"), Field.ENRICHMENT: (None, True, False)}
_MEMBERS = ("p1", "p2", "p3")

Act = Callable[[random.Random, int], None]


class People:
    """All of them."""

    def __init__(
        self,
        remotes: dict[str, SimulatedRemote],
        post: Post,
        witness: Witness,
        loop: VirtualLoop,
        fate: Fate,
    ) -> None:
        self._remotes, self._post, self._witness = remotes, post, witness
        self._loop, self._fate, self._tell = loop, fate, fate.tell
        self.edits = 0
        faults, rules = fate.script.faults, fate.script.rules
        self.numbers = [str(number) for number in range(1, fate.script.lists + 1)]
        #: Members that one side only ever touches: by list and name, that side.
        self._owned: dict[tuple[str, str], str] = {}
        self._acts: list[Act] = [*[self._edit] * 8, *[self._edit_twice] * 3, *[self._edit_back] * 2]
        with_members = [name for name, one in rules.remotes.items() if one.direction(Field.MEMBERS).takes]
        self._with_members = [name for name in with_members if remotes[name].habits.has_members]
        if self._with_members:
            self._acts += [self._own_member] * 5 + [self._member] * 2
        #: Everybody that may ever be a member, but for leads without an address; and whose address is told later.
        self.names = [*_MEMBERS, *(f"m{edit}" for edit in fate.script.edits)]
        chance = fate.script.chance("unknown")
        self.unknown = [name for name in self.names if Fault.UNKNOWN in faults and chance.random() < 0.4]
        self._apart = [one for one in remotes.values() if isinstance(one, RemoteWithLeads)]
        if self._apart:
            self._acts += [self._member_apart] * 8
        if Fault.DELETES in faults:
            self._acts += [self._delete]
        if Fault.MAKES in faults:
            self._acts += [self._make] * 2
        if fate.streams["people"].random() < 0.2:
            self._acts += [self._edit_many]

    def plan(self, begins: float, lasts: float) -> None:
        """Set a timer for each edit."""
        for number in self._fate.script.edits:
            chance = self._fate.script.chance(f"edit {number}")
            at = begins + chance.uniform(0.0, lasts)
            self._loop.call_at(at, chance.choice(self._acts), chance, number)

    def change(self, remote: str, number: str, field: Field, value: Value) -> None:
        """A person sets one field of one list on one side."""
        there = self._remotes[remote]
        for before in there.of(number):
            shown = there.habits.shows(field, value)
            if before.fields.get(field) == shown:
                return
            self._did(remote, number, field, shown)
            self._post.announce(there, there.put(replace(before, fields={**before.fields, field: value})))

    def change_member(self, remote: str, number: str, member: str, *, there: bool) -> None:
        """A person adds one member, or takes it off."""
        one = self._remotes[remote]
        for before in one.of(number):
            if (member in (before.members or ())) is there or not one.takes(member):
                return
            self._did(remote, number, member, there)
            after = one.hold(before, member, there=there)
            told = (member, there) if self._fate.streams["people"].random() < 0.5 else None
            self._post.announce(one, after, told)

    def _did(self, remote: str, number: str, what: Field | str, value: Value) -> None:
        self._tell("person", f"sets {what} of {remote}:{number} to {value!r}")
        self._witness.sees(remote, number, what, value)
        self.edits += 1

    def _edit(self, chance: random.Random, _edit: int) -> None:
        remote, number, field = self._some(chance)
        self.change(remote, number, field, self._value(chance, number, field))

    def _edit_twice(self, chance: random.Random, _edit: int) -> None:
        """One field on two sides, within a second or two."""
        _, number, field = self._some(chance)
        for remote in chance.sample(sorted(self._remotes), min(2, len(self._remotes))):
            value = self._value(chance, number, field)
            self._loop.call_later(chance.uniform(0.0, 2.0), self.change, remote, number, field, value)

    def _edit_back(self, chance: random.Random, _edit: int) -> None:
        """Set, and a little later as it was."""
        remote, number, field = self._some(chance)
        for shown in self._remotes[remote].of(number):
            self.change(remote, number, field, self._value(chance, number, field))
            was = shown.fields.get(field)
            self._loop.call_later(chance.uniform(0.1, 30.0), self.change, remote, number, field, was)

    def _edit_many(self, chance: random.Random, _edit: int) -> None:
        """Somebody runs a script over one remote."""
        remote, word = chance.choice(sorted(self._remotes)), chance.choice(_WORDS)
        for number in self.numbers:
            self.change(remote, number, Field.NAME, f"{number} {word}")

    def _own_member(self, chance: random.Random, edit: int) -> None:
        """One side adds a member of its own, and perhaps takes it off and adds it again."""
        remote, number = chance.choice(self._with_members), chance.choice(self.numbers)
        mine = [name for (one, name), side in self._owned.items() if (one, side) == (number, remote)]
        if mine and chance.random() < 0.5:
            member, there = chance.choice(mine), not self._holds(remote, number, mine[0])
        else:
            member, there = f"m{edit}", True
            self._owned[number, member] = remote
        self.change_member(remote, number, member, there=there)
        if chance.random() < 0.25:
            later_s = chance.uniform(0.1, 30.0)
            self._loop.call_later(later_s, lambda: self.change_member(remote, number, member, there=not there))

    def _member(self, chance: random.Random, _edit: int) -> None:
        """Any side, any member."""
        remote, number, member = chance.choice(self._with_members), chance.choice(self.numbers), chance.choice(_MEMBERS)
        self.change_member(remote, number, member, there=not self._holds(remote, number, member))

    def _member_apart(self, chance: random.Random, edit: int) -> None:
        """Something that is only done to rows: one without an address, a field, one more row, a move."""
        remote, number = chance.choice(self._apart), chance.choice(self.numbers)
        for shown in remote.of(number):
            there = sorted(one for one in shown.members or () if is_named(one))
            what = chance.choice((self._stranger, self._rename, self._double, self._move, self._move))
            if what == self._stranger or there:
                what(chance, remote, number, shown, there[edit % len(there)] if there else "")

    def _stranger(self, chance: random.Random, remote: RemoteWithLeads, number: str, shown: Shown, _name: str) -> None:
        """A lead without an address comes, or one of them goes."""
        there = sorted(one for one in shown.members or () if not is_named(one))
        if there and chance.random() < 0.5:
            self.change_member(remote.name, number, there[0], there=False)
            return
        self._did(remote.name, number, remote.next_stranger(), value=True)
        self._post.announce(remote, remote.add_stranger(shown))

    def _rename(self, chance: random.Random, remote: RemoteWithLeads, number: str, shown: Shown, name: str) -> None:
        self._tell("person", f"changes the first name of {name} of {remote.name}:{number}")
        remote.rename_lead(shown.remote_id, name, chance.choice(_WORDS))
        self._post.announce(remote, shown)

    def _double(self, chance: random.Random, remote: RemoteWithLeads, number: str, shown: Shown, name: str) -> None:
        """One more row of somebody, or one less."""
        less = chance.random() < 0.4
        self._witness.edited[remote.name, number] = self._loop.time()
        self._tell("person", f"makes one row {'less' if less else 'more'} of {name} of {remote.name}:{number}")
        self._post.announce(remote, remote.drop_row(shown, name) if less else remote.copy_row(shown, name))

    def _move(self, chance: random.Random, remote: RemoteWithLeads, number: str, _shown: Shown, name: str) -> None:
        """A background job moves somebody to another list: first it is on both."""
        others = [one for one in self.numbers if one != number and remote.of(one)]
        if not others:
            return
        into, begins, lasts = chance.choice(others), chance.uniform(0.0, 10.0), chance.uniform(0.1, 20.0)
        self._tell("person", f"lets {name} of {remote.name}:{number} be moved to {into}")
        remote.paths["member moved"] += 1
        at_work = [one.remote_id for each in (number, into) for one in remote.of(each)]
        remote.at_work(at_work, 1)
        self._loop.call_later(begins, lambda: self.change_member(remote.name, into, name, there=True))

        def ends() -> None:
            self.change_member(remote.name, number, name, there=False)
            remote.at_work(at_work, -1)

        self._loop.call_later(begins + lasts, ends)

    def _delete(self, chance: random.Random, _edit: int) -> None:
        remote, number = self._remotes[chance.choice(sorted(self._remotes))], chance.choice(self.numbers)
        for shown in remote.of(number):
            if len(remote.deleted) >= 3:
                return
            self._tell("person", f"deletes {remote.name}:{number} ({shown.remote_id})")
            self._fate.met(Fault.DELETES)
            self.edits += 1
            self._witness.loses(remote.name, number)
            remote.delete(shown.remote_id)
            self._post.announce_deleted(remote, shown.remote_id)

    def _make(self, chance: random.Random, edit: int) -> None:
        """A new list, on a side where leadsync makes none by itself if there is one."""
        rules = self._fate.script.rules.remotes
        remote = self._remotes[chance.choice([name for name in rules if not rules[name].creates] or sorted(rules))]
        number = str(100 + edit)
        self.numbers.append(number)
        self._tell("person", f"makes {remote.name}:{number}")
        self._fate.met(Fault.MAKES)
        self.edits += 1
        self._post.announce(remote, remote.put(newborn(f"{remote.name[0]}{number}", number, remote)))

    def _some(self, chance: random.Random) -> tuple[str, str, Field]:
        return chance.choice(sorted(self._remotes)), chance.choice(self.numbers), chance.choice(SCALARS)

    def _value(self, chance: random.Random, number: str, field: Field) -> Value:
        """Names begin with the number of their list, so that everybody can tell whose they are."""
        return f"{number} {chance.choice(_WORDS)}" if field is Field.NAME else chance.choice(VALUES[field])

    def _holds(self, remote: str, number: str, member: str) -> bool:
        return any(member in (shown.members or ()) for shown in self._remotes[remote].of(number))


def newborn(remote_id: str, number: str, remote: SimulatedRemote) -> Shown:
    """A list as a person makes it."""
    fields: dict[Field, Value] = {Field.NAME: f"{number} Alpha", Field.OWNER: None, Field.ENRICHMENT: None}
    members = frozenset({"p1"}) if remote.habits.has_members else frozenset[str]()
    return Shown(remote_id=remote_id, fields=fields, members=members)
