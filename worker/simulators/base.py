"""What the three simulators have in common: gates, faults, the lists, and news of changes."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from email.utils import formatdate
from math import ceil
from random import Random
from typing import Any, ClassVar

import orjson

from worker.simulators.checks import Shape, checked
from worker.simulators.faults import FAULTS_THAT_APPLY, Fault, Faults, spoiled
from worker.simulators.lists import Change, Lists, Members, SimList, merged
from worker.simulators.switches import Access, Counting, RetryAfter, Switches
from worker.simulators.traffic import Traffic
from worker.simulators.webhooks import Webhook, cloud_event, sealed
from worker.simulators.wire import (
    HTML_HEADERS,
    Ask,
    Delivery,
    Json,
    Refusal,
    Route,
    Router,
    SimRequest,
    SimResponse,
    found,
    new_id,
)

_REASONS = {Access.REVOKED: 401, Access.UNPAID: 402, Access.FORBIDDEN: 403}
_ACCESS_MESSAGES = {
    401: "Invalid API key",
    402: "Workspace does not have an active paid plan",
    403: "You do not have access to this resource",
}


class Simulator(ABC):
    """One remote. The same seed and the same requests at the same times give the same answers."""

    kind: ClassVar[str]
    #: The canonical fields that this product has.
    fields: ClassVar[frozenset[str]] = frozenset({"name", "owner", "enrichment", "members"})
    defaults: ClassVar[Switches] = Switches()

    def __init__(self, switches: Switches | None = None, *, seed: int = 0) -> None:
        self._seed = seed
        self._start_switches = switches or self.defaults
        self._router = Router(self.routes())
        self.traffic = Traffic(self._start_switches.log_size)
        self.reset()

    # What a product adds.

    @abstractmethod
    def routes(self) -> tuple[Route, ...]:
        """Every line of the API."""

    @abstractmethod
    def error_body(self, refusal: Refusal) -> Json:
        """The body of an error, in this API's envelope."""

    @abstractmethod
    def shown(self, held: SimList) -> Json:
        """A lead list as this API spells it."""

    def member_names(self, held: SimList) -> list[str]:
        """The members as the outside knows them."""
        return list(held.members)

    def owner_id(self, owner: str) -> str:
        """An owner as this product spells users."""
        return owner

    def edited_members(self, held: SimList, added: Collection[str], removed: Collection[str], now: float) -> Members:
        """The member ids of *held* after a person added and removed these names."""
        return merged(held.members, added, removed)

    def news(self, change: Change, news_id: str, now: float) -> Mapping[str, Any]:
        """The body of a webhook."""
        source = self.switches.webhook_source or self.kind
        return cloud_event(change, self.fields, id=news_id, source=source, now=now, switches=self.switches)

    # Life.

    def reset(self) -> None:
        """As on the first day: no lists, no calls, the first switches."""
        self.lists = Lists()
        self.outbox: deque[Webhook] = deque()
        self.chance = Random(f"{self._seed}/ids")
        self.changes = 0
        self._faults = Faults(self._seed)
        self._due: list[tuple[float, int, Callable[[float], None]]] = []
        self._due_number = 0
        self.traffic.forget()
        self.switch(self._start_switches)

    def switch(self, switches: Switches) -> None:
        """Take new switches from now on."""
        self.switches = switches
        aligned = switches.counting is Counting.ALIGNED
        self.traffic.limiter.configure(switches.limits, aligned=aligned, refusals_count=switches.refusals_count)
        self.traffic.resize(switches.log_size)

    def plan_faults(self, faults: list[Fault], methods: frozenset[str] = frozenset()) -> None:
        """The next calls (of these methods, if any are named) meet these faults, one each."""
        self._faults.plan(faults, methods)

    def later(self, when: float, work: Callable[[float], None]) -> None:
        """Do *work* at the first request at or after *when*."""
        self._due_number += 1
        heapq.heappush(self._due, (when, self._due_number, work))

    def catch_up(self, now: float) -> None:
        """Do what has come due."""
        while self._due and self._due[0][0] <= now:
            when, _, work = heapq.heappop(self._due)
            work(when)

    # A call.

    def answer(self, request: SimRequest, now: float) -> SimResponse:
        """The response to *request*, applied now; how and when it reaches the client is written on it."""
        if self._due:
            self.catch_up(now)
        route, list_id = self._router.find(request.method, request.path)
        agent = request.headers.get("user-agent", "")
        call = self.traffic.arrive(request.method, request.path, request.body, agent, now)
        if route and route.writes and route.on_list:
            self.traffic.begin_write(call, list_id)
        try:
            user = self._admitted(request, now)
            ask = Ask(list_id, request.query, request.headers, request.body, user, now, call)
            response = self._met_by_faults(route, ask)
        except Refusal as refusal:
            response = self._refused(refusal, now)
        response.call = call
        response.delay_s = self.switches.latency_s
        if self.switches.jitter_s:
            response.delay_s += self._faults.draw("jitter") * self.switches.jitter_s
        self.traffic.decide(call, response.status, answers=response.delivery is not Delivery.HANG)
        return response

    def done(self, response: SimResponse, now: float) -> None:
        """The response has left, or the client has gone."""
        if response.call is not None:
            self.traffic.done(response.call, now)

    def _admitted(self, request: SimRequest, now: float) -> str:
        """The user behind the token; the gates come in the order of a real edge."""
        if self.switches.unavailable:
            raise Refusal(503, "Service Unavailable")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not token or scheme.lower() != "bearer":
            raise self.no_token()
        user = self.switches.tokens.get(token)
        if user is None:
            raise Refusal(401, "Invalid API key")
        if status := _REASONS.get(self.switches.access):
            raise Refusal(status, _ACCESS_MESSAGES[status])
        wait_s = self.traffic.limiter.arrive(now)
        if wait_s and self.switches.counting is not Counting.OFF:
            raise Refusal(429, "Rate limit exceeded", wait_s=wait_s)
        return user

    def no_token(self) -> Refusal:
        """What a call without any token gets."""
        return Refusal(401, "Missing Authorization header")

    def _met_by_faults(self, route: Route | None, ask: Ask) -> SimResponse:
        fault = self._faults.meet(ask.call.method, self.switches)
        if fault is None:
            return spoiled(self._handled(route, ask), self.switches.answer_shape)
        if fault is Fault.RATE_LIMIT:
            raise Refusal(429, "Rate limit exceeded")
        if fault is Fault.ERROR:
            return self._broken(self._faults.pick((500, 502, 503)), ask.now)
        if fault is Fault.LATE_APPLY and route and route.writes:
            self.later(ask.now + self.switches.late_apply_s, lambda when: self._apply_late(route, ask, when))
        if fault not in FAULTS_THAT_APPLY:
            return SimResponse(status=0, delivery=Delivery.HANG)
        response = self._handled(route, ask)
        if fault is Fault.ERROR_AFTER:
            return self._broken(500, ask.now)
        response.delivery = Delivery.CUT if fault is Fault.CUT_AFTER else Delivery.HANG
        return response

    def _apply_late(self, route: Route, ask: Ask, when: float) -> None:
        ask.now = when
        self._handled(route, ask)

    def _handled(self, route: Route | None, ask: Ask) -> SimResponse:
        before = self.changes
        try:
            status, body = found(route, "Route not found").handler(ask)
        except Refusal as refusal:
            return self._refused(refusal, ask.now)
        ask.call.changed = self.changes != before
        if body is None:
            return SimResponse(status=status, headers={})
        return SimResponse(status=status, body=orjson.dumps(body))

    def _broken(self, status: int, now: float) -> SimResponse:
        if status == 500:
            return self._refused(Refusal(500, "Internal Server Error"), now)
        page = f"<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"
        return SimResponse(status=status, headers=HTML_HEADERS, body=page.encode())

    def _refused(self, refusal: Refusal, now: float) -> SimResponse:
        response = SimResponse(status=refusal.status, body=orjson.dumps(self.error_body(refusal)))
        if refusal.status == 429 and self.switches.retry_after is not RetryAfter.NONE:
            wait_s = max(1, ceil(refusal.wait_s))
            asked = (
                str(wait_s)
                if self.switches.retry_after is RetryAfter.SECONDS
                else formatdate(now + wait_s, usegmt=True)
            )
            response.headers = {**response.headers, "retry-after": asked}
        return response

    # Lists.

    def body(self, ask: Ask, shape: Shape) -> dict[str, Any]:
        """The checked body of a call, as the switches have it checked."""
        return checked(ask.json(), shape, strip=self.switches.strip_unknown, coerce=self.switches.coerce)

    def seen(self, list_id: str, now: float) -> SimList | None:
        """A lead list as reads show it: perhaps a little old."""
        lag_s = self.switches.stale_read_s
        return self.lists.seen(list_id, now - lag_s) if lag_s else self.lists.get(list_id)

    def create(self, now: float, **values: Any) -> SimList:
        """A new lead list; *values* as in `SimList`."""
        values["name"] = self._as_kept(values["name"])
        number = self.lists.next_number()
        new = SimList(id=new_id(now, self.chance), number=number, created_at=now, updated_at=now, **values)
        return self._put(None, new, now)

    def change(self, held: SimList, changes: Mapping[str, Any], now: float, *, by_person: bool = False) -> SimList:
        """Set fields of a lead list; what is equal already changes nothing."""
        if not by_person and self.switches.ignore_fields:
            changes = {word: value for word, value in changes.items() if word not in self.switches.ignore_fields}
        if "name" in changes:
            changes = {**changes, "name": self._as_kept(changes["name"])}
        if all(getattr(held, word) == value for word, value in changes.items()):
            return held
        stamps = {"updated_at": now, "version": held.version + 1}
        return self._put(held, replace(held, **{**stamps, **changes}), now)

    def seed(self, now: float, members: Collection[str], *, id: str | None, **values: Any) -> SimList:
        """A lead list that was there before the story began: nobody is told of it."""
        held = SimList(
            id=id or new_id(now, self.chance),
            number=self.lists.next_number(),
            created_at=now,
            updated_at=now,
            **values,
        )
        if members:
            held = replace(held, members=self.edited_members(held, members, (), now))
        self.lists.put(held, now=now, lag_s=0.0)
        return held

    def delete(self, held: SimList, now: float) -> None:
        """Delete a lead list."""
        self.lists.drop(held, now=now, lag_s=self.switches.stale_read_s)
        self._announce(Change(held, held, gone=True), now)

    def _put(self, old: SimList | None, new: SimList, now: float) -> SimList:
        self.lists.put(new, now=now, lag_s=self.switches.stale_read_s)
        self._announce(Change(new, old), now)
        return new

    def _as_kept(self, name: str) -> str:
        name = " ".join(name.split()) if self.switches.normalise else name
        return name if self.switches.name_limit is None else name[: self.switches.name_limit]

    def listeners(self) -> Iterable[tuple[str, Mapping[str, str]]]:
        """Who is told of changes: address, and headers of their own."""
        return [(url, {}) for url in self.switches.webhooks]

    def _announce(self, change: Change, now: float) -> None:
        self.changes += 1
        for url, headers in self.listeners():
            if self._faults.hits("webhook_lost", self.switches.webhook_lost_rate):
                continue
            news_id = new_id(now, self.chance)
            news = self.news(change, news_id, now)
            webhook = sealed(url, news, headers, id=news_id, now=now, switches=self.switches)
            twice = self._faults.hits("webhook_twice", self.switches.webhook_twice_rate)
            self.outbox.extend([webhook] * (2 if twice else 1))
            self.traffic.webhooks += 1 + twice
