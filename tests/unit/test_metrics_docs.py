"""docs/metrics.md, the dashboard and the alert rules name what the code tells, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from worker.documents.metrics import METRICS, Metric, MetricType

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "metrics.md").read_text(encoding="utf-8")
DASHBOARD: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
RULES: dict[str, Any] = yaml.safe_load((DOCS / "prometheus-rules.yml").read_text(encoding="utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULES["groups"] for rule in group["rules"]]
BY_NAME = {metric.name: metric for metric in METRICS}
#: What Prometheus adds to each series.
ADDED = {"job", "instance"}


def queries() -> Iterator[tuple[str, str]]:
    """Every query, and where it stands."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for number, block in enumerate(re.findall(r"^```promql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)):
        for line in filter(None, block.splitlines()):
            yield f"metrics.md {number}", line


def metric_of(series: str) -> Metric | None:
    """The metric that a name in a query belongs to."""
    if series in BY_NAME and BY_NAME[series].type is not MetricType.HISTOGRAM:
        return BY_NAME[series]
    found = BY_NAME.get(re.sub(r"_(bucket|sum|count)$", "", series))
    return found if found is not None and found.type is MetricType.HISTOGRAM and found.name != series else None


def test_the_table_is_the_code() -> None:
    """Each name with type, labels and meaning, in the order in which they are told."""
    rows = re.findall(r"^\| `(leadsync_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    told = [(m.name, str(m.type), ", ".join(f"`{one}`" for one in m.labels) or "none", m.help) for m in METRICS]
    assert told == rows


def test_names_follow_the_rules_of_prometheus() -> None:
    """Counters end with _total, units are base units, none comes twice."""
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"leadsync_[a-z]+(_[a-z]+)*", metric.name)
        assert (metric.type is MetricType.COUNTER) == metric.name.endswith("_total")
        assert not re.search(r"_(ms|minutes|percent)(_|$)", metric.name)
        assert metric.help.endswith(".")


@pytest.mark.parametrize(("place", "query"), list(queries()))
def test_every_query_names_what_there_is(place: str, query: str) -> None:
    """Metrics, and labels that they have; brackets are closed."""
    assert place
    series = re.findall(r"\b(leadsync_\w+)(?:\{([^}]*)\})?", query)
    assert series
    labels = set(ADDED)
    for name, matchers in series:
        metric = metric_of(name)
        assert metric is not None, name
        labels |= {*metric.labels, *(("le",) if name.endswith("_bucket") else ())}
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in metric.labels, f"{name} has no label {label}"
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        assert set(re.split(r",\s*", grouped)) <= labels
    assert all(query.count(left) == query.count(right) for left, right in ("()", "{}", "[]"))


def test_counters_are_rated_and_gauges_are_not() -> None:
    """A counter that is shown as it is is a mistake, but for two that are compared."""
    for place, query in queries():
        for name in re.findall(r"(?:rate|increase)\((leadsync_\w+)", query):
            metric = metric_of(name)
            assert metric is not None
            assert metric.type is not MetricType.GAUGE, f"{place} rates a gauge"


def test_the_dashboard_fits() -> None:
    """Every panel has a number, a place of its own, and says what it means."""
    panels = DASHBOARD["panels"]
    places = set[tuple[int, int]]()
    for panel in panels:
        at = panel["gridPos"]
        mine = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not mine & places
        assert at["x"] + at["w"] <= 24
        places |= mine
        assert panel["description"]
    assert len(panels) == len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels})


def test_every_rule_says_what_to_do() -> None:
    """A summary, the next step, and how bad it is; a name of its own."""
    assert len(ALERTS) == len({rule["alert"] for rule in ALERTS})
    for rule in ALERTS:
        assert {"summary", "next_step"} == set(rule["annotations"])
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["alert"].startswith("Leadsync")
