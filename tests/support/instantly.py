"""One Instantly workspace behind real HTTP, and the connector that reads and patches its members."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from pydantic import SecretStr

from models.lead_list import Field, Value
from models.observation import Shown
from models.patch import Patch
from models.person import Person
from worker.limits.base import Lane
from worker.remotes.base import Answer, Request, Send
from worker.remotes.http import HttpWire
from worker.remotes.instantly.connector import InstantlyConnector
from worker.remotes.line import Line
from worker.remotes.memory import NoLimit
from worker.simulators.running import SIM_TOKEN, RunningSimulator

T = TypeVar("T")

#: What happens when an answer has come: it may be looked at, or be another one.
Meddle = Callable[[Request, Answer], Answer | None]

LEADS = "/api/v2/leads"
A, B, C = (f"{name}@example.com" for name in ("ada", "blaise", "carl"))
#: Ids of rows without an e-mail address, before and behind all others.
FIRST_ROW, LAST_ROW = "00000000-0000-7000-8000-000000000001", "ffffffff-0000-7000-8000-000000000001"


class Workspace:
    """What tests do with a workspace."""

    def __init__(self, sim: RunningSimulator, *, timeout_s: float = 5.0) -> None:
        """As on its first day, without a rate limit."""
        sim.sim_post("reset", {})
        sim.switch(limits=[], job_s=0)
        self.sim = sim
        self.connector = InstantlyConnector("here")
        self._timeout_s = timeout_s

    def __call__(self, work: Callable[[Send], Awaitable[T]], meddle: Meddle | None = None) -> T:
        """Do some work over one line."""

        async def run() -> T:
            wire = HttpWire(self.sim.base_url, SecretStr(SIM_TOKEN), timeout_s=self._timeout_s, max_in_flight=1)
            try:
                with Line(wire, NoLimit(), Lane.LIVE, self.connector.error) as line:
                    return await work(meddled(line, meddle) if meddle else line)
            finally:
                await wire.close()

        return asyncio.run(run())

    def seed(self, *members: str) -> str:
        """A list; its id."""
        [list_id] = self.sim.seed([{"name": "One", "members": members}])
        return list_id

    def there(self, list_id: str) -> set[str]:
        """Who is in it, as a person sees it."""
        return set(self.sim.lead_list(list_id)["members"])

    def members(self, list_id: str, meddle: Meddle | None = None) -> Shown:
        """Read them all."""
        return self(lambda send: self.connector.members(send, list_id), meddle)

    def who(self, list_id: str, meddle: Meddle | None = None) -> set[str]:
        """Their ids, read."""
        members = self.members(list_id, meddle).members
        assert members is not None
        return set(members)

    def count(self, list_id: str, meddle: Meddle | None = None) -> int:
        """Count them."""
        return self(lambda send: self.connector.count_members(send, list_id), meddle)

    def patch(
        self,
        list_id: str,
        meddle: Meddle | None = None,
        *,
        add: Collection[str] = (),
        remove: Collection[str] = (),
        fields: Mapping[Field, Value] | None = None,
        people: Mapping[str, Person] | None = None,
    ) -> Shown:
        """Tell the list what differs."""
        patch = Patch(fields or {}, frozenset(add), frozenset(remove), people or {})
        shown = self(lambda send: self.connector.patch(send, list_id, None, patch), meddle)
        assert shown is not None
        return shown

    def doubts(
        self, list_id: str, meddle: Meddle | None = None, *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> bool:
        """Tell it, and whether nobody can say what came of it."""
        patch = Patch({}, frozenset(add), frozenset(remove))
        return self(lambda send: self.connector.patch(send, list_id, None, patch), meddle) is None

    def ask(self, method: str, path: str, body: Any) -> Any:
        """Whatever else the API can do."""
        return orjson.loads(self(lambda send: send(Request(method=method, path=path, body=body))).body)

    def double(self, list_id: str, *emails: str) -> None:
        """One more row of each, as a copy of leads from another list makes them."""
        other = self.seed(*emails)
        self.ask("POST", f"{LEADS}/move", {"list_id": other, "to_list_id": list_id, "copy_leads": True})

    def calls(self) -> list[tuple[str, str]]:
        """Method and last word of the path of each call."""
        return [(call["method"], call["path"].rpartition("/")[2]) for call in self.sim.calls()]

    def bodies(self, method: str, path: str) -> list[Any]:
        """What such calls said."""
        return [call["body"] for call in self.sim.calls() if (call["method"], call["path"]) == (method, path)]


def meddled(send: Send, meddle: Meddle) -> Send:
    """`send`, with somebody behind it."""

    async def behind(request: Request) -> Answer:
        answer = await send(request)
        return meddle(request, answer) or answer

    return behind


def saying(path: str, **other: Any) -> Meddle:
    """The answers of that path say other things as well, or instead; what they are to say as `...`, they do not say."""

    def meddle(request: Request, answer: Answer) -> Answer | None:
        if not request.path.endswith(path):
            return None
        said = {**orjson.loads(answer.body), **other}
        return replace(answer, body=orjson.dumps({word: value for word, value in said.items() if value is not ...}))

    return meddle


def once(path: str, work: Callable[[], object]) -> Meddle:
    """Somebody does something as soon as that path has been answered."""
    left = [work]

    def meddle(request: Request, _: Answer) -> None:
        if request.path.endswith(path) and left:
            left.pop()()

    return meddle


def emails(count: int) -> list[str]:
    """So many addresses."""
    return [f"fake{number:05}@example.com" for number in range(count)]
