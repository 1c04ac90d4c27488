"""What unit tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.spans import Collector, collecting
from worker import tracing


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """This process traces, once it begins."""
    with collecting() as running:
        for name, value in running.env.items():
            monkeypatch.setenv(name, value)
        yield running
        tracing.end()
