"""Traces through state: what each change was caused by is kept, so that the call that carries it out names its cause.

Used by intake, push and settle. No message carries a trace: the call may come much later, for many events at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import MappingProxyType

from models.event import Event
from models.lead_list import Field
from models.ledger import Change
from models.patch import Patch
from models.values import replace
from worker import tracing
from worker.parts import Trace
from worker.ports import Tx
from worker.sync.outcomes import Claim, Flown

#: What changes name as theirs, and the traces of that: {(remote, cause): traceparent}.
Causes = Mapping[tuple[str, str], str]

NO_CAUSES: Causes = MappingProxyType({})

#: Causes that one call names, the newest; a list may have been edited a thousand times meanwhile.
_MOST = 32


@contextmanager
def taking_in(events: Sequence[Event]) -> Iterator[Causes]:
    """A span for each event of a batch, as a part of the trace that it brings along."""
    tracer = tracing.tracer()
    if not tracer.on:
        yield NO_CAUSES
        return
    causes = dict[tuple[str, str], str]()
    with ExitStack() as spans:
        for event in events:
            brought = (event.traceparent,) if event.traceparent else ()
            side = tracing.Side.CONSUMER
            span = tracer.span("intake", side, brought, remote=event.source, event_id=event.id, batch=len(events))
            spans.enter_context(span)
            if span.traceparent:
                causes[event.source, cause_of(event)] = span.traceparent
        yield causes


def cause_of(event: Event) -> str:
    """As the ledger names it."""
    return f"event {event.id}"


def keep(tx: Tx, changes: Mapping[int, Iterable[Change]], causes: Causes) -> None:
    """What these changes of lists were caused by."""
    said = ((number, one.field, causes.get((one.origin, one.cause))) for number in changes for one in changes[number])
    tx.traces.keep([Trace(number, field, trace) for number, field, trace in said if trace is not None])


def with_causes(tx: Tx, claims: list[Claim]) -> list[Claim]:
    """Each with the traces of what made its copy differ, the newest first."""
    if not claims or not tracing.tracer().on:
        return claims
    known = tx.traces.of({one.list_id: one.copy.since for one in claims if one.copy.since}, _MOST)
    return [replace(one, causes=_of(one, known.get(one.list_id, ()))) for one in claims]


def _of(claim: Claim, traces: Iterable[Trace]) -> tuple[str, ...]:
    fields = fields_of(claim.patch)
    said = [one.traceparent for one in traces if one.field is None or not fields or one.field in fields]
    return tuple(dict.fromkeys(said))


def fields_of(patch: Patch | None) -> frozenset[Field]:
    """The fields that it names."""
    if patch is None:
        return frozenset()
    return frozenset(patch.fields) | ({Field.MEMBERS} if patch.add or patch.remove else frozenset())


def flight(claim: Claim) -> tracing.Span:
    """The span of all requests of a claim."""
    tracer = tracing.tracer()
    if not tracer.on:
        return tracing.NO_SPAN
    action = "read" if claim.patch is None else "create" if claim.creates else "patch"
    return tracer.span(
        "push",
        tracing.Side.INSIDE,
        claim.causes,
        remote=claim.copy.remote,
        list_id=claim.list_id,
        action=action,
        fields=sorted(fields_of(claim.patch)),
    )


def landed(tx: Tx, one: Flown, number: int, changes: Sequence[Change]) -> None:
    """What an answer showed was caused by the call."""
    if one.traceparent is not None and changes:
        tx.traces.keep([Trace(number, change.field, one.traceparent) for change in changes])
