"""Tracing: off it is not even imported, on it tells ids and never sentences, and nobody's nonsense disturbs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.spans import Collector
from worker import tracing
from worker.tracing import NO_SPAN, Side

CAUSE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENDPOINT = "http://127.0.0.1:9"
#: All that a worker and the web process import, and a span.
PROGRAM = """
import sys, tasks, worker.web.server
from worker import tracing
tracing.begin()
with tracing.tracer().span("push", tracing.Side.INSIDE):
    pass
print(*(name for name in sys.modules if name.startswith(("worker.tracing.otel", "opentelemetry.exporter"))))
"""


def test_nothing_of_it_is_imported_while_it_is_off() -> None:
    """Whoever does not ask for traces pays nothing."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert "" == done.stdout.strip()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT}, ENDPOINT),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT}, ENDPOINT),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_SDK_DISABLED": "True"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_opentelemetrys_own_variables_switch_it_on(variables: dict[str, str], expected: str | None) -> None:
    """And off."""
    assert expected == tracing.destination(variables)


@pytest.mark.parametrize(
    ("variables", "missing", "says"),
    [
        ({}, "worker.tracing.otel", "install leadsync[otel]"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, None, "http/protobuf"),
    ],
)
def test_what_cannot_be_is_one_line_in_the_log(
    variables: dict[str, str],
    missing: str | None,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Syncing goes on without traces."""
    if missing:
        monkeypatch.setitem(sys.modules, missing, None)
    tracing.begin({"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, **variables})
    assert not tracing.tracer().on
    told = capsys.readouterr()
    assert says in told.out + told.err


def test_a_span_goes_on_with_its_first_cause_and_names_the_others(collector: Collector) -> None:
    """What is no traceparent is no cause."""
    tracing.begin()
    other = CAUSE.replace("0af7", "1bf7")
    with tracing.tracer().span("push", Side.INSIDE, ["nonsense", CAUSE, "", other], list_id=7, note=None) as span:
        assert span.traceparent is not None
    with tracing.tracer().span("push", Side.INSIDE, ["00-" + "0" * 32 + "-" + "0" * 16 + "-01"]):
        pass
    tracing.end()

    first, second = collector.spans()
    assert (CAUSE.split("-")[1:3], (other.split("-")[1],)) == ([first.trace, first.parent], first.links)
    assert {"leadsync.list_id": 7} == first.about
    assert ("", ()) == (second.parent, second.links)


def test_an_error_is_told_without_its_sentence(collector: Collector) -> None:
    """Which may hold what people wrote."""
    tracing.begin()
    with pytest.raises(ValueError, match="Canary"), tracing.tracer().span("push", Side.INSIDE):
        raise ValueError("Canary")
    tracing.end()

    [span] = collector.spans()
    assert span.failed
    assert "ValueError" == span.about["error.type"]
    assert all(b"Canary" not in got.body for got in collector.receiver.got)


def test_a_request_is_a_part_of_something(collector: Collector) -> None:
    """Pages of a scan, of which there are thousands, are no traces of their own."""
    tracing.begin()
    tracer = tracing.tracer()
    assert NO_SPAN is tracer.request("GET")
    with tracer.span("push", Side.INSIDE) as span, tracer.request("PATCH") as request:
        request.note(status=200)
        named = span.traceparent
    tracing.end()

    patch, push = collector.spans()
    assert named is not None
    assert ([push.trace, push.id], push.id) == (named.split("-")[1:3], patch.parent)
    assert {"http.request.method": "PATCH", "http.response.status_code": 200} == patch.about


def test_variables_choose_samples_and_names(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not among the samples is no cause of anything."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "sync-of-sales")
    tracing.begin()
    with tracing.tracer().span("intake", Side.CONSUMER) as left_out:
        assert left_out.traceparent is None
    with tracing.tracer().span("intake", Side.CONSUMER, [CAUSE]):  # the sender's choice goes on
        pass
    tracing.end()

    assert ["sync-of-sales"] == [one.service for one in collector.spans()]
