"""Who a member is: its key, and what each remote knows it by. Frozen values that connectors, engine and store share.

A member's *key* is the CRM's id of it; it is what lists, plans and the ledger speak of. What a remote calls it is its
*id* there. A member that the CRM has not named yet has a key that is made of the first id that was seen of it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Stands in place of a remote for ids that are e-mail addresses: they are the same everywhere.
EMAIL = "@"

#: Characters of an id, a key, an address or a name that can be kept.
LONGEST = 512

#: What the keys of members begin with that the CRM has not named.
UNNAMED = "~"


class Naming(enum.StrEnum):
    """By what a remote knows members."""

    KEY = "key"  #: by the keys themselves: the CRM, and whoever shares its ids
    ID = "id"  #: by ids of its own
    EMAIL = "email"  #: by e-mail address; one that has none, by an id of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What one system says of one member, be it a person or a company. What it does not say is None."""

    #: By which that system knows it.
    id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None
    #: By which other remotes know it.
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def says_more(self) -> bool:
        """It says more than the id."""
        return bool(self.email or self.ids or self.first_name or self.last_name or self.company_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a member is called, for remotes that make a row of each."""

    first_name: str | None = None
    last_name: str | None = None
    company_name: str | None = None


def filled(first: Details, second: Details) -> Details:
    """The first, and what it leaves out from the second."""
    return Details(
        first_name=first.first_name or second.first_name,
        last_name=first.last_name or second.last_name,
        company_name=first.company_name or second.company_name,
    )


def address(email: str) -> str:
    """An e-mail address as it is compared: no mail server is known to tell cases apart."""
    return email.strip().lower()


def unnamed(remote: str, id: str) -> str:
    """The key of a member that was first seen on `remote` and that the CRM has not named."""
    return f"{UNNAMED}{remote}:{id}"


def is_named(key: str) -> bool:
    """Whether it is a key that the CRM gave."""
    return not key.startswith(UNNAMED)
