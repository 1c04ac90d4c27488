"""What people do to lists and remotes: link, unlink, retry and discard what is parked, pause, resume, retry rejects.

Called by the CLI and the web. Nothing is sent from here: each answer names the remotes that have
something due now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from models.audit import Action
from models.lead_list import PENDING, Copy, LeadList, Stamp, Standing, with_copy
from models.ledger import Change, ChangeKind
from models.values import replace
from worker.engine.join import CannotJoin, join
from worker.engine.missing import let_go, without_pending
from worker.engine.rules import Rules
from worker.errors import NotKnown, NotPossible, Transient, UsageError
from worker.ports import Every, RemoteKey, RemoteState, Store, Tx
from worker.sync.stand import due_now, stand

#: The cause that tells a pause by a person from lost access.
BY_A_PERSON: Final = "paused by a person"

#: What the ledger gives as the cause of what people decide.
BY_COMMAND: Final = "a person's command"

T = TypeVar("T")

#: Copies, or rejects, that share a transaction.
_BATCH: Final = 200


def not_known(key: RemoteKey) -> NotKnown:
    """The error of a list that was never heard of."""
    name = ":".join(key)
    return NotKnown(f"leadsync knows no list {name}; it learns of one by an event, or by: leadsync link")


class Rejects(Protocol):
    """The table of entries that could not be taken in."""

    def events(self, ids: Collection[int]) -> Mapping[int, str]:
        """The entries by number, as received; those that are not there are left out."""
        ...

    def forget(self, ids: Collection[int]) -> None:
        """Remove them."""
        ...


@dataclass(frozen=True, slots=True)
class Moved:
    """How many copies were changed, and which remotes have something due now."""

    copies: int = 0
    due: frozenset[str] = frozenset()

    def __add__(self, other: Moved) -> Moved:
        return Moved(self.copies + other.copies, self.due | other.due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The lead list that the copies are tied to now."""

    list_id: int
    copies: tuple[RemoteKey, ...]
    #: False when they were tied already.
    changed: bool
    due: frozenset[str] = frozenset()


async def link(store: Store, rules: Rules, keys: Sequence[RemoteKey]) -> Linked:
    """Tie copies together. Known lists are joined; a copy that was never seen is read before anything is sent."""
    keys = tuple(dict.fromkeys(keys))
    if len(keys) < 2:
        raise UsageError("a link needs two lists or more, each on a remote of its own")
    for remote, _ in keys:
        known(remote, rules)
    for remote in {remote for remote, _ in keys}:
        ids = [remote_id for on, remote_id in keys if on == remote]
        if len(ids) > 1:
            raise UsageError(f"{' and '.join(ids)} are two lists on {remote}; a lead list has one copy on each remote")
    return await store.run(lambda tx: _link(tx, rules, keys))


async def unlink(store: Store, rules: Rules, key: RemoteKey) -> Moved:
    """Forget one copy: that list is no longer synced there. What it showed last is forgotten too, so that a later
    link removes nothing.
    """

    def work(tx: Tx) -> Moved:
        moved = _each(tx, rules, [key], _unlink)
        if not moved.copies:
            raise not_known(key)
        return moved

    return await store.run(work)


async def retry_parked(store: Store, rules: Rules, keys: Sequence[RemoteKey]) -> Moved:
    """Make these parked copies due now; each is read before anything is sent. Others are left alone."""
    # A remote that left the settings cannot be pushed to, so its copies stay where they are.
    return await _in_batches(store, rules, [key for key in keys if key[0] in rules.remotes], _unpark)


async def discard_parked(store: Store, rules: Rules, keys: Sequence[RemoteKey]) -> Moved:
    """Give these parked copies up: they are unlinked. Others are left alone."""
    return await _in_batches(store, rules, keys, _discard)


async def pause(store: Store, rules: Rules, remote: str) -> RemoteState:
    """Send nothing to a remote. Answers with its state before; lost access stays the cause when it was that."""
    known(remote, rules)

    def work(tx: Tx) -> RemoteState:
        before = tx.remote_state(remote)
        if not before.paused:
            state = RemoteState(paused=True, cause=BY_A_PERSON, next_step=f"leadsync resume {remote}", since=tx.now)
            tx.set_remote_state(remote, state)
            tx.audit.note(Action.PAUSE, remote, {"paused": False}, {"paused": True})
        return before

    return await store.run(work)


async def resume(store: Store, rules: Rules, remote: str) -> RemoteState:
    """Send again. Answers with its state before."""
    known(remote, rules)

    def work(tx: Tx) -> RemoteState:
        before = tx.remote_state(remote)
        if before.paused:
            tx.set_remote_state(remote, RemoteState(since=tx.now))
            tx.audit.note(Action.RESUME, remote, {"paused": True, "cause": before.cause}, {"paused": False})
        return before

    return await store.run(work)


def retry_rejects(rejects: Rejects, add: Callable[[Sequence[str]], object], ids: Sequence[int]) -> int:
    """Put events back into the stream, then forget them: a crash in between repeats an event, which is harmless."""
    retried = 0
    for some in chunks(ids):
        events = rejects.events(some)
        add([events[number] for number in sorted(events)])
        rejects.forget(events)
        retried += len(events)
    return retried


#: What becomes of a list because of one of its copies, and what the ledger says; None leaves it alone.
Changed = tuple[LeadList, tuple[Change, ...]]
_Step = Callable[[Tx, LeadList, Copy], Changed | None]


async def _in_batches(store: Store, rules: Rules, keys: Sequence[RemoteKey], step: _Step) -> Moved:
    moved = Moved()
    for some in chunks(keys):
        moved += await store.run(partial(_each, rules=rules, keys=some, step=step))
    return moved


def _each(tx: Tx, rules: Rules, keys: Sequence[RemoteKey], step: _Step) -> Moved:
    """Take one step for each of these copies that is still there."""
    numbers = tx.find(keys)
    # Every member, because what a copy showed of them may have to be forgotten.
    before = tx.load(set(numbers.values()), {} if step is _unpark else dict.fromkeys(numbers.values(), Every.MEMBER))
    after, moved = dict(before), 0
    for key in keys:
        lead_list = after.get(numbers.get(key, 0))
        copy = lead_list.copies.get(key[0]) if lead_list else None
        changed = step(tx, lead_list, copy) if lead_list and copy and copy.remote_id == key[1] else None
        if lead_list and changed:
            after[lead_list.id], told = changed
            tx.note(lead_list.id, told)
            moved += 1
            if copy and key[0] not in after[lead_list.id].copies and not (copy.pending or copy.absent):
                own = _on_its_own(tx, lead_list, copy, rules)
                before[own.id], after[own.id] = replace(own, copies={}, apart=frozenset()), own
                tx.note(own.id, told)
    stood = stand(tx, [(before[one.id], one) for one in after.values() if one is not before[one.id]], rules)
    tx.save(stood)
    touched = [one for _, one in stood]
    return Moved(moved, due_now(tx, touched))


def _unpark(tx: Tx, lead_list: LeadList, copy: Copy) -> Changed | None:
    if copy.standing is not Standing.PARKED:
        return None
    tx.audit.note(Action.RETRY, _name(copy), _stood(lead_list, copy), {"standing": Standing.DUE})
    fresh = replace(copy, parked=None, look=True, tries=0)
    return with_copy(lead_list, fresh), ()


def _discard(tx: Tx, lead_list: LeadList, copy: Copy) -> Changed | None:
    if copy.standing is not Standing.PARKED:
        return None
    tx.audit.note(Action.DISCARD, _name(copy), _stood(lead_list, copy), {})
    return _let_go(tx, lead_list, copy)


def _unlink(tx: Tx, lead_list: LeadList, copy: Copy) -> Changed:
    tx.audit.note(Action.UNLINK, _name(copy), _stood(lead_list, copy), {})
    return _let_go(tx, lead_list, copy)


def _stood(lead_list: LeadList, copy: Copy) -> dict[str, Any]:
    """What the audit keeps of a copy that a person moves on or lets go."""
    cause = {"cause": copy.parked.cause} if copy.parked is not None and copy.standing is Standing.PARKED else {}
    return {"list_id": lead_list.id, "standing": copy.standing, **cause}


def _name(copy: Copy) -> str:
    return f"{copy.remote}:{copy.remote_id}"


def _let_go(tx: Tx, lead_list: LeadList, copy: Copy) -> Changed:
    if copy.pending and copy.intent is not None:
        raise being_created(copy)
    return let_go(lead_list, copy.remote), (_told(ChangeKind.UNLINKED, copy, tx),)


def _on_its_own(tx: Tx, lead_list: LeadList, copy: Copy, rules: Rules) -> LeadList:
    """What was unlinked goes on as a list of its own, or the next scan would take it for a new one and, where lists
    are created, bring it back. Nothing that it showed before is kept.
    """
    [number] = tx.create([lead_list.kind])
    fresh = Copy(remote=copy.remote, remote_id=copy.remote_id, fence=copy.fence)
    apart = frozenset(rules.remotes) - {copy.remote}
    return LeadList(id=number, kind=lead_list.kind, apart=apart, copies={copy.remote: fresh})


def _link(tx: Tx, rules: Rules, keys: Sequence[RemoteKey]) -> Linked:
    found = tx.find(keys)
    numbers = list(dict.fromkeys(found[key] for key in keys if key in found)) or tx.create([None])
    # Every member, because each must be compared with the copies that come in.
    before = tx.load(numbers, dict.fromkeys(numbers, Every.MEMBER))
    if len(before) < len(numbers):
        raise Transient("these lists were changed at the same moment; try again")
    kept, changes = before[numbers[0]], list[Change]()
    for number in numbers[1:]:
        try:
            joined = join(kept, before[number], rules)
        except CannotJoin as error:
            raise NotPossible(f"these cannot be one list: {error}") from None
        kept = joined.lead_list
        changes += joined.changes
    for key in keys:
        kept = _with_copy(kept, key)
    if kept is before[numbers[0]]:
        return Linked(list_id=kept.id, copies=_keys(kept), changed=False)
    for number in numbers[1:]:
        tx.drop(number, kept.id)
    [(_, after)] = stood = stand(tx, [(before[kept.id], kept)], rules)
    tx.save(stood)
    own = set(_keys(before[kept.id]))
    new = (copy for copy in after.copies.values() if not copy.pending and (copy.remote, copy.remote_id) not in own)
    tx.note(kept.id, [*changes, *(_told(ChangeKind.LINKED, copy, tx) for copy in new)])
    apart = {str(one.id): [_name(copy) for copy in one.copies.values()] for one in before.values()}
    together = {str(kept.id): [_name(copy) for copy in after.copies.values()]}
    tx.audit.note(Action.LINK, " ".join(map(":".join, keys)), {"lists": apart}, {"lists": together})
    return Linked(list_id=kept.id, copies=_keys(after), changed=True, due=due_now(tx, [after]))


def _with_copy(lead_list: LeadList, key: RemoteKey) -> LeadList:
    remote, remote_id = key
    if remote_id.startswith(PENDING):
        raise NotPossible(f"{remote}:{remote_id} is not there yet, so nothing can be tied to it")
    lead_list = without_pending(lead_list, remote)
    own = lead_list.copies.get(remote)
    if own is None:
        copy = Copy(remote=remote, remote_id=remote_id, look=True)
        copies = {**lead_list.copies, remote: copy}
        return replace(lead_list, copies=copies, apart=lead_list.apart - {remote})
    if own.pending:
        raise being_created(own)
    if own.remote_id != remote_id:
        tied = f"{remote}:{own.remote_id}"
        raise NotPossible(
            f"{remote}:{remote_id} cannot be linked: the list has {tied} there; leadsync unlink {tied} first"
        )
    return lead_list


def _told(kind: ChangeKind, copy: Copy, tx: Tx) -> Change:
    name = _name(copy)
    old, new = (None, name) if kind is ChangeKind.LINKED else (name, None)
    stamp = Stamp(tx.now)
    return Change(kind=kind, field=None, old=old, new=new, origin=copy.remote, stamp=stamp, cause=BY_COMMAND)


def being_created(copy: Copy) -> NotPossible:
    """The error of a list whose create is in flight: what it becomes is known in a moment."""
    return NotPossible(f"a list is being created on {copy.remote} for it at this moment; try again when it is there")


def _keys(lead_list: LeadList) -> tuple[RemoteKey, ...]:
    return tuple((copy.remote, copy.remote_id) for copy in lead_list.copies.values())


def known(remote: str, rules: Rules) -> None:
    """Raises `UsageError` for a remote that is not in the settings."""
    if remote not in rules.remotes:
        raise no_remote(remote, rules)


def no_remote(remote: str, rules: Rules, *others: str) -> UsageError:
    """The error of a remote that nobody configured; `others` would be understood too."""
    known = ", ".join([*sorted(rules.remotes), *others]) or "none"
    return UsageError(f"there is no remote {remote!r} in the settings; known: {known}")


def chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    """So many at a time that other transactions need not wait for long."""
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))
