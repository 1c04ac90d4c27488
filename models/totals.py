"""Running totals: what the ledger has counted since its beginning, however much of it was forgotten. For metrics."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class TotalKind(enum.StrEnum):
    """What is counted, and what `detail` holds then."""

    CALLS = "calls"  #: attempts, and pages of scans: "action lane status"; seconds are how long they took
    LAG = "lag"  #: from event to PATCH: the upper bound of its step; seconds are the lags themselves
    NEEDED = "needed"  #: patches that were needed if each change were one to every other copy: nothing


#: Upper bounds of the steps of the lag, in seconds; what is beyond the last one is in "inf".
LAG_STEPS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0)
BEYOND: Final = "inf"

#: The status of a call that had no answer.
NO_ANSWER: Final = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """One of them."""

    kind: TotalKind
    remote: str
    detail: str
    number: int
    seconds: float


def lag_step(seconds: float) -> str:
    """The step that a lag falls into."""
    return next((f"{bound:g}" for bound in LAG_STEPS if seconds <= bound), BEYOND)
