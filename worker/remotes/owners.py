"""Owners: canonical ones are the CRM's users; other remotes have users of their own. Used by the mappings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from models.lead_list import Value
from worker.engine.rules import NoMapping
from worker.errors import Refused


class Owners(Protocol):
    """One remote's way of naming owners."""

    def parse(self, user: str | None) -> str | None:
        """The canonical owner of a user that the remote shows."""
        ...

    def render(self, owner: Value) -> str | None:
        """The remote's user for a canonical owner. Raises `NoMapping`."""
        ...


class PlainOwners:
    """The CRM's own: every user is canonical, except those that another remote could not translate."""

    def __init__(self, others: Collection[str] = ()) -> None:
        """`others` are the names of all other remotes."""
        self._others = frozenset(others)

    def parse(self, user: str | None) -> str | None:
        """As shown."""
        return user or None

    def render(self, owner: Value) -> str | None:
        """As wanted."""
        remote, _ = _parts(owner)
        if remote in self._others:
            raise NoMapping(f"a user of {remote}, who is not in remotes.{remote}.owners")
        return _text(owner)


class MappedOwners:
    """By the `owners` of a remote's settings. A user whom they do not name is shown as "<remote>:<user>"."""

    def __init__(self, remote: str, users: Mapping[str, str]) -> None:
        """`users`: CRM user to this remote's user, one to one."""
        self._remote = remote
        self._users = dict(users)
        self._owners = {user: owner for owner, user in users.items()}

    def parse(self, user: str | None) -> str | None:
        """Mapped back, or marked as this remote's own."""
        return self._owners.get(user, f"{self._remote}:{user}") if user else None

    def render(self, owner: Value) -> str | None:
        """Mapped, or a user of this remote's own."""
        text = _text(owner)
        if text is None or text in self._users:
            return None if text is None else self._users[text]
        remote, user = _parts(text)
        if remote == self._remote:
            return user
        raise NoMapping(f"not in remotes.{self._remote}.owners")


def to_send(owners: Owners, owner: Value) -> str | None:
    """The remote's user for a patch. Raises `Refused` where `render` raises `NoMapping`."""
    try:
        return owners.render(owner)
    except NoMapping as error:
        raise Refused(f"not sent: the owner is {error}") from None


def _parts(owner: Value) -> tuple[str, str]:
    """Remote and user of a marked owner; no remote for a plain one."""
    remote, _, user = (_text(owner) or "").partition(":")
    return (remote, user) if user else ("", "")


def _text(owner: Value) -> str | None:
    if isinstance(owner, bool):
        raise NoMapping("neither text nor nothing")
    return owner
