"""A strict reader of Prometheus' text format 0.0.4, made from its specification: for the tests of metrics.

See https://prometheus.io/docs/instrumenting/exposition_formats/ .
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) ((?:[^\\\n]|\\\\|\\n)*)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\n|\\")*)"')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{((?:{_LABEL.pattern},?)*)\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)")
_PARTS = ("_bucket", "_sum", "_count")

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """One name with its samples."""

    name: str
    help: str
    type: str
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def value(self, part: str = "", /, **labels: str) -> float:
        """Of the one sample with exactly these labels."""
        return self.samples[self.name + part, frozenset(labels.items())]


def read(text: str) -> dict[str, Family]:
    """All families. Raises `AssertionError` for anything that Prometheus would refuse or misread."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    lines = iter(text.splitlines())
    last: Family | None = None
    for line in lines:
        if line.startswith("# HELP"):
            told, kind = _HELP.fullmatch(line), _TYPE.fullmatch(next(lines))
            assert told, line
            assert kind, line
            assert told[1] == kind[1]
            assert told[1] not in families, f"{told[1]} comes twice"
            last = families[told[1]] = Family(told[1], told[2], kind[2])
            continue
        found = _SAMPLE.fullmatch(line)
        assert found, line
        assert last is not None
        assert found[1] in _names(last), f"{found[1]} stands among samples of {last.name}"
        key = found[1], frozenset((name, _unescaped(value)) for name, value in _LABEL.findall(found[2] or ""))
        assert key not in last.samples, f"{line} comes twice"
        last.samples[key] = float(found[found.lastindex or 0])
    for family in families.values():
        _check(family)
    return families


def _names(family: Family) -> set[str]:
    return {family.name + part for part in _PARTS} if family.type == "histogram" else {family.name}


def _check(family: Family) -> None:
    assert family.samples, f"{family.name} has no sample"
    assert (family.type == "counter") == family.name.endswith("_total")
    if family.type == "counter":
        assert all(value >= 0 for value in family.samples.values())
    if family.type != "histogram":
        return
    series: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for (name, labels), value in family.samples.items():
        if name.endswith("_bucket"):
            bound = dict(labels)["le"]
            series[frozenset(one for one in labels if one[0] != "le")].append((float(bound), value))
    for labels, steps in series.items():
        counts = [count for _, count in sorted(steps)]
        assert counts == sorted(counts), "buckets are cumulative"
        assert float("inf") == max(steps)[0]
        assert counts[-1] == family.samples[f"{family.name}_count", labels]
        assert (f"{family.name}_sum", labels) in family.samples


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), value)
