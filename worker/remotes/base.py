"""What a connector is: the port through which push and scan speak with a remote. A new kind is a new folder.

A connector holds no connection. It builds requests, hands them to the `send` it is given and reads the
answers, so the same code runs over real HTTP and inside a simulation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote

from models.lead_list import Field, Kind, Value
from models.observation import Shown
from models.patch import Patch
from models.person import Naming
from worker.errors import LeadsyncError, Refused, Transient


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request, relative to the remote's base URL."""

    method: str
    path: str
    query: Mapping[str, str | int] = field(default_factory=dict)
    #: Sent as JSON; None sends no body.
    body: Any = None
    #: True for a POST that changes nothing, such as Instantly's /leads/list.
    only_reads: bool = False
    #: So many more follow at once: their places in the rate budget are taken before this one is sent.
    follows: int = 0
    #: Sent within so many seconds after the request before it was, or else `Late` is raised and nothing is sent.
    within_s: float | None = None

    @property
    def writes(self) -> bool:
        """Whether a repeat could do harm."""
        return self.method != "GET" and not self.only_reads


class Late(Transient):
    """Not sent: what was read before it is too old by now (`Request.within_s`). Read again."""


def segment(remote_id: str) -> str:
    """An id as one part of a path. Raises `Refused` for one that would lead to another path."""
    if remote_id in ("", ".", ".."):
        raise Refused(f"{remote_id!r} cannot be an id of a lead list; unlink it and link the right one")
    return quote(remote_id, safe="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer. Names of headers are lower-case; where the remote sent no `date`, the wire adds it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Wire(Protocol):
    """Carries one request to one remote and its answer back, whatever the status.

    Raises `RemoteDown` when the request surely did not arrive, `Unclear` when it may have.
    """

    async def exchange(self, request: Request) -> Answer:
        """Send, wait, answer; ends within the remote's total deadline."""
        ...


#: What a connector calls. Takes a place in the budget, then answers with 2xx only or raises `LeadsyncError`.
Send = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What this kind of remote can do."""

    #: Fields it has at all.
    fields: frozenset[Field]
    #: Lists carry a version (`updated_at`): event payloads can be believed, stale reads can be told.
    versioned: bool
    #: Sends webhooks when lists change.
    pushes_events: bool
    #: By what it knows members, unless settings say otherwise.
    naming: Naming = Naming.KEY
    #: Members are not part of a list, and read by `Connector.members`.
    members_apart: bool = False
    #: Members are written as a whole array, so that what somebody else wrote meanwhile is overwritten.
    replaces_members: bool = False
    #: So many members may be added and removed by one patch; None for any number.
    members_at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a listing; `next` is None on the last page."""

    items: tuple[Shown, ...]
    next: str | None = None


def sendable(patch: Patch, fields: frozenset[Field]) -> Patch:
    """`patch`, when there is something to say and the remote has all of its fields. Raises `Refused`."""
    named = set(patch.fields) | ({Field.MEMBERS} if patch.add or patch.remove else set())
    if not named:
        raise Refused("not sent: there is nothing to change")
    if unknown := named - fields:
        raise Refused(f"not sent: this kind of remote has no {', '.join(sorted(unknown))}")
    return patch


class Connector(Protocol):
    """One configured remote. Its coroutines raise `LeadsyncError`s; nothing is read as empty by default."""

    name: str
    capabilities: Capabilities

    async def get(self, send: Send, remote_id: str) -> Shown:
        """Read one list. Raises `NotThere` on 404."""
        ...

    async def members(self, send: Send, remote_id: str) -> Shown:
        """The list with its whole membership, where that is apart. Raises `NotThere` on 404, and `Transient` when the
        rows that were read are fewer than the remote says there are.
        """
        ...

    async def count_members(self, send: Send, remote_id: str) -> int:
        """How many rows the membership has, by one call, where it is apart."""
        ...

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        """Tell one list what differs, and nothing else. None when the answer does not show the list.

        Where members take several calls and one fails after others were answered, it answers with what those did.
        """
        ...

    async def create(self, send: Send, kind: Kind | None, patch: Patch, at: datetime) -> Shown:
        """Make a list that shows the fields of `patch`; its members are told afterwards. Never repeats itself.

        `at` is now, for remotes that ask when a list begins. Raises `Refused` where the remote has no such lists.
        """
        ...

    async def page(self, send: Send, cursor: str | None) -> Page:
        """One page of all lists; `cursor` is None for the first, else the previous page's `next`."""
        ...

    async def check(self, send: Send) -> str:
        """Try the credentials with one harmless read. Answers with a sentence for `doctor`."""
        ...

    def spell(self, field: Field, value: Value) -> Value:
        """A canonical value as this remote would show it, in canonical form. Raises `NoMapping`."""
        ...

    def error(self, request: Request, answer: Answer) -> LeadsyncError:
        """The error that a non-2xx answer means, with the remote's own message cut to one safe sentence."""
        ...


class HoldsMembers:
    """Part of the connectors of remotes whose lists show their members along with everything else."""

    async def members(self: Connector, send: Send, remote_id: str) -> Shown:
        """The list: it holds its members."""
        return await self.get(send, remote_id)

    async def count_members(self: Connector, send: Send, remote_id: str) -> int:
        """Of a fresh read, since there is no smaller question."""
        return len((await self.get(send, remote_id)).members or ())
