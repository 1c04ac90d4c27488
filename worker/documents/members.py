"""The documents of `leadsync members list`, `show` and `import`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from models.person import EMAIL, is_named
from worker.documents.lists import PageDocument, as_page
from worker.errors import NotKnown, NotPossible, UsageError
from worker.ports import RemoteKey
from worker.store.member_views import ListedMember, OnList
from worker.store.views import View, Views
from worker.sync.operate import not_known
from worker.sync.teach import Refused, Taught


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDocument:
    """All that is known of one member. Its addresses and names are personal data: shown here, and never logged."""

    key: str
    #: The key is the CRM's id; else it stands for one that the CRM has not named yet.
    named: bool
    #: What each remote knows it by, the id that is used at the end.
    ids: dict[str, list[str]]
    #: The one that is used at the end.
    emails: list[str]
    first_name: str | None
    last_name: str | None
    company_name: str | None
    lists: list[OnList]
    #: It is on more lists than these.
    more_lists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDocument:
    """What a file came to."""

    #: Nothing was taken in: the file was only checked.
    dry_run: bool
    rows: int
    #: Members that have an id or an address that was not known before.
    members: int
    #: Lead lists that move on by it; null where nothing was taken in.
    lists: int | None
    #: Rows that were not taken in, or not all of them.
    refused: int
    #: The first of those.
    first: list[Refused]


async def members(
    views: Views, key: RemoteKey, *, excluded: bool, on: str | None, limit: int, after: str | None
) -> PageDocument[ListedMember]:
    """Who is on a list; with `excluded`, who cannot be told of somewhere; with `on`, there."""
    if after is not None and ("\0" in after or any("\ud800" <= letter <= "\udfff" for letter in after)):
        raise UsageError(f"--after: expected the cursor that the page before ended with, got {after!r}")

    def ask(view: View) -> list[ListedMember]:
        tied = view.people.find(key)
        if tied is None:
            raise not_known(key)
        if on is not None and on not in tied.remotes:
            raise NotPossible(f"this list has no copy on {on}; it has copies on {', '.join(tied.remotes)}")
        question = view.people.excluded_of if excluded else view.people.of
        return question(tied, limit, after or "", on)

    found = await asyncio.to_thread(views.look, ask)
    return as_page(found, limit, lambda one: one, lambda one: one.key)


async def member(views: Views, key: str, *, limit: int) -> MemberDocument:
    """Who a member is, and the first `limit` lists that it is on. Raises `NotKnown`."""

    def ask(view: View) -> MemberDocument:
        ids, details, lists = view.people.ids(key), view.people.details(key), view.people.lists(key, limit)
        emails = ids.pop(EMAIL, [])
        if not (ids or emails or lists):
            raise NotKnown(f"leadsync knows no member {key}; a key is the CRM's id, as leadsync members list shows it")
        return MemberDocument(
            key=key,
            named=is_named(key),
            ids=ids,
            emails=emails,
            first_name=details.first_name,
            last_name=details.last_name,
            company_name=details.company_name,
            lists=lists[:limit],
            more_lists=len(lists) > limit,
        )

    return await asyncio.to_thread(views.look, ask)


def imported(taught: Taught, *, dry_run: bool) -> ImportDocument:
    """What to tell of it."""
    return ImportDocument(
        dry_run=dry_run,
        rows=taught.rows,
        members=taught.members,
        lists=None if dry_run else len(taught.lists),
        refused=taught.refused,
        first=taught.first,
    )
