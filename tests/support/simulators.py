"""Talks to a simulator without sockets, on a clock that the test moves: for the unit tests of the simulators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from worker.simulators import control
from worker.simulators.base import Simulator
from worker.simulators.server import simulator
from worker.simulators.wire import Delivery, SimRequest, SimResponse

START = 1_800_000_000.0
LIST_ID = "0190a000-0000-7000-8000-000000000001"
OTHER_ID = "0190a000-0000-7000-8000-000000000002"
NOBODY = "0190a000-0000-7000-8000-00000000dead"
CAMPAIGN = "0190a000-0000-7000-8000-0000000000cc"
LEADS = "/api/v2/leads"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response with its JSON taken apart."""

    status: int
    json: Any
    response: SimResponse

    @property
    def hangs(self) -> bool:
        """Whether the client waits in vain."""
        return self.response.delivery is Delivery.HANG


class Talk:
    """One client of one simulator; every call is over before the next begins, unless told to stay open."""

    def __init__(self, kind: str, *, seed: int = 0, token: str | None = "sim-token", **switches: Any) -> None:
        self.simulator: Simulator = simulator(kind, switches, seed=seed)
        self.token = token
        self.now = START

    def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, stays_open: bool = False
    ) -> Reply:
        path, _, query = path.partition("?")
        content = raw if raw is not None else b"" if body is None else orjson.dumps(body)
        headers: Mapping[str, str] = {
            "user-agent": "test",
            **({"authorization": f"Bearer {self.token}"} if self.token else {}),
            **({"content-type": "application/json"} if content else {}),
        }
        request = SimRequest(method=method, path=path, query=dict(parse_qsl(query)), headers=headers, body=content)
        if path.startswith(control.PREFIX):
            response = control.answer(self.simulator, request, self.now)
        else:
            response = self.simulator.answer(request, self.now)
        if not stays_open:
            self.simulator.done(response, self.now)
        return Reply(response.status, _json(response.body), response)

    def get(self, path: str) -> Reply:
        """GET."""
        return self("GET", path)

    def post(self, path: str, body: Any) -> Reply:
        """POST."""
        return self("POST", path, body)

    def patch(self, path: str, body: Any) -> Reply:
        """PATCH."""
        return self("PATCH", path, body)

    def delete(self, path: str) -> Reply:
        """DELETE without a body."""
        return self("DELETE", path)

    def switch(self, **switches: Any) -> None:
        """Set switches."""
        assert self.patch("/_sim/switches", switches).status == 200

    def seed(self, *lists: Mapping[str, Any]) -> list[str]:
        """Lists without news; their ids."""
        reply = self.post("/_sim/seed", {"lists": lists})
        assert reply.status == 200, reply.json
        ids: list[str] = reply.json["ids"]
        return ids

    def summary(self) -> Any:
        """The sums over all calls."""
        return self.get("/_sim/summary").json


def workspace_with_leads() -> Talk:
    """An Instantly workspace with two lists and three leads in the first."""
    talk = Talk("instantly", limits=[])
    talk.seed(
        {"id": LIST_ID, "name": "One", "members": ["a@example.com", "b@example.com", "c@example.com"]},
        {"id": OTHER_ID, "name": "Two"},
    )
    return talk


def members(talk: Talk, list_id: str = LIST_ID) -> list[str]:
    """The members of a list, as `/_sim` knows them."""
    names: list[str] = talk.get(f"/_sim/state?id={list_id}").json["items"][0]["members"]
    return names


def lead_ids(talk: Talk, list_id: str = LIST_ID) -> dict[str, str]:
    """Address → lead id, read over the API."""
    rows = talk.post(f"{LEADS}/list", {"list_id": list_id, "limit": 100}).json["items"]
    return {row["email"]: row["id"] for row in rows}


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
