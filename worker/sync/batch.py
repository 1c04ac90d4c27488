"""One batch of events: the lists that they speak of, loaded once, changed in memory event by event, saved once.

Used by intake, in the transaction of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from itertools import groupby

from models.event import BadEvent, Event, EventType
from models.lead_list import Copy, Field, LeadList, Stamp, Value, with_copy
from models.ledger import Change, ChangeKind
from models.observation import Evidence, MembersSeen, Observation
from models.person import Naming
from models.values import replace
from worker.engine.join import CannotJoin, join
from worker.engine.missing import returned, without_pending
from worker.engine.observe import observe
from worker.engine.rules import CLOCK_SKEW, FEW, Rules
from worker.ports import Every, RemoteKey, Tx
from worker.sync.identity import in_part, keys_of
from worker.sync.stand import due_now, stand, take_in_people
from worker.sync.traces import NO_CAUSES, Causes, cause_of, keep

#: How often lists are looked up that others keep joining.
_LOOKS = 3


class _Same(dict[str, str]):
    """Ids that are keys."""

    def __missing__(self, one: str) -> str:
        return one


_SAME: Mapping[str, str] = _Same()


def learn_people(tx: Tx, events: Sequence[Event], rules: Rules) -> frozenset[str]:
    """Who members are, before anything is said of them. Answers with the remotes that have something due now."""
    due = frozenset[str]()
    for source, some in groupby(events, key=lambda event: event.source):
        people = [person for event in some if event.data for person in event.data.people]
        if people:
            due |= due_now(tx, take_in_people(tx, source, people, rules))
    return due


class Batch:
    """The lists that a batch touches: loaded once, changed in memory event by event, saved once."""

    def __init__(self, tx: Tx, events: Sequence[Event], rules: Rules, causes: Causes = NO_CAUSES) -> None:
        self._tx, self._rules, self._causes = tx, rules, causes
        self._keys = _keys_named(tx, events, rules)
        self._numbers, self._before = _known(tx, events, rules, self._keys)
        self._lists: dict[int, LeadList] = dict(self._before)
        unknown = {(event.source, event.subject) for event in events}.difference(self._numbers)
        self._gone = tx.scans.gone_since(unknown) if unknown else {}
        self._changes: dict[int, list[Change]] = {}
        self._joined: list[tuple[int, int]] = []
        self._new = 0

    def take(self, event: Event) -> None:
        """One event. Raises `BadEvent` when it contradicts what is known."""
        number = self._number(event)
        if number is None:
            return  # a list we never knew is said to be gone, or one that is gone was there before
        lead_list = self._lists[number]
        kind = event.data.fields.kind if event.data else None
        if kind and lead_list.kind and kind is not lead_list.kind:
            raise BadEvent(f"data.fields.kind: expected {lead_list.kind}; a list never changes its kind")
        if event.data:
            lead_list = self._linked(lead_list, event)
            number = lead_list.id
        copy = lead_list.copies[event.source]
        if not self._believed(event):
            apart = self._rules.remotes[event.source].members_apart
            hinted = replace(copy, look=True, look_members=copy.look_members or apart)
            self._lists[number] = with_copy(lead_list, hinted)
            return
        seen, doubtful = in_part(self._tx, _observation(event), self._keys.get(event.source, _SAME), self._rules)
        if doubtful:
            lead_list = with_copy(lead_list, replace(copy, look=True))
        observed = observe(returned(lead_list, event.source), seen, self._rules)
        self._lists[number] = observed.lead_list
        self._changes.setdefault(number, []).extend(observed.changes)

    def save(self) -> frozenset[str]:
        """Write what changed. Answers with the remotes that have something due now."""
        touched = {n: one for n, one in self._lists.items() if one is not self._before.get(n)}
        real = self._give_numbers(touched)
        numbered = [one if number > 0 else replace(one, id=real[number]) for number, one in touched.items()]
        stood = stand(self._tx, [(self._before.get(one.id), one) for one in numbered], self._rules)
        for old, into in self._joined:
            self._tx.drop(old, into)
        self._tx.save(stood)
        for number, changes in self._changes.items():
            if changes:
                self._tx.note(real.get(number, number), changes)
        if self._causes:
            keep(self._tx, {real.get(number, number): some for number, some in self._changes.items()}, self._causes)
        return due_now(self._tx, [after for _, after in stood])

    def _give_numbers(self, touched: dict[int, LeadList]) -> dict[int, int]:
        """New lists have negative numbers until now."""
        new = [number for number in touched if number < 0]
        made = self._tx.create([touched[number].kind for number in new])
        return {number: number for number in touched} | dict(zip(new, made, strict=True))

    def _believed(self, event: Event) -> bool:
        """Whether the payload is taken as it is. Otherwise the event is a hint: read the list."""
        data = event.data
        if event.type is EventType.DELETED or data is None or not self._rules.remotes[event.source].versioned:
            return False
        if event.time > self._tx.now + CLOCK_SKEW:
            return False  # believed, it would make everything that really happens look late
        return bool(data.fields.model_fields_set or data.members_added or data.members_removed)

    def _number(self, event: Event) -> int | None:
        """The lead list that the event speaks of; a new one when its list was never seen."""
        source: RemoteKey = (event.source, event.subject)
        known = self._numbers.get(source)
        if known is not None:
            return known
        gone_at = self._gone.get(source)
        if event.type is EventType.DELETED or (gone_at is not None and event.time <= gone_at + CLOCK_SKEW):
            return None
        self._new -= 1
        self._numbers[source] = self._new
        copy = Copy(remote=event.source, remote_id=event.subject)
        self._lists[self._new] = LeadList(id=self._new, copies={event.source: copy})
        return self._new

    def _linked(self, lead_list: LeadList, event: Event) -> LeadList:
        """With the copies that `data.links` ties to it. One that was never seen is read before anything is sent."""
        for remote, remote_id in event.data.links.items() if event.data else ():
            lead_list = without_pending(lead_list, remote)
            own = lead_list.copies.get(remote)
            if own is not None and own.remote_id == remote_id:
                continue
            if own is not None and own.pending:
                raise BadEvent(f"data.links.{remote}: a list is being created there just now; retry it afterwards")
            if own is not None:
                tied = f"expected {own.remote_id}, to which it is tied; unlink that first"
                raise BadEvent(f"data.links.{remote}: {tied}")
            other = self._numbers.get((remote, remote_id))
            if other is None:
                copy = Copy(remote=remote, remote_id=remote_id, look=True)
                copies = {**lead_list.copies, remote: copy}
                lead_list = replace(lead_list, copies=copies, apart=lead_list.apart - {remote})
            else:
                lead_list = self._join(lead_list, other, remote)
            self._numbers[remote, remote_id] = lead_list.id
            self._changes.setdefault(lead_list.id, []).append(_link_change(event, remote, remote_id))
        self._lists[lead_list.id] = lead_list
        return lead_list

    def _join(self, lead_list: LeadList, other: int, remote: str) -> LeadList:
        kept, gone = lead_list, self._lists[other]
        if kept.id < 0 < gone.id:
            kept, gone = gone, kept  # a list that the database knows keeps its number
        try:
            joined = join(kept, gone, self._rules)
        except CannotJoin as error:
            raise BadEvent(f"data.links.{remote}: {error}") from None
        del self._lists[gone.id]
        for key, number in self._numbers.items():
            if number == gone.id:
                self._numbers[key] = kept.id
        self._changes.setdefault(kept.id, []).extend([*self._changes.pop(gone.id, []), *joined.changes])
        if gone.id in self._before:
            self._joined.append((gone.id, kept.id))
        return joined.lead_list


def keys_of_lists(event: Event) -> list[RemoteKey]:
    """All lists on remotes that the event names."""
    return [(event.source, event.subject), *(event.data.links.items() if event.data else ())]


def _keys_named(tx: Tx, events: Sequence[Event], rules: Rules) -> dict[str, dict[str, str]]:
    """Keys of the members that the events name, by source; none where the source names them by their keys."""
    named: dict[str, set[str]] = {}
    for event in events:
        data = event.data
        if data is not None and rules.remotes[event.source].naming is not Naming.KEY:
            named.setdefault(event.source, set()).update(data.members or (), data.added, data.removed)
    return {source: keys_of(tx, source, ids, rules) for source, ids in named.items()}


def _known(
    tx: Tx, events: Sequence[Event], rules: Rules, keys: Mapping[str, Mapping[str, str]]
) -> tuple[dict[RemoteKey, int], dict[int, LeadList]]:
    """The lists that the events speak of, locked. Another transaction may have joined or unlinked some between
    our look and our lock; then we look again.
    """
    named = {key for event in events for key in keys_of_lists(event)}
    for _ in range(_LOOKS):
        numbers = tx.find(named)
        lists = tx.load(set(numbers.values()), _members_needed(events, numbers, rules, keys))
        if all(_holds(lists.get(number), key) for key, number in numbers.items()):
            return numbers, lists
    raise LookupError("links and copies contradict each other")


def _holds(lead_list: LeadList | None, key: RemoteKey) -> bool:
    remote, remote_id = key
    copy = lead_list.copies.get(remote) if lead_list else None
    return copy is not None and copy.remote_id == remote_id


def _members_needed(
    events: Sequence[Event],
    numbers: dict[RemoteKey, int],
    rules: Rules,
    keys: Mapping[str, Mapping[str, str]],
) -> dict[int, set[str] | Every]:
    """A delta needs the elements it names; a whole set, a join and a new copy need them all."""
    needed: dict[int, set[str] | Every] = {}
    for event in events:
        data = event.data
        if data is None:
            continue
        lists = keys_of_lists(event)
        known = {numbers[key] for key in lists if key in numbers}
        links_more = len(known) > 1 or any(key not in numbers for key in lists)
        whole = links_more or data.fields.members is not None or _moves_many(event, rules)
        if not (whole or data.members_added or data.members_removed):
            continue  # most events
        for number in known:
            before = needed.get(number, set())
            if whole or before is Every.MEMBER:
                needed[number] = Every.MEMBER
            elif isinstance(before, set):
                same = keys.get(event.source, _SAME)
                needed[number] = before.union(same[one] for one in (*data.added, *data.removed))
    return needed


def _moves_many(event: Event, rules: Rules) -> bool:
    """The brake asks which share of the list goes, or would be taken away again; a few may always go."""
    data = event.data
    if data is None or not (data.members_added or data.members_removed):
        return False
    takes = rules.remotes[event.source].direction(Field.MEMBERS).takes
    return len(data.members_removed if takes else data.members_added) > FEW


def _observation(event: Event) -> Observation:
    data = event.data
    assert data is not None  # noqa: S101 - `_believed` asked; mypy cannot know
    said = data.fields.model_fields_set
    fields: dict[Field, Value] = {}
    if "name" in said:
        fields[Field.NAME] = data.fields.name
    if "owner" in said:
        fields[Field.OWNER] = data.fields.owner
    if "enrichment" in said:
        fields[Field.ENRICHMENT] = data.fields.enrichment
    return Observation(
        remote=event.source,
        remote_id=event.subject,
        stamp=_stamp(event),
        evidence=Evidence.EVENT,
        cause=cause_of(event),
        kind=data.fields.kind,
        fields=fields,
        members=_members(event),
    )


def _members(event: Event) -> MembersSeen | None:
    data = event.data
    if data is None:
        return None
    if data.members is not None:
        return MembersSeen(whole=True, added=frozenset(data.members))
    if data.members_added or data.members_removed:
        return MembersSeen(whole=False, added=frozenset(data.added), removed=frozenset(data.removed))
    return None


def _stamp(event: Event) -> Stamp:
    return Stamp(event.time.astimezone(UTC), int(event.sequence) if event.sequence else None)


def _link_change(event: Event, remote: str, remote_id: str) -> Change:
    return Change(
        kind=ChangeKind.LINKED,
        field=None,
        old=None,
        new=f"{remote}:{remote_id}",
        origin=event.source,
        stamp=_stamp(event),
        cause=cause_of(event),
    )
