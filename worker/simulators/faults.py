"""What goes wrong at a simulator, by plan or by chance. Used by `base.py` for every call."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from random import Random
from typing import Final

import orjson

from worker.simulators.switches import AnswerShape, Switches
from worker.simulators.wire import HTML_HEADERS, Delivery, SimResponse


class Fault(enum.StrEnum):
    """What may befall one call."""

    RATE_LIMIT = "rate_limit"  #: 429, whatever the windows say
    ERROR = "error"  #: 500, 502 or 503; nothing is applied
    DROP = "drop"  #: nothing is applied and no answer comes
    LATE_APPLY = "late_apply"  #: no answer comes; a write is applied `late_apply_s` later
    ERROR_AFTER = "error_after"  #: applied, and answered 500
    TIMEOUT_AFTER = "timeout_after"  #: applied, and no answer comes
    CUT_AFTER = "cut_after"  #: applied, and the connection breaks inside the answer
    NONE = "none"  #: all is well: a place holder in a plan


FAULTS_THAT_APPLY: Final = frozenset({Fault.ERROR_AFTER, Fault.TIMEOUT_AFTER, Fault.CUT_AFTER})


class Faults:
    """Draws faults. Each kind has its own chance, so that taking one away does not move the others."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chances: dict[str, Random] = {}
        self._plan: list[tuple[Fault, frozenset[str]]] = []

    def plan(self, faults: Sequence[Fault], methods: frozenset[str]) -> None:
        """The next calls of *methods* (of any, when empty) meet these, one each; planned ones come first."""
        self._plan += [(fault, methods) for fault in faults]

    def meet(self, method: str, switches: Switches) -> Fault | None:
        """What befalls this call."""
        for n, (fault, methods) in enumerate(self._plan):
            if not methods or method in methods:
                del self._plan[n]
                return None if fault is Fault.NONE else fault
        for fault, rate in (
            (Fault.ERROR, switches.error_rate),
            (Fault.DROP, switches.drop_rate),
            (Fault.LATE_APPLY, switches.late_apply_rate),
            (Fault.ERROR_AFTER, switches.error_after_rate),
            (Fault.TIMEOUT_AFTER, switches.timeout_after_rate),
            (Fault.CUT_AFTER, switches.cut_after_rate),
        ):
            if rate and self.hits(fault, rate):
                return fault
        return None

    def hits(self, what: str, rate: float) -> bool:
        """Whether *what* happens this time."""
        return bool(rate) and self.draw(what) < rate

    def draw(self, what: str) -> float:
        """The next number in [0, 1) for *what*."""
        return self._chance(what).random()

    def pick(self, choices: Sequence[int]) -> int:
        """One of *choices*."""
        return self._chance("pick").choice(choices)

    def _chance(self, what: str) -> Random:
        if what not in self._chances:
            self._chances[what] = Random(f"{self._seed}/{what}")
        return self._chances[what]


def spoiled(response: SimResponse, shape: AnswerShape) -> SimResponse:
    """A successful response in another shape than documented; others stay as they are."""
    if shape is AnswerShape.OK or not response.body or response.status >= 300:
        return response
    match shape:
        case AnswerShape.HTML:
            response.headers, response.body = (
                HTML_HEADERS,
                b"<!doctype html><html><body>Just a moment...</body></html>",
            )
        case AnswerShape.TRUNCATED:
            response.body = response.body[: len(response.body) // 2]
        case AnswerShape.NOT_JSON:
            response.body = b"OK: done\n"
        case AnswerShape.OTHER:
            whole = orjson.loads(response.body)
            response.body = orjson.dumps({"result": whole} if isinstance(whole, list) else [whole])
        case AnswerShape.ERROR_IN_200:
            response.body = b'{"error":"INTERNAL_FAILURE"}'
    response.delivery = Delivery.ANSWER
    return response
