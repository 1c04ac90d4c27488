"""Mutants: deliberate bugs. Each must be caught by the judges, or the judges see too little.

A mutant replaces named functions while one test runs; the product has no switch for any of them. `faults` are made
part of every history, so that those in which the bug can show need not be waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from models.lead_list import Absence, Copy, LeadList, Standing, Waiting
from models.outcome import Later, Park
from tests.simulation import broken_limits, broken_scans
from worker.engine import conflict, members, observe, plan, rules, spelling
from worker.engine.observe import News
from worker.errors import AccessLost, Refused
from worker.limits import memory as limiter
from worker.limits.memory import MemoryBudget
from worker.simulation import wire
from worker.simulation.faults import Fault
from worker.simulation.history import History
from worker.store import memory as store
from worker.stream.memory import MemoryStream
from worker.sync import creating, intake, push, scan, scan_news, settle

#: What is replaced: the module or class, the name, and what makes the new one of the old one.
Change = tuple[Any, str, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One deliberate bug."""

    #: What goes wrong, in one sentence; docs/guarantees.md lists it.
    says: str
    changes: Sequence[Change]
    faults: frozenset[Fault] = frozenset()
    #: Only histories in which lists are created show it.
    creates: bool = False
    #: What must be more frequent in the world for it to show; switched on with and without the bug.
    world: Sequence[Change] = ()
    #: Two lists only, with many edits.
    busy: bool = False


def _always(value: Any) -> Callable[[Any], Any]:
    return lambda _old: lambda *_args, **_named: value


# -- events


def _ack_first(old: Any) -> Any:
    async def take_in(told: Any, stream: Any, *rest: Any) -> Any:
        await stream.ack([entry.id for entry in told.entries])
        return await old(told, stream, *rest)

    return take_in


def _never_taken_over(_old: Any) -> Any:
    async def take_over(_self: MemoryStream, _count: int, _idle_s: float) -> list[Any]:
        return []

    return take_over


# -- writes of unknown outcome


def _forgotten(_old: Any) -> Any:
    return lambda copy, *_args: replace(copy, intent=None)


def _unread(old: Any) -> Any:
    return lambda copy, *args: replace(old(copy, *args), look=copy.look)


def _too_short(old: Any) -> Any:
    return lambda copy, _late_write_s: old(copy, 2.0)


def _taken_for_done(old: Any) -> Any:
    """An unclear write counts as done: what was sent is what is seen."""

    def abandon(copy: Copy, _late_write_s: float) -> Copy:
        if copy.intent is None:
            return copy
        shown = {
            field: replace(copy.seen[field], value=value)
            for field, value in copy.intent.patch.fields.items()
            if field in copy.seen
        }
        return replace(copy, intent=None, seen={**copy.seen, **shown})

    del old
    return abandon


def _all_landed(_old: Any) -> Any:
    """Whatever is found to have landed, nothing else is waited for."""

    def one_landed(copy: Copy, name: Any) -> Copy:
        return replace(copy, abandoned={field: one for field, one in copy.abandoned.items() if field is not name})

    return one_landed


# -- claims


def _without_lease(old: Any) -> Any:
    return lambda copy, now: old(replace(copy, lease_until=None), now)


# -- answers


def _tried_again(old: Any) -> Any:
    def outcome_of(error: Exception, *rest: Any, **named: Any) -> Any:
        if isinstance(error, Refused):
            return Later(after_s=1.0, waiting=Waiting.BACKOFF, note=str(error))
        return old(error, *rest, **named)

    return outcome_of


def _parks_lost_access(old: Any) -> Any:
    def outcome_of(error: Exception, *rest: Any, **named: Any) -> Any:
        if isinstance(error, AccessLost):
            return Park(cause=str(error), next_step="nothing")
        return old(error, *rest, **named)

    return outcome_of


def _gone_at_once(old: Any) -> Any:
    def not_found(lead_list: Any, copy: Copy, *rest: Any) -> Any:
        return old(lead_list, replace(copy, absent=copy.absent | {Absence.NOT_LISTED}), *rest)

    return not_found


def _lets_go(old: Any) -> Any:
    def not_found(lead_list: Any, copy: Copy, of: rules.Rules, *rest: Any) -> Any:
        remotes = {name: replace(one, on_gone=rules.OnGone.UNLINK) for name, one in of.remotes.items()}
        return old(lead_list, copy, replace(of, remotes=remotes), *rest)

    return not_found


# -- members


def _never_removed(old: Any) -> Any:
    def step(member: Any, *args: Any, takes: bool) -> Any:
        moved = old(member, *args, takes=takes)
        return replace(moved, wanted=moved.wanted or member.wanted)

    return step


def _always_slow(_old: Any) -> Any:
    """Calls of one remote overtake each other all the time."""

    async def travels(self: Any, _request: Any) -> None:
        await asyncio.sleep(self._chance.uniform(0.01, 9.0 if self._fate.war else 0.4))

    return travels


# -- plans


def _says_everything(old: Any) -> Any:
    def planned(lead_list: Any, copy: Copy, of: Any, now: Any) -> Any:
        made = old(lead_list, copy, of, now)
        if not made.patch:
            return made
        whole = {f: w.value for f, w in lead_list.wanted.items() if of.direction(f).writes}
        return replace(made, patch=replace(made.patch, fields={**whole, **made.patch.fields}))

    return planned


def _both_ways(_old: Any) -> Any:
    return property(lambda self: self not in (rules.Direction.NONE, rules.Direction.OFF))


MUTANTS: Mapping[str, Mutant] = {
    "ack first": Mutant(
        says="An event is acknowledged before its effect is committed.",
        changes=[(intake, "_take_in", _ack_first)],
        faults=frozenset({Fault.STORE_AWAY}),
    ),
    "no takeover": Mutant(
        says="Events that a dead worker held are taken over by nobody.",
        changes=[(MemoryStream, "take_over", _never_taken_over)],
        faults=frozenset({Fault.KILLED}),
    ),
    "poison goes on": Mutant(
        says="An event that kills its worker is never put aside.",
        changes=[(intake, "MAX_DEATHS", lambda _old: 1_000_000)],
        faults=frozenset({Fault.POISON}),
    ),
    "late news": Mutant(
        says="News that is older than what is known is taken for new.",
        changes=[(observe, "news", _always(News.FRESH)), (settle, "news", _always(News.FRESH))],
        faults=frozenset({Fault.DELAYED}),
    ),
    "late members": Mutant(
        says="News of a member that is older than what is known of it is taken for new.",
        changes=[(members, "_overtaken", _always(value=False))],
        faults=frozenset({Fault.DELAYED}),
    ),
    "own late write": Mutant(
        says="Our own write that lands late is taken for a person's edit.",
        changes=[(observe, "_is_late_write", _always(value=False)), (observe, "_is_in_flight", _always(value=False))],
        faults=frozenset({Fault.LATE, Fault.UNANSWERED}),
    ),
    "forgotten write": Mutant(
        says="A write of unknown outcome is forgotten: neither read back nor waited for.",
        changes=[(settle, "abandon", _forgotten), (push, "abandon", _forgotten)],
        faults=frozenset({Fault.UNANSWERED, Fault.LATE}),
    ),
    "blind resend": Mutant(
        says="A write of unknown outcome is sent again without a look.",
        changes=[(settle, "abandon", _unread), (push, "abandon", _unread)],
        faults=frozenset({Fault.LATE, Fault.UNANSWERED, Fault.KILLED}),
    ),
    "base too early": Mutant(
        says="What was sent counts as shown before anybody saw it.",
        changes=[(settle, "abandon", _taken_for_done), (push, "abandon", _taken_for_done)],
        faults=frozenset({Fault.LOST}),
    ),
    "no waiting": Mutant(
        says="Another value is written while an older write may still land.",
        changes=[(plan, "_may_land_late", _always(value=False))],
        faults=frozenset({Fault.LATE}),
    ),
    "waiting too short": Mutant(
        says="A write is taken for lost two seconds after it was sent.",
        changes=[(settle, "abandon", _too_short), (push, "abandon", _too_short)],
        faults=frozenset({Fault.LATE}),
    ),
    "one counts for all": Mutant(
        says="Of two writes of one value whose outcome is unknown, the first that lands counts for both.",
        changes=[(observe, "_one_landed", _all_landed)],
        faults=frozenset({Fault.LATE}),
        world=[(wire, "WRITE", lambda _old: {Fault.LATE: 40})],
        busy=True,
    ),
    "no fence": Mutant(
        says="An outcome is written though somebody else has taken the copy up meanwhile.",
        changes=[(settle, "_is_claimed", _always(value=True))],
        faults=frozenset({Fault.PAUSED, Fault.RIVALS, Fault.SLOW}),
        world=[(wire.LyingWire, "_travels", _always_slow)],
        busy=True,
    ),
    "no lease": Mutant(
        says="A copy that one worker has in hand is claimed by another.",
        changes=[(push, "_free", _without_lease), (store, "_ready", _without_lease)],
        faults=frozenset({Fault.RIVALS, Fault.SLOW, Fault.PAUSED}),
    ),
    "refused again": Mutant(
        says="A write that a remote refuses is tried again for ever.",
        changes=[(push, "outcome_of", _tried_again)],
        faults=frozenset({Fault.REFUSES}),
    ),
    "lost access parks": Mutant(
        says="Lost access parks lists one by one instead of pausing the remote.",
        changes=[(push, "outcome_of", _parks_lost_access)],
        faults=frozenset({Fault.FORBIDDEN}),
    ),
    "gone by one proof": Mutant(
        says="A 404 alone is taken for a deletion.",
        changes=[(settle, "not_found", _gone_at_once)],
        faults=frozenset({Fault.NOT_FOUND}),
    ),
    "gone and let go": Mutant(
        says="A list that is gone is unlinked although settings say hold.",
        changes=[(settle, "not_found", _lets_go)],
        faults=frozenset({Fault.DELETES}),
    ),
    "gone unasked": Mutant(
        says="A list that a scan did not show is taken for deleted, and nobody asks for it by id.",
        changes=[(scan._Scanner, "_doubt", broken_scans.gone_unasked)],
        faults=frozenset({Fault.DROPPED}),
    ),
    "early is complete": Mutant(
        says="A scan that ended early is believed as if it had read every page.",
        changes=[(scan._Scanner, "_end", broken_scans.believed_early)],
        faults=frozenset({Fault.CIRCLES, Fault.NOT_FOUND}),
    ),
    "spelling not learned": Mutant(
        says="What a remote spells its own way is written again and again.",
        changes=[(spelling, "learn", lambda _old: lambda copy, *_args: copy.spelling)],
        faults=frozenset({Fault.SPELLS}),
    ),
    "ignored again": Mutant(
        says="What a remote ignores is written again and again.",
        changes=[(spelling, "ignored", lambda _old: lambda *_args: [])],
        faults=frozenset({Fault.IGNORES}),
    ),
    "members only grow": Mutant(
        says="A member that was taken off on one side comes back from the others.",
        changes=[(members, "_step", _never_removed)],
    ),
    "hold overlooked": Mutant(
        says="A list that a person holds is written all the same.",
        changes=[(LeadList, "hold_on", _always(None))],
    ),
    "brake off": Mutant(
        says="A scan that would change too much is taken in.",
        changes=[(scan._Scanner, "_hold", broken_scans.nothing_held)],
        faults=frozenset({Fault.NOTHING, Fault.DROPPED}),
    ),
    "scan in vain": Mutant(
        says="What a scan finds is thrown away.",
        changes=[(scan._Scanner, "_take", broken_scans.thrown_away)],
        faults=frozenset({Fault.SILENT, Fault.UNTOLD}),
    ),
    "all is old news": Mutant(
        says="Whatever a scan finds on a list of which nothing is in question is taken for what was known.",
        changes=[(scan_news, "is_old_news", _always(value=True))],
        faults=frozenset({Fault.SILENT, Fault.UNTOLD}),
    ),
    "page overtaken": Mutant(
        says="A page that was read before our own write landed counts as what is there now.",
        changes=[(scan, "is_overtaken", _always(value=False))],
        faults=frozenset({Fault.SLOW, Fault.SILENT}),
        world=[(wire.LyingWire, "_travels", _always_slow)],
        busy=True,
    ),
    "no limit": Mutant(
        says="The rate budget grants whatever is asked for.",
        changes=[(MemoryBudget, "reserve", broken_limits.no_limit)],
        faults=frozenset({Fault.STRICT}),
    ),
    "a limit each": Mutant(
        says="Every worker has a rate budget of its own.",
        changes=[(History, "_tickets", broken_limits.a_limit_each)],
        faults=frozenset({Fault.STRICT, Fault.RIVALS}),
    ),
    "free at once": Mutant(
        says="A place in the rate budget is free as soon as its answer is there.",
        changes=[(limiter._Turn, "take_in", broken_limits.free_at_once)],
        faults=frozenset({Fault.STRICT}),
    ),
    "created blindly": Mutant(
        says="A create whose answer was lost is sent again before a scan has looked.",
        changes=[(creating, "_surely_lacking", _always(value=True))],
        faults=frozenset({Fault.UNANSWERED, Fault.MAKES}),
        creates=True,
    ),
    "created beside": Mutant(
        says="A list of the same name that turns up is not taken for the one that was created.",
        changes=[(creating, "_rivals", _always({}))],
        faults=frozenset({Fault.UNANSWERED, Fault.MAKES}),
        creates=True,
    ),
    "everything said": Mutant(
        says="A write names fields that are as they should be.",
        changes=[(push, "plan", _says_everything)],
    ),
    "both ways": Mutant(
        says="Fields flow both ways whatever settings say.",
        changes=[(rules.Direction, "writes", _both_ways), (rules.Direction, "takes", _both_ways)],
    ),
    "hold decides": Mutant(
        says="A conflict that is to be held is decided by authority.",
        changes=[
            (
                conflict,
                "decide",
                lambda _old: lambda _field, wanted, remote, _stamp, of: conflict.by_authority(wanted, remote, of),
            )
        ],
    ),
    "no attempt": Mutant(
        says="Calls are not written down.",
        changes=[(store.MemoryTx, "attempted", _always(None))],
    ),
    "standing stays": Mutant(
        says="A copy that differs is not due.",
        changes=[(plan, "_standing", lambda old: lambda copy, *rest: _resting(old(copy, *rest), copy))],
    ),
}


def _resting(standing: Standing, copy: Copy) -> Standing:
    """Every second list never comes to its turn."""
    return Standing.IN_SYNC if standing is Standing.DUE and copy.remote_id[-1] in "2468" else standing
