"""The documents of `leadsync plan` and `leadsync apply`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from models.lead_list import Value, Waiting
from models.plan import KeptPlan
from worker.documents.lists import cursor_number
from worker.documents.remotes import Brakes, ask_budgets
from worker.documents.show import Some, few
from worker.ports import RemoteState, Tx
from worker.sync.apply import Applied, Fate, Offer, look
from worker.wiring import Runtime

#: Lists that a page, or one answer of the API, looks at: they should not take a minute.
PLAN_PATIENCE: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMove:
    """One field: what the copy shows, and what it is to show. `shown` is null where nothing was ever shown."""

    shown: Value
    wanted: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLine:
    """What would be sent to one copy."""

    list_id: int
    remote: str
    id: str
    name: Value
    #: `create`: there is no such list there yet. Members follow once there is, as a patch of their own.
    action: Literal["patch", "create"]
    fields: dict[str, FieldMove]
    members_added: Some
    members_removed: Some
    waits_for: Waiting
    due_at: datetime | None
    in_flight: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDocument:
    """Everything that would be sent now, under one hash; `next` is what `--after` takes, null at the end."""

    #: null when there is nothing to send.
    hash: str | None
    made_at: datetime | None
    items: list[PlanLine]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FateCounts:
    """Every copy of the plan is counted exactly once, and in `total`."""

    total: int
    sending: int = 0
    sent: int = 0
    moved: int = 0
    parked: int = 0
    held: int = 0
    paused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyLine:
    """What became of one copy of the plan."""

    list_id: int
    remote: str
    id: str
    fate: Fate


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyDocument:
    """What became of a plan."""

    hash: str
    #: Copies that this command let through.
    let_through: int
    copies: FateCounts
    #: Whether it waited for the end.
    waited: bool
    items: list[ApplyLine]
    next: None = None

    @property
    def needs_a_person(self) -> bool:
        """Something was not sent, or, after waiting, is not there."""
        copies = self.copies
        return copies.moved + copies.parked + copies.held + copies.paused > 0 or (self.waited and copies.sending > 0)

    def having(self, fate: Fate) -> list[ApplyLine]:
        """The copies that this became of."""
        return [one for one in self.items if one.fate is fate]


async def plan(
    runtime: Runtime, *, remote: str | None, limit: int | None, after: str | None, patience: int | None = None
) -> PlanDocument:
    """Look at what is due, and keep the plan under its hash. It may be empty, and others follow: see `look`."""
    start, rules, store = cursor_number(after), runtime.registry.rules, runtime.store

    def states(tx: Tx) -> dict[str, RemoteState]:
        return {name: tx.remote_state(name) for name in rules.remotes}

    brakes = Brakes(frozenset(rules.remotes), await store.run(states), await ask_budgets(runtime))
    lines = list[PlanLine]()

    def tell(offer: Offer) -> None:
        lines.append(_line(offer, brakes))

    looked = await look(store, rules, tell, remote=remote, limit=limit, after=start, patience=patience)
    following = None if looked.next is None else str(looked.next)
    if looked.plan is None:
        return PlanDocument(hash=None, made_at=None, items=[], next=following)
    return PlanDocument(hash=looked.plan.hash, made_at=looked.plan.made_at, items=lines, next=following)


def applied(plan: KeptPlan, now: Applied, let_through: int, *, waited: bool) -> ApplyDocument:
    """What to tell of it."""
    counts = {fate.value: number for fate, number in now.count.items()}
    return ApplyDocument(
        hash=plan.hash,
        let_through=let_through,
        copies=FateCounts(total=len(plan.items), **counts),
        waited=waited,
        items=_fates(plan, now.fates),
    )


def _fates(plan: KeptPlan, fates: Sequence[Fate]) -> list[ApplyLine]:
    pairs = zip(plan.items, fates, strict=True)
    return [ApplyLine(list_id=one.list_id, remote=one.remote, id=one.remote_id, fate=fate) for one, fate in pairs]


def _line(offer: Offer, brakes: Brakes) -> PlanLine:
    copy, patch = offer.copy, offer.patch
    seen = {name: copy.seen[name].value if name in copy.seen else None for name in patch.fields}
    return PlanLine(
        list_id=offer.item.list_id,
        remote=copy.remote,
        id=copy.remote_id,
        name=offer.name,
        action="create" if copy.pending else "patch",
        fields={name.value: FieldMove(shown=seen[name], wanted=value) for name, value in patch.fields.items()},
        members_added=few(patch.add),
        members_removed=few(patch.remove),
        waits_for=brakes.waiting(copy.remote, offer.waiting, in_flight=offer.in_flight),
        due_at=copy.due_at,
        in_flight=offer.in_flight,
    )
