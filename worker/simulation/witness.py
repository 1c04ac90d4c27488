"""The witness: what people did to each list since it was last quiet. What judges hold the end against.

An edit of a list that is quiet is the only one under way: it must win. Of edits that meet others, one must win.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from models.lead_list import NOBODY, SCALARS, Abandoned, Copy, Field, LeadList, Standing, Value
from models.observation import Shown
from models.person import is_named, unnamed
from worker.engine.observe import alike, is_cut
from worker.engine.rules import Rules
from worker.simulation.clock import VirtualLoop
from worker.simulation.leads import RemoteWithLeads
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
        #: Lists renamed or deleted where we had created them, before leadsync had found out: the declared limit.
        self.mistaken: set[str] = set()
        #: By remote and number of the list: when a person last edited it there.
        self.edited: dict[tuple[str, str], float] = {}
        #: Lists by remote, where an edit could be taken for a write of ours that was on its way.
        self.windows: set[tuple[str, str]] = set()
        #: By remote, number of the list and field: every edit, and when it was made.
        self.edits: dict[tuple[str, str, Field | str], list[tuple[float, Value]]] = {}
        self.counts: Counter[str] = Counter()
        #: Members whose addresses nobody has told yet: to be one person on one side and another on the next.
        self.strangers: list[str] = []
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
        self.edits.setdefault((remote, number, what), []).append((self._loop.time(), value))
        if what is Field.NAME:
            self._is_mistaken(remote, number, value)
        field = what if isinstance(what, Field) else Field.MEMBERS
        if not self._rules.remotes[remote].direction(field).takes:
            return
        if isinstance(what, Field) and self._went_apart(remote, number, what):
            self.excused.add((number, what))
        if value is None and self._unheard(remote, number):
            self.excused.add((number, what))
        if not isinstance(what, Field) and self._is_told_by_nobody(remote, number, what, value):
            self.excused.add((number, what))
        if self._taken_for_ours(remote, number, what, value):
            self.excused.add((number, what))
            self.windows.add((remote, number))
            self.counts["edit taken for our own late write"] += 1
        self.touched.setdefault((number, what), {})[remote] = value

    def loses(self, remote: str, number: str) -> None:
        """A person is about to delete it there."""
        self._is_mistaken(remote, number, None)

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

    def overlooks(self) -> None:
        """News was taken in, or a worker was killed. Where people have set the very value that is being written there,
        the two cannot be told apart: the declared window, from its other side.
        """
        for whole in self._tables().lists.values():
            for name, copy in whole.copies.items():
                number = self._remotes[name].born.get(copy.remote_id, "")
                for field, value in copy.intent.patch.fields.items() if copy.intent else ():
                    edits = self.edits.get((name, number, field))
                    if edits and _looks_like(value, edits[-1][1]):
                        self.excused.add((number, field))
                        self.counts["edit taken for our own late write"] += 1

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
                one.standing in (Standing.IN_SYNC, Standing.EXCLUDED)
                and not (one.look or one.intent or self.unsettled(whole, one) or one.absent)
                for one in whole.copies.values()
            )
            and not self.differences(number, whole)
            and not self._unseen(number, whole)
        )

    def _unseen(self, number: str, whole: LeadList) -> bool:
        """Some remote shows what leadsync has not seen yet: where it is not written, nothing else tells of it."""
        for name, remote in self._remotes.items():
            copy, rules = whole.copies.get(name), self._rules.remotes[name]
            for shown in remote.of(number):
                if copy is None or copy.remote_id != shown.remote_id:
                    return True
                seen = {field: one.value for field, one in copy.seen.items()}
                taken = [field for field in SCALARS if rules.direction(field).takes]
                if any(field not in seen or seen[field] != shown.fields.get(field) for field in taken):
                    return True
        return False

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
                members = frozenset(one for one in wanted_of(whole) if not self.cannot_be_told(name, one))
                if habits.has_members and self._are_told(name, whole) and shown.members != members:
                    found.append(f"{name} has members {sorted(shown.members or ())}, wanted are {sorted(members)}")
        return found

    def _are_told(self, remote: str, whole: LeadList) -> bool:
        """Members are written there. Where edits do not count, nobody else may have said yet who is wanted."""
        direction = self._rules.remotes[remote].direction(Field.MEMBERS)
        said = any(Field.MEMBERS in copy.seen for name, copy in whole.copies.items() if name != remote)
        return direction.writes and (direction.takes or said)

    def cannot_be_told(self, remote: str, member: str) -> bool:
        """No id of theirs is known there, or they are not taken."""
        there = self._remotes[remote]
        if not isinstance(there, RemoteWithLeads):
            return not is_named(member)
        # One without an address is only ever where it was made.
        stranger = not is_named(member) and (member in there.lost or not member.startswith(unnamed(remote, "")))
        return stranger or not there.takes(member)

    def _went_apart(self, remote: str, number: str, field: Field) -> bool:
        """What cannot be written there stays as it is when others move on: an edit there is then a conflict. The same
        where it was never seen there, and where its spelling was never learned: then copies differ when they meet.
        """
        whole = self.lead_list(number)
        if whole is None or field not in whole.wanted:
            return False
        copy, there = whole.copies.get(remote), self._remotes[remote]
        written = self._rules.remotes[remote].direction(field).writes and number not in there.habits.refuses
        if written and not (copy is not None and copy.standing is Standing.PARKED and not copy.absent):
            return False
        if copy is None or field not in copy.seen or copy.seen[field].value != whole.wanted[field].value:
            return True
        return any(
            s.fields.get(field) != there.habits.shows(field, whole.wanted[field].value) for s in there.of(number)
        )

    def _is_mistaken(self, remote: str, number: str, name: Value) -> None:
        """By this name a list that a create of ours made, of which nobody knows yet, cannot be found again."""
        if any(not alike(one.fields[Field.NAME], name) for one in self._unheard(remote, number)):
            self.mistaken.add(number)
            self.counts["new list changed unheard"] += 1

    def _is_told_by_nobody(self, remote: str, number: str, member: str, there: Value) -> bool:
        """Only looks tell of members that are apart: what is changed and changed back between two of them never was.
        The same goes for what is done before the first look; and while nobody has told an address, who is taken off
        on one side is somebody else on the next.
        """
        whole = self.lead_list(number)
        known = whole.members.get(member, NOBODY) if whole else NOBODY
        unseen = self._remotes[remote].habits.apart and known.shown_by(remote) is there
        return unseen or (member in self.strangers and not there)

    def _unheard(self, remote: str, number: str) -> list[Shown]:
        """Lists that a create of ours made there, and nobody has found that out yet."""
        if not self._remotes[remote].created[number]:
            return []
        links, there = self._tables().links, self._remotes[remote].of(number)
        others = [
            (other, one.remote_id) for other, its in self._remotes.items() if other != remote for one in its.of(number)
        ]
        elsewhere = {links.get(key) for key in others} - {None}
        return [one for one in there if links.get((remote, one.remote_id)) not in elsewhere]

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
            (field is what and _looks_like(one.value, value)) or what in (one.add if value else one.remove)
            for field, one in writes
        )


def wanted_of(whole: LeadList) -> list[str]:
    """Keys of the members that are wanted."""
    return [one for one, member in whole.members.items() if member.wanted]


def _looks_like(written: Value, shown: Value) -> bool:
    """As a remote might spell what it was told: a write that may still land can be meant."""
    return alike(written, shown) or is_cut(written, shown)
