"""Alerts: tell people once when a state turns bad, and once when it recovers. Called by the task of that name.

What was told is in the database, so neither a second beat nor a restart tells it twice. An alert and the message that
tells it are one row: the message is sent until somebody has taken it, always under the same id, so a receiver that
gets it twice, because the answer was lost, can tell. Alerts of one state are told in their order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog

from models.alert import Alert, AlertKey, Judged
from models.values import replace
from worker.errors import LeadsyncError

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: Messages that one round sends.
_MOST = 50
#: After a first failed try, and at most.
_FIRST_S, _LONGEST_S = 15.0, 3_600.0
#: Longer than a try takes, by what writing its outcome may take.
_LEASE_S = 10.0


class Alerts(Protocol):
    """The part of a transaction that knows what people were told."""

    def newest_of_each(self) -> dict[AlertKey, Alert]:
        """How each state was told last."""
        ...

    def add(self, alert: Alert) -> None:
        """It became bad, or good again."""
        ...

    def waver(self, number: int, since: datetime | None) -> None:
        """It looks otherwise than that alert told, since then; None: it does no more."""
        ...

    def untold(self, limit: int) -> list[Alert]:
        """The oldest ones that nobody was told of."""
        ...

    def take(self, number: int, until: datetime) -> bool:
        """Nobody else sends it until then. False when somebody does, or did."""
        ...

    def told(self, number: int) -> None:
        """A receiver took it."""
        ...

    def failed(self, number: int, due_at: datetime, trouble: str) -> None:
        """Nobody took it; it is not tried again before then."""
        ...

    def forget(self, before: datetime) -> None:
        """Forget what was told before then, but for the last alert of each state."""
        ...


class AlertTx(Protocol):
    """What alerts need of a transaction."""

    @property
    def now(self) -> datetime:
        """The database's clock."""
        ...

    @property
    def alerts(self) -> Alerts:
        """What people were told."""
        ...


class AlertStore(Protocol):
    """The database, as far as alerts are concerned. See `worker.ports.Store`."""

    async def run(self, work: Callable[[AlertTx], T]) -> T:
        """`work` in one transaction; it may be called again."""
        ...


#: Sends one message under that id. Raises `LeadsyncError` unless a receiver took it.
Send = Callable[[str, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one round of sending came to."""

    sent: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How alerts are told."""

    settle_s: float
    #: Somebody takes messages; otherwise what is in the log is told.
    send: bool
    #: Those in the settings: of others there is nothing to be told any more.
    remotes: frozenset[str]
    #: Makes an id for each message.
    new_id: Callable[[], str]


async def notice(store: AlertStore, judged: Iterable[Judged], terms: Terms) -> list[Alert]:
    """Note what has turned, and say it in the log."""
    looks = list(judged)
    turned = await store.run(lambda tx: _turned(tx, looks, terms))
    for alert in turned:
        told = {"kind": alert.kind.value, "remote": alert.about or None, "says": alert.says}
        if alert.bad:
            log.error("alert", next_step=alert.next_step, **told)
        else:
            log.warning("alert_recovered", **told)
    return turned


async def tell(store: AlertStore, send: Send, *, timeout_s: float, spread: Callable[[], float]) -> Told:
    """Send what must still be told."""
    sent = failed = 0
    for alert in await store.run(lambda tx: _first_of_each(tx.alerts.untold(_MOST), tx.now)):
        if not await store.run(_taking(alert, timeout_s)):
            continue
        try:
            await send(alert.message, message(alert))
        except LeadsyncError as error:
            failed += 1
            log.warning("alert_not_sent", kind=alert.kind.value, remote=alert.about or None, reason=str(error))
            await store.run(_failing(alert, _delay_s(alert.tries + 1, spread()), str(error)))
        else:
            sent += 1
            await store.run(_telling(alert))
    return Told(sent=sent, failed=failed)


def message(alert: Alert) -> dict[str, Any]:
    """What a receiver is told. Names do not change without a note in CHANGELOG.md."""
    return {
        "type": "alert.bad" if alert.bad else "alert.recovered",
        "timestamp": alert.at.isoformat(),
        "data": {
            "kind": alert.kind.value,
            "remote": alert.about or None,
            "says": alert.says,
            "next_step": alert.next_step or None,
        },
    }


def trial_message(now: datetime) -> dict[str, Any]:
    """What tells people nothing but that they are told."""
    data = {"kind": None, "remote": None, "says": "this is a test, nothing has happened", "next_step": None}
    return {"type": "alert.test", "timestamp": now.isoformat(), "data": data}


def _turned(tx: AlertTx, judged: Iterable[Judged], terms: Terms) -> list[Alert]:
    last, turned = tx.alerts.newest_of_each(), list[Alert]()
    for one in (*judged, *_left(last, terms.remotes)):
        before = last.get(one.key)
        if before is None and one.bad:
            before = _before_the_first(one, tx.now, terms.new_id())
            if terms.settle_s > 0:
                tx.alerts.add(before)
        elif before is not None and one.bad == before.bad:
            if before.wavers_since is not None:
                tx.alerts.waver(before.id, None)
            continue
        elif before is not None and before.wavers_since is None:
            before = replace(before, wavers_since=tx.now)
            tx.alerts.waver(before.id, tx.now)
        if before is not None and before.wavers_since is not None and _settled(before.wavers_since, tx.now, terms):
            turned.append(_next(before, one, tx.now, terms))
            tx.alerts.add(turned[-1])
    return turned


def _left(last: Mapping[AlertKey, Alert], remotes: Collection[str]) -> list[Judged]:
    """Bad states of remotes that are no longer in the settings."""
    return [
        Judged(kind=alert.kind, about=alert.about, bad=False, says=f"{alert.about} is no longer in the settings")
        for alert in last.values()
        if alert.bad and alert.about and alert.about not in remotes
    ]


def _settled(since: datetime, now: datetime, terms: Terms) -> bool:
    return now - since >= timedelta(seconds=terms.settle_s)


def _before_the_first(one: Judged, now: datetime, message_id: str) -> Alert:
    """A good state that looks bad since now: there is nothing to tell yet."""
    return Alert(
        id=0,
        kind=one.kind,
        about=one.about,
        nth=0,
        bad=False,
        at=now,
        says="",
        next_step="",
        wavers_since=now,
        message=message_id,
        told_at=now,
        tries=0,
        due_at=now,
        trouble="",
    )


def _next(alert: Alert, one: Judged, now: datetime, terms: Terms) -> Alert:
    return Alert(
        id=0,
        kind=one.kind,
        about=one.about,
        nth=alert.nth + 1,
        bad=one.bad,
        at=now,
        says=one.says,
        next_step=one.next_step,
        wavers_since=None,
        message=terms.new_id(),
        told_at=None if terms.send else now,
        tries=0,
        due_at=now,
        trouble="",
    )


def _first_of_each(untold: Iterable[Alert], now: datetime) -> list[Alert]:
    """Of each state the oldest one, if it may be tried now: their order is part of the news."""
    first: dict[AlertKey, Alert] = {}
    for alert in untold:
        first.setdefault(alert.key, alert)
    return [alert for alert in first.values() if alert.due_at <= now]


def _taking(alert: Alert, timeout_s: float) -> Callable[[AlertTx], bool]:
    return lambda tx: tx.alerts.take(alert.id, tx.now + timedelta(seconds=timeout_s + _LEASE_S))


def _telling(alert: Alert) -> Callable[[AlertTx], None]:
    return lambda tx: tx.alerts.told(alert.id)


def _failing(alert: Alert, after_s: float, trouble: str) -> Callable[[AlertTx], None]:
    return lambda tx: tx.alerts.failed(alert.id, tx.now + timedelta(seconds=after_s), trouble)


def _delay_s(tries: int, spread: float) -> float:
    """Doubles, with half of it left to chance."""
    return min(_LONGEST_S, _FIRST_S * 2.0 ** min(tries - 1, 30)) * (0.5 + spread / 2)
