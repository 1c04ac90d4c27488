"""One process with all three simulators, and readable failures for promises that are kept in another file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from worker.simulators.running import RunningSimulator, running_all

pytest.register_assert_rewrite("tests.contract.promises", "tests.contract.promises_over_http")


@pytest.fixture(scope="session")
def simulators() -> Iterator[Mapping[str, RunningSimulator]]:
    """CRM, Instantly and Lance on free ports."""
    with running_all() as simulators:
        yield simulators
