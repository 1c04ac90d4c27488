"""What a process that plays histories changes of itself is undone: other tests read logs."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _itself_again() -> Iterator[None]:
    """Logs and the collector are as they were before each test."""
    logs, thresholds = structlog.get_config(), gc.get_threshold()
    yield
    structlog.configure(**logs)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
