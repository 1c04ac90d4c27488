"""The rate budget of one remote, shared by all workers through Redis. Used by `throttle.py` and by `status`.

One Lua script does everything in one step on Redis' own clock: it takes in reports and hands out places.
When Redis cannot be asked nobody may call: every error becomes `RedisAway`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import NamedTuple

import orjson
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from worker.errors import RedisAway
from worker.limits.base import BudgetState, Grant, Lane, Report, Wait, Window
from worker.limits.rules import SECOND, Rules, microseconds

#: The script counts lanes from 1, highest first.
_LANE_NUMBER = {lane: number for number, lane in enumerate(Lane, start=1)}


#: Connections of one process. Commands take a fraction of a millisecond: a hundred remotes at once wait for each other.
_MOST_CONNECTIONS = 32
_PATIENCE_S = 2.0


def budget_client(url: str) -> Redis:
    """A connection for budgets: never sends a script again, and gives up on a silent server after 2 s.

    Resending after a lost reply would not break a limit, only waste it: the first reservation would hold
    places that nobody uses. So an error goes to the caller, who asks anew.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=_MOST_CONNECTIONS,
        timeout=_PATIENCE_S,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=_PATIENCE_S,
        socket_connect_timeout=_PATIENCE_S,
    )
    return Redis.from_pool(pool)


class _Answer(NamedTuple):
    """What the script returns, in its order; times in microseconds."""

    granted: int
    first: int
    wait: int
    why: bytes | str
    used: list[int]
    limits: list[int]
    share: int
    backoff: int
    breaker: int  #: -1 while it is closed


class RedisBudget:
    """A `Budget` for all processes that name the same Redis, prefix and remote. Fails closed."""

    def __init__(
        self,
        redis: Redis,
        remote: str,
        windows: Sequence[Window],
        hold_s: float,
        prefix: str = "leadsync",
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._rules = Rules.of(windows, hold_s)
        self._rules_json = orjson.dumps(self._rules)
        self._remote = remote
        # The braces keep both keys on one node of a cluster.
        self._keys = [f"{prefix}:budget:{{{remote}}}:{part}" for part in ("learned", "places")]
        self._script = redis.register_script(script())
        self._spread = spread

    async def reserve(self, lane: Lane, want: int, reports: Sequence[Report] = ()) -> Grant:
        answer = await self._ask(lane, want, reports)
        return Grant(
            tickets=tuple(str(answer.first + i) for i in range(answer.granted)),
            wait_s=answer.wait / SECOND,
            why=Wait(_text(answer.why)) if answer.why else None,
        )

    async def state(self) -> BudgetState:
        answer = await self._ask(Lane.SCAN, 0, ())
        return BudgetState(
            used={
                span.seconds: (used, limit)
                for span, used, limit in zip(self._rules.spans, answer.used, answer.limits, strict=True)
            },
            share=answer.share / self._rules.whole,
            backoff_s=answer.backoff / SECOND,
            breaker_s=None if answer.breaker < 0 else answer.breaker / SECOND,
        )

    async def _ask(self, lane: Lane, want: int, reports: Sequence[Report]) -> _Answer:
        ask = {
            "lane": _LANE_NUMBER[lane],
            "want": want,
            "spread": self._spread(),
            "reports": [
                (int(r.ticket), r.ending, microseconds(r.age_s), microseconds(r.retry_after_s or 0)) for r in reports
            ],
        }
        try:
            reply = await self._script(keys=self._keys, args=[self._rules_json, orjson.dumps(ask)])
        except (RedisError, OSError) as error:
            raise RedisAway(
                f"Redis did not answer for the rate budget of remote {self._remote!r} ({_reason(error)}): "
                "no calls are made until it does; check that Redis runs and accepts writes."
            ) from error
        return _Answer(*reply)


def script() -> str:
    """The Lua source."""
    return files(__package__).joinpath("budget.lua").read_text(encoding="utf-8")


def _reason(error: Exception) -> str:
    """Redis' own code (READONLY, OOM, ...) if it gave one; never its text, which may name hosts and paths."""
    code = str(error).partition(" ")[0]
    return code if code.isalpha() and code.isupper() else type(error).__name__


def _text(reply: bytes | str) -> str:
    return reply.decode() if isinstance(reply, bytes) else reply
