"""Plan and apply: show what would be sent, and send exactly what was shown. Called by the CLI and the web.

A plan is kept by its hash, as the signatures of its patches. To apply it lets those patches through that are still
the same, over the same values; push sends them. Nothing is sent from here.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from models.audit import Action
from models.lead_list import Copy, Field, Kind, LeadList, Stamp, Standing, Value, Waiting, with_copy
from models.ledger import Change, ChangeKind
from models.patch import Patch
from models.plan import DIGITS, KeptPlan, PlanItem, hash_of
from models.values import replace
from worker.engine.plan import offered, restand, signature
from worker.engine.rules import Rules
from worker.errors import NotKnown
from worker.ports import Clock, Store, Tx
from worker.sync.operate import BY_COMMAND, chunks, known
from worker.sync.stand import due_now

#: Lists that are looked at in one transaction.
_BATCH = 200
#: How often a copy that is being sent is looked at.
_LOOK_S = 0.5


class Fate(enum.StrEnum):
    """What became of one patch of a plan."""

    READY = "ready"  #: as it was shown; nobody has let it through yet
    SENDING = "sending"  #: let through, and not there yet
    SENT = "sent"  #: nothing of it is left to send
    MOVED = "moved"  #: the patch, or what it is written over, is another now: not sent
    PARKED = "parked"  #: the copy can only be moved on by a person
    HELD = "held"  #: a person holds the list, or this copy of it: not sent before it is released
    PAUSED = "paused"  #: let through, but nothing is sent to this remote until a person resumes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One patch as a person is shown it."""

    item: PlanItem
    name: Value
    kind: Kind | None
    copy: Copy
    patch: Patch
    #: What it waits for; review comes before anything else.
    waiting: Waiting | None
    in_flight: bool


@dataclass(frozen=True, slots=True)
class Looked:
    """The plan that was shown, and where the next one begins if lists were left out."""

    plan: KeptPlan | None
    next: int | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of each item of a plan, in its order, and which remotes have something due now."""

    fates: tuple[Fate, ...] = ()
    #: How many were let through just now.
    let_through: int = 0
    due: frozenset[str] = frozenset()

    def __add__(self, other: Applied) -> Applied:
        return Applied(self.fates + other.fates, self.let_through + other.let_through, self.due | other.due)

    @property
    def count(self) -> Counter[Fate]:
        """How many of each."""
        return Counter(self.fates)


@dataclass(frozen=True, slots=True)
class _Step:
    """Some lists of a plan: their patches, the last number, and whether others follow."""

    offers: tuple[Offer, ...]
    last: int
    more: bool


async def look(
    store: Store,
    rules: Rules,
    tell: Callable[[Offer], None],
    *,
    remote: str | None = None,
    limit: int | None = None,
    after: int = 0,
    patience: int | None = None,
) -> Looked:
    """Tell of every patch that would be sent, list by list, and keep the plan. `limit` is a number of lists.

    Many lists may be due, and have nothing to send yet: after so many as `patience` it ends too.

    It is told in steps, and of each step only the signatures stay: there may be many lists with many members.
    """
    if remote is not None:
        known(remote, rules)
    items, left, more, looked = list[PlanItem](), limit, True, 0
    while more and (left is None or left > 0) and (patience is None or looked < patience):
        size = _BATCH if left is None else min(_BATCH, left)
        step = await store.run(partial(_offers, rules=rules, remote=remote, after=after, limit=size))
        for offer in step.offers:
            tell(offer)
        items += [offer.item for offer in step.offers]
        after, more, looked = step.last, step.more, looked + size
        left = None if left is None else left - len({offer.item.list_id for offer in step.offers})
    return Looked(await store.run(partial(_kept, items=items)), after if more else None)


async def find(store: Store, digits: str) -> KeptPlan:
    """The plan that was shown under this hash; its first digits are enough."""
    found = await store.run(lambda tx: tx.plans.find(digits.lower()) if len(digits) >= DIGITS else [])
    if len(found) != 1:
        why = (
            f"name it by the {DIGITS} digits that it was printed with" if len(digits) < DIGITS else "it may be too old"
        )
        raise NotKnown(f"leadsync knows no plan {digits}: {why}; a new one is made by: leadsync plan")
    return found[0]


async def judge(store: Store, rules: Rules, plan: KeptPlan) -> Applied:
    """How each item stands now. Nothing is changed."""
    judged = Applied()
    for some in chunks(plan.items):
        judged += await store.run(partial(_judge, rules=rules, items=some))
    return judged


async def apply(store: Store, rules: Rules, plan: KeptPlan) -> Applied:
    """Let through what is still as it was shown."""
    applied = Applied()
    for some in chunks(plan.items):
        applied += await store.run(partial(_apply, rules=rules, plan=plan, items=some))
    return applied


async def follow(store: Store, rules: Rules, clock: Clock, plan: KeptPlan) -> Applied:
    """Wait until everything has been sent or needs a person; some items at a time, whatever the size of the plan."""
    followed = Applied()
    for some in chunks(plan.items):
        while Fate.SENDING in (seen := await store.run(partial(_watch, rules=rules, items=some))).fates:
            await clock.sleep(_LOOK_S)
        followed += seen
    return followed


def _offers(tx: Tx, rules: Rules, remote: str | None, after: int, limit: int) -> _Step:
    """The patches of the next lists."""
    numbers = tx.plans.waiting(remote, after, limit + 1)
    looked, more = numbers[:limit], len(numbers) > limit
    lists = tx.load(looked)
    offers = [
        offer
        for number in looked
        if number in lists
        for name, copy in sorted(lists[number].copies.items())
        if remote in (None, name) and (offer := _offer(tx, lists[number], copy, rules)) is not None
    ]
    return _Step(tuple(offers), looked[-1] if looked else after, more)


def _offer(tx: Tx, lead_list: LeadList, copy: Copy, rules: Rules) -> Offer | None:
    remote_rules = rules.remotes.get(copy.remote)
    if remote_rules is None or copy.standing is not Standing.DUE or lead_list.hold_on(copy.remote) is not None:
        return None
    patch = offered(lead_list, copy, remote_rules, tx.now)
    if not patch:
        return None
    name, sign = lead_list.wanted.get(Field.NAME), signature(copy, patch)
    return Offer(
        item=PlanItem(lead_list.id, copy.remote, copy.remote_id, sign),
        name=name.value if name else None,
        kind=lead_list.kind,
        copy=copy,
        patch=patch,
        waiting=Waiting.REVIEW if remote_rules.review and copy.approved != sign else copy.waiting,
        in_flight=copy.lease_until is not None and copy.lease_until > tx.now,
    )


def _kept(tx: Tx, items: Sequence[PlanItem]) -> KeptPlan | None:
    if not items:
        return None
    plan = KeptPlan(hash=hash_of(items), made_at=tx.now, items=tuple(items))
    tx.plans.keep(plan)
    return plan


def _judge(tx: Tx, rules: Rules, items: Sequence[PlanItem]) -> Applied:
    lists = _lists(tx, items)
    return Applied(tuple(_fate(tx, lists.get(item.list_id), item, rules) for item in items))


def _apply(tx: Tx, rules: Rules, plan: KeptPlan, items: Sequence[PlanItem]) -> Applied:
    before = _lists(tx, items)
    after, fates, told = dict(before), list[Fate](), Counter[Fate]()
    for item in items:
        fate = _fate(tx, after.get(item.list_id), item, rules)
        told[fate] += 1
        if fate is Fate.READY:
            after[item.list_id] = _approved(after[item.list_id], item)
            tx.note(item.list_id, [_told(tx, plan, item)])
            approved = {"plan": plan.hash[:DIGITS], "list_id": item.list_id}
            tx.audit.note(Action.APPLY, f"{item.remote}:{item.remote_id}", {}, approved)
            fate = Fate.SENDING
        fates.append(fate)
    touched = [restand(one, rules, tx.now) for one in after.values() if one is not before[one.id]]
    tx.save([(before[one.id], one) for one in touched])
    return Applied(tuple(fates), told[Fate.READY], due_now(tx, touched))


def _watch(tx: Tx, rules: Rules, items: Sequence[PlanItem]) -> Applied:
    lists, fates = _lists(tx, items), list[Fate]()
    paused = {remote for remote in {item.remote for item in items} if tx.remote_state(remote).paused}
    for item in items:
        fate = _fate(tx, lists.get(item.list_id), item, rules)
        if fate in (Fate.READY, Fate.MOVED):
            fate = Fate.SENDING if _goes_on_by_itself(lists.get(item.list_id), item, rules) else Fate.MOVED
        fates.append(Fate.PAUSED if fate is Fate.SENDING and item.remote in paused else fate)
    return Applied(tuple(fates))


def _lists(tx: Tx, items: Iterable[PlanItem]) -> dict[int, LeadList]:
    return tx.load({item.list_id for item in items})


def _fate(tx: Tx, lead_list: LeadList | None, item: PlanItem, rules: Rules) -> Fate:
    copy, remote_rules = _copy(lead_list, item), rules.remotes.get(item.remote)
    if lead_list is None or copy is None or remote_rules is None:
        return Fate.MOVED
    if copy.remote_id != item.remote_id:
        return Fate.SENT if item.creates and not copy.pending else Fate.MOVED
    if copy.standing is Standing.PARKED:
        return Fate.PARKED
    patch = offered(lead_list, copy, remote_rules, tx.now)
    if not patch:
        held = copy.standing is Standing.CONFLICT or copy.waiting is Waiting.BRAKE
        return Fate.MOVED if held else Fate.SENT
    if lead_list.hold_on(copy.remote) is not None:
        return Fate.HELD
    if signature(copy, patch) != item.signature:
        return Fate.MOVED
    return Fate.SENDING if copy.approved == item.signature else Fate.READY


def _goes_on_by_itself(lead_list: LeadList | None, item: PlanItem, rules: Rules) -> bool:
    """Without review whatever is wanted is sent; a patch may go out in parts there."""
    copy, remote_rules = _copy(lead_list, item), rules.remotes.get(item.remote)
    due = copy is not None and copy.standing is Standing.DUE and copy.due_at is not None
    return due and remote_rules is not None and not remote_rules.review


def _copy(lead_list: LeadList | None, item: PlanItem) -> Copy | None:
    return lead_list.copies.get(item.remote) if lead_list else None


def _approved(lead_list: LeadList, item: PlanItem) -> LeadList:
    copies: Mapping[str, Copy] = lead_list.copies
    approved = replace(copies[item.remote], approved=item.signature)
    return with_copy(lead_list, approved)


def _told(tx: Tx, plan: KeptPlan, item: PlanItem) -> Change:
    new, stamp = f"plan {plan.hash[:DIGITS]}", Stamp(tx.now)
    return Change(
        kind=ChangeKind.APPROVED, field=None, old=None, new=new, origin=item.remote, stamp=stamp, cause=BY_COMMAND
    )
