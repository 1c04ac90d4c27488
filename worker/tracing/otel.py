"""The tracer that speaks OpenTelemetry: the extra `leadsync[otel]`. Imported by `begin`, once somebody wants traces.

Samplers, resource and exporter are set by OpenTelemetry's own variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import Token
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

from opentelemetry import trace as api
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from worker.tracing.tracer import NO_SPAN, Side, Span, Told

_SIDES: Final = {
    Side.INSIDE: SpanKind.INTERNAL,
    Side.SERVER: SpanKind.SERVER,
    Side.CONSUMER: SpanKind.CONSUMER,
    Side.CLIENT: SpanKind.CLIENT,
}
#: Names that OpenTelemetry has for what we tell; all else is ours.
_NAMES: Final = {
    "method": "http.request.method",
    "status": "http.response.status_code",
    "event_id": "messaging.message.id",
    "batch": "messaging.batch.message_count",
    "error": "error.type",
}
_FORMAT = TraceContextTextMapPropagator()
_KEY = "traceparent"


class OtelTracer:
    """Implements `Tracer`."""

    on = True

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("leadsync", version("leadsync"))

    def span(self, name: str, side: Side, causes: Sequence[str] = (), **about: Told) -> Span:
        """See `Tracer.span`."""
        found = [one for one in map(_context, causes) if one.is_valid]
        parent = Context() if not found else api.set_span_in_context(api.NonRecordingSpan(found[0]), Context())
        links = [Link(one) for one in found[1:]]
        return _Recorded(
            self._tracer.start_span(name, parent, _SIDES[side], attributes=_attributes(about), links=links)
        )

    def request(self, method: str) -> Span:
        """See `Tracer.request`."""
        if not api.get_current_span().is_recording():
            return NO_SPAN
        return _Recorded(
            self._tracer.start_span(method, kind=SpanKind.CLIENT, attributes=_attributes({"method": method}))
        )

    def close(self) -> None:
        """See `Tracer.close`."""
        self._provider.shutdown()


class _Recorded:
    """Implements `Span`."""

    def __init__(self, span: api.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    @property
    def traceparent(self) -> str | None:
        """See `Span.traceparent`."""
        if not self._span.is_recording():
            return None  # not among the samples
        carrier = dict[str, str]()
        _FORMAT.inject(carrier, api.set_span_in_context(self._span, Context()))
        return carrier[_KEY]

    def note(self, **about: Told) -> None:
        """See `Span.note`."""
        self._span.set_attributes(_attributes(about))

    def __enter__(self) -> Self:
        self._token = attach(api.set_span_in_context(self._span))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        if kind is not None:
            self.note(error=kind.__name__)  # its sentence may say more than a span may
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def _resource() -> Resource:
    """As the variables say; called leadsync where they say nothing."""
    told = Resource.create()
    ours = {SERVICE_VERSION: version("leadsync")}
    if str(told.attributes[SERVICE_NAME]).startswith("unknown_service"):
        ours[SERVICE_NAME] = "leadsync"
    return told.merge(Resource(ours))


def _context(traceparent: str) -> SpanContext:
    return api.get_current_span(_FORMAT.extract({_KEY: traceparent}, Context())).get_span_context()


def _attributes(about: Mapping[str, Told]) -> dict[str, str | int | Sequence[str]]:
    return {_NAMES.get(name, f"leadsync.{name}"): told for name, told in about.items() if told is not None}
