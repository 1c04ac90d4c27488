"""Acting: a store in the name of a person, so that the audit says who did it. Used by the CLI and the web.

Use cases of people write to `tx.audit` in the transaction of what they change; only who it was comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from worker.ports import Store, Tx

T = TypeVar("T")


class Acting:
    """Implements `Store`: every transaction is this person's."""

    def __init__(self, store: Store, who: str) -> None:
        self._store, self._who = store, who

    async def run(self, work: Callable[[Tx], T]) -> T:
        """See `Store.run`."""

        def named(tx: Tx) -> T:
            tx.audit.who = self._who
            return work(tx)

        return await self._store.run(named)
