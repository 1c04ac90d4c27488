"""Traces: one from an event to the calls that it led to, for OpenTelemetry. Used by ingress, intake and push.

Off unless variables of OpenTelemetry's own say where spans go: then nothing of it is imported, and nothing costs
anything. Like the log, the tracer is found and not handed in: nothing is decided by what it notes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import structlog

from worker.tracing.tracer import NO_SPAN, NO_TRACER, Side, Span, Told, Tracer

__all__ = ["NO_SPAN", "Side", "Span", "Told", "Tracer", "begin", "destination", "end", "tracer"]

log = structlog.get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

_tracer: Tracer = NO_TRACER


def tracer() -> Tracer:
    """The one of this process."""
    return _tracer


def begin(environment: Mapping[str, str] = os.environ) -> None:
    """Trace from now on, where the variables say so. After the fork: spans are sent by a thread."""
    global _tracer  # noqa: PLW0603 - one a process, as the log
    if destination(environment) is None:
        return
    if _first(environment, _PROTOCOLS) not in (None, "http/protobuf"):
        log.warning("tracing_off", reason="leadsync sends http/protobuf; unset OTEL_EXPORTER_OTLP_PROTOCOL")
        return
    try:
        from worker.tracing.otel import OtelTracer
    except ImportError:
        log.warning("tracing_off", reason="OTEL_EXPORTER_OTLP_ENDPOINT is set; install leadsync[otel], or unset it")
        return
    end()
    _tracer = OtelTracer()


def end() -> None:
    """Send what is left, and trace no more."""
    global _tracer
    before, _tracer = _tracer, NO_TRACER
    before.close()


def destination(environment: Mapping[str, str] = os.environ) -> str | None:
    """Where spans are to go, if anywhere."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    return _first(environment, _ENDPOINTS)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)
