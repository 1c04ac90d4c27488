"""A collector of OpenTelemetry on loopback: keeps the spans that it is sent. For the tests of tracing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.receiver import Receiver, receiving


@dataclass(frozen=True, slots=True, kw_only=True)
class GotSpan:
    """One span, as it came."""

    name: str
    trace: str
    id: str
    #: Empty for the first of a trace.
    parent: str
    links: tuple[str, ...]
    about: Mapping[str, Any]
    service: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Collector:
    """What it was sent."""

    receiver: Receiver

    @property
    def env(self) -> dict[str, str]:
        """Variables that let a process send its spans here, soon after each ends."""
        endpoint = f"http://127.0.0.1:{self.receiver.port}"
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "100"}

    def spans(self, name: str | None = None) -> list[GotSpan]:
        """All of this name, in the order in which they came."""
        return [span for got in self.receiver.got for span in _spans(got.body) if name in (None, span.name)]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that ends with the block."""
    with receiving() as receiver:
        yield Collector(receiver)


def _spans(body: bytes) -> Iterator[GotSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _told(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            yield from (_span(span, service) for span in scope.spans)


def _span(span: Span, service: str) -> GotSpan:
    return GotSpan(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple(link.trace_id.hex() for link in span.links),
        about=_told(span.attributes),
        service=service,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
    )


def _told(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {one.key: _value(one.value) for one in pairs}


def _value(told: AnyValue) -> Any:
    kind = told.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in told.array_value.values]
    return getattr(told, kind) if kind else None
