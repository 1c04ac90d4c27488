"""The witness: what people did to each list since it was last quiet. What judges hold the end against.

An edit of a list that is quiet is the only one under way: it must win. Of edits that meet others, one must win.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from models.lead_list import SCALARS, Abandoned, Copy, Field, LeadList, Standing, Value
from worker.engine.observe import alike
from worker.engine.rules import Rules
from worker.simulation.clock import VirtualLoop
from worker.simulation.post import Post
from worker.simulation.remote import Flight, SimulatedRemote
from worker.store.memory_tables import Tables

#: A field of a list, or one of its members.
Place = tuple[str, Field | str]


class Witness:
    """Sees everything, and does nothing."""

    def __init__(
        self,
        rules: Rules,
        remotes: Mapping[str, SimulatedRemote],
        post: Post,
        loop: VirtualLoop,
        tables: Callable[[], Tables],
        *,
        paused_s: float,
    ) -> None:
        """`paused_s`: how long a worker may be held up between its claim and its call."""
        self._rules, self._remotes, self._post, self._loop, self._tables = rules, remotes, post, loop, tables
        #: By place: the last value that people set on each remote where edits count.
        self.touched: dict[Place, dict[str, Value]] = {}
        #: Edits that may be taken for our own late writes: the declared window.
        self.excused: set[Place] = set()
        #: By remote and number of the list: when a person last edited it there.
        self.edited: dict[tuple[str, str], float] = {}
        #: Lists by remote, where an edit could be taken for a write of ours that was on its way.
        self.windows: set[tuple[str, str]] = set()
        self.counts: Counter[str] = Counter()
        self._paused_s = paused_s
        self._when: dict[tuple[str, str, Field | str], float] = {}

    def sees(self, remote: str, number: str, what: Field | str, value: Value) -> None:
        """A person is about to set this there."""
        if self.quiet(number):
            for place in [one for one in self.touched if one[0] == number]:
                del self.touched[place]
                self.excused.discard(place)
            self.counts["edited in quiet"] += 1
        self.edited[remote, number] = self._when[remote, number, what] = self._loop.time()
        field = what if isinstance(what, Field) else Field.MEMBERS
        if not self._rules.remotes[remote].direction(field).takes:
            return
        if isinstance(what, Field) and self._went_apart(remote, number, what):
            self.excused.add((number, what))
        if self._taken_for_ours(remote, number, what, value):
            self.excused.add((number, what))
            self.windows.add((remote, number))
            self.counts["edit taken for our own late write"] += 1
        self.touched.setdefault((number, what), {})[remote] = value

    def decided(self, number: str, what: Field, value: Value) -> None:
        """A person has decided a conflict."""
        self.touched.setdefault((number, what), {})["a person's decision"] = value

    def lands(self, remote: str, flight: Flight) -> None:
        """A write of ours is about to be applied. What people edited there since it left, it overwrites unseen: no
        remote here offers a precondition.
        """
        for field in SCALARS:
            edited = self._when.get((remote, flight.list_id, field))
            if field in flight.body and edited is not None and edited >= flight.left - self._paused_s:
                self.excused.add((flight.list_id, field))
                self.counts["edit overwritten in the window"] += 1

    def lead_list(self, number: str) -> LeadList | None:
        """What leadsync holds of a list."""
        tables = self._tables()
        for name, remote in self._remotes.items():
            for shown in remote.of(number):
                if (found := tables.links.get((name, shown.remote_id))) is not None:
                    return tables.lists[found]
        return None

    def quiet(self, number: str) -> bool:
        """Whether nothing at all is going on with a list: the next edit of it is the only one."""
        if self._post.on_its_way(number) or any(remote.busy[number] for remote in self._remotes.values()):
            return False
        tables = self._tables()
        if any(self._number(scan, remote_id) == number for scan, remote_id in tables.findings):
            return False
        whole = self.lead_list(number)
        return (
            whole is not None
            and all(
                one.standing is Standing.IN_SYNC
                and not (one.look or one.intent or self.unsettled(whole, one) or one.absent)
                for one in whole.copies.values()
            )
            and not self.differences(number, whole)
        )

    def unsettled(self, whole: LeadList, copy: Copy) -> list[Field]:
        """Fields with a write that may still land. One of what is wanted anyway, or that can no longer arrive, is
        only forgotten by the next transaction of the list.
        """
        now = self._loop.now()
        return [
            field
            for field, one in copy.abandoned.items()
            if one.until > now or (field in SCALARS and one.value != whole.wanted[field].value)
        ]

    def differences(self, number: str, whole: LeadList) -> list[str]:
        """Where a remote that has the list and is written does not show what is wanted."""
        found = []
        for name, remote in self._remotes.items():
            rules, habits = self._rules.remotes[name], remote.habits
            if number in habits.refuses:
                continue
            for shown in remote.of(number):
                for field, wanted in whole.wanted.items():
                    if not rules.direction(field).writes or field in habits.ignores:
                        continue
                    there = shown.fields.get(field)
                    # In the declared window an edit of case and spacing is taken for the remote's own spelling.
                    taken = (number, field) in self.excused and alike(wanted.value, there)
                    if there != habits.shows(field, wanted.value) and not taken:
                        found.append(f"{name} shows {field} {there!r}, wanted is {wanted.value!r}")
                members = frozenset(one for one, member in whole.members.items() if member.wanted)
                if habits.versioned and rules.direction(Field.MEMBERS).writes and shown.members != members:
                    found.append(f"{name} has members {sorted(shown.members or ())}, wanted are {sorted(members)}")
        return found

    def _went_apart(self, remote: str, number: str, field: Field) -> bool:
        """What is only pulled from there stays as it is when others move on: an edit there is then a conflict."""
        whole = self.lead_list(number)
        if self._rules.remotes[remote].direction(field).writes or whole is None or field not in whole.wanted:
            return False
        there = self._remotes[remote]
        return any(
            s.fields.get(field) != there.habits.shows(field, whole.wanted[field].value) for s in there.of(number)
        )

    def _number(self, scan: int, remote_id: str) -> str:
        remote = self._remotes[self._tables().scans[scan].remote]
        return remote.born.get(remote_id, "")

    def _taken_for_ours(self, remote: str, number: str, what: Field | str, value: Value) -> bool:
        """The declared window of design rule 5: the very value of a write that may still land there."""
        whole = self.lead_list(number)
        copy = whole.copies.get(remote) if whole else None
        writes = list(copy.abandoned.items()) if copy else []
        if copy and copy.intent:
            patch, until = copy.intent.patch, self._loop.now()
            sent = [(field, Abandoned(sent, until)) for field, sent in patch.fields.items()]
            writes += [*sent, (Field.MEMBERS, Abandoned(None, until, patch.add, patch.remove))]
        return any(
            (field is what and alike(one.value, value)) or what in (one.add if value else one.remove)
            for field, one in writes
        )
