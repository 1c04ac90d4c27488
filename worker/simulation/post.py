"""The post: events on their way from remotes to the stream. Late, twice, overtaken, or never; some of them bad."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from models.lead_list import Field
from models.observation import Shown
from worker.ports import EntryId
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import Fault
from worker.simulation.life import Fate
from worker.simulation.remote import SimulatedRemote
from worker.stream.memory import Log

#: What Redis loses of its newest entries.
_TAIL_S = 1.0


class Post:
    """Everything between a change on a remote and its entry in the stream."""

    def __init__(self, loop: VirtualLoop, fate: Fate) -> None:
        self.log = Log(loop.time)
        self._loop, self._fate, self._tell = loop, fate, fate.tell
        self._chance = fate.streams["post"]
        #: Events that are still to arrive, by number of the list.
        self._travelling: Counter[str] = Counter()
        #: Number of the list and moment of arrival of each entry that is not known to be taken in.
        self._arrived: dict[EntryId, tuple[str, float]] = {}
        #: Every event that ever arrived, to be told again.
        self.told: list[bytes] = []
        #: Entries about lists, told while the bad times last or after.
        self._good: set[EntryId] = set()
        self._events = 0
        #: Events that must be rejected.
        self.bad = 0
        #: Events that nobody heard of.
        self.lost = 0
        self.silent = frozenset[str]()

    def on_its_way(self, number: str) -> bool:
        """Whether some event of a list has not been taken in."""
        for entry in [one for one in self._arrived if self._is_taken_in(one)]:
            del self._arrived[entry]
        return self._travelling[number] > 0 or any(one == number for one, _ in self._arrived.values())

    def announce(self, remote: SimulatedRemote, shown: Shown, members: tuple[str, bool] | None = None) -> None:
        """A list has changed there. `members`: one that was added, or removed, and nothing else."""
        if remote.name in self.silent or self._meets(Fault.UNTOLD, 0.35):
            self.lost += 1
            return
        number = remote.born[shown.remote_id]
        event = self.event(remote, shown, hint=self._chance.random() < 0.15, members=members)
        for _ in range(2 if self._meets(Fault.TWICE, 0.3) else 1):
            self._send(number, event)

    def announce_deleted(self, remote: SimulatedRemote, remote_id: str) -> None:
        """A list was deleted there."""
        if remote.name in self.silent or self._meets(Fault.UNTOLD, 0.5):
            self.lost += 1
            return
        event = self._event(remote.name, remote_id, self._loop.now(), {}, kind="leadlist.deleted")
        self._send(remote.born[remote_id], event)

    def spoil(self, remote: SimulatedRemote) -> None:
        """Now and then something comes that nobody can read, or that kills whoever reads it."""
        if self._meets(Fault.GARBAGE, 0.15):
            self.bad += 1
            self._send("", self._chance.choice((b"{", b"[]", b'{"specversion":"1.0"}', b"\xff\x00")))
        if self._meets(Fault.POISON, 0.15) and remote.lists:
            self.bad += 1
            shown = remote.lists[min(remote.lists)]
            event = self._event(remote.name, shown.remote_id, self._loop.now(), {}, id="deadly")
            self._send("", event)

    def accepted(self) -> list[bytes]:
        """Events that Redis still has and that were acknowledged."""
        return [event for entry, event in self.log.entries.items() if self._is_taken_in(entry) and entry in self._good]

    def lose_tail(self) -> None:
        """Redis comes back without what was added last."""
        since = self._loop.time() - _TAIL_S
        self._lose([entry for entry, (_, at) in self._arrived.items() if at >= since])

    def lose_all(self) -> None:
        """Redis comes back empty."""
        self._lose(list(self.log.entries))
        self.log.consumers.clear()

    def event(
        self, remote: SimulatedRemote, shown: Shown, *, hint: bool = False, members: tuple[str, bool] | None = None
    ) -> bytes:
        """An event about a list as it is; a hint only says that it changed."""
        versioned = remote.habits.versioned
        at = shown.version or self._loop.now()
        if hint or not versioned:
            return self._event(remote.name, shown.remote_id, at, {})
        if members is not None:
            name, there = members
            return self._event(
                remote.name, shown.remote_id, at, {"members_added" if there else "members_removed": [name]}
            )
        fields: dict[str, Any] = {field.value: value for field, value in shown.fields.items()}
        return self._event(
            remote.name, shown.remote_id, at, {"fields": {**fields, "members": sorted(shown.members or ())}}
        )

    def links(self, remote: SimulatedRemote, shown: Shown, others: Mapping[str, str]) -> None:
        """Tell at once, and surely, that these are one list."""
        fields = {field.value: value for field, value in shown.fields.items()}
        data = {"fields": fields, "links": others}
        self._arrives(remote.born[shown.remote_id], self._event(remote.name, shown.remote_id, shown.version, data))

    def _event(
        self,
        source: str,
        subject: str,
        at: object,
        data: Mapping[str, Any],
        *,
        kind: str = "leadlist.changed",
        id: str = "",
    ) -> bytes:
        self._events += 1
        head = {
            "specversion": "1.0",
            "id": f"{id}{self._events}",
            "source": source,
            "type": kind,
            "subject": subject,
            "time": at,
        }
        return orjson.dumps({**head, "data": data} if data else head)

    def _send(self, number: str, event: bytes) -> None:
        late = Fault.DELAYED in self._fate.script.faults and self._fate.war
        delay_s = self._chance.choice((0.1, 1.0, 5.0, 60.0) if late else (0.1, 1.0)) * self._chance.uniform(0.5, 1.5)
        self._travelling[number] += 1
        self._loop.call_later(delay_s, self._arrives_late, number, event)

    def _arrives_late(self, number: str, event: bytes) -> None:
        self._travelling[number] -= 1
        self._arrives(number, event)

    def _arrives(self, number: str, event: bytes) -> None:
        self._tell("event", number, event)
        entry = self.log.add(event)
        self._arrived[entry] = (number, self._loop.time())
        if number:
            self.told.append(event)
            self._good.add(entry)

    def _is_taken_in(self, entry: EntryId) -> bool:
        return entry not in self.log.pending and int(entry.partition("-")[0]) <= self.log.delivered

    def _lose(self, entries: list[EntryId]) -> None:
        for entry in entries:
            number, _ = self._arrived.pop(entry, ("-", 0.0))
            if not self._is_taken_in(entry):
                self.lost += 1
                self.bad -= not number
            self.log.entries.pop(entry, None)
            self.log.pending.pop(entry, None)

    def _meets(self, fault: Fault, share: float) -> bool:
        met = self._chance.random() < share and self._fate.war and fault in self._fate.script.faults
        if met:
            self._fate.met(fault)
        return met


def fields_there(remote: SimulatedRemote) -> tuple[Field, ...]:
    """The fields that a list has there at all."""
    return tuple(Field) if remote.habits.versioned else (Field.NAME, Field.OWNER, Field.ENRICHMENT)
