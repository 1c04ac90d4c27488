"""Adds members to an Instantly list, up to 1,000 leads by one call. Used by Instantly's connector.

`/leads/add` never fails for one lead: it tells which were made, and of the others only how many for which reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from models.patch import Patch
from models.person import Person
from models.values import replace
from worker.errors import BadAnswer
from worker.remotes.base import Request, Send
from worker.remotes.instantly import leads
from worker.remotes.instantly.done import Done
from worker.remotes.instantly.paths import LEADS
from worker.remotes.reading import Item, document

NO_EMAIL: Final = "has no e-mail"

_PRESENT = "duplicated_leads"
_INVALID = "invalid_email_count"
#: All counters of leads that were not made, and what each says of them.
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        _PRESENT: "said to be there already",
        _INVALID: "invalid e-mail address",
        "in_blocklist": "on the blocklist",
        "skipped_count": "skipped by the workspace's settings",
        "incomplete_count": "incomplete",
        "duplicate_email_count": "said to be sent twice",
    }
)


@dataclass(frozen=True, slots=True)
class _Told:
    """The answer to one call."""

    #: By place in what was sent.
    made: Mapping[int, Person]
    #: How many were not made, by counter.
    others: Counter[str]


async def add(send: Send, list_id: str, patch: Patch, done: Done) -> None:
    """Add them all, or find each there already, or learn why not."""
    emails = sorted(filter(leads.is_email, patch.add))
    done.refused.update(dict.fromkeys(patch.add.difference(emails), NO_EMAIL))
    for batch in leads.batches(emails, leads.MOST):
        # No flag that skips: "in a list" would mean any list, and keep out who is in another one.
        body = {"list_id": list_id, "leads": [_lead(email, patch.people.get(email)) for email in batch]}
        told = _told(document(await send(Request(method="POST", path=f"{LEADS}/add", body=body))), batch)
        made = {batch[index] for index in told.made}
        done.added |= made
        done.people.extend(told.made.values())
        if left := set(batch) - made:
            await _explain(send, list_id, left, told.others, done)


async def _explain(send: Send, list_id: str, left: set[str], others: Counter[str], done: Done) -> None:
    """Who of those that were not made is there all the same, and why the rest is not."""
    odd = {email for email in left if not leads.is_plain(email)}
    if not others[_PRESENT] and len(odd) <= others[_INVALID]:
        # Surely these, and to look for them would take a call for each.
        done.refused.update(dict.fromkeys(odd, _REASONS[_INVALID]))
        others, left = others - Counter({_INVALID: len(odd)}), left - odd
    if others[_PRESENT] == len(left):
        done.added |= left
        return
    present = (await leads.find(send, list_id, left)).keys()
    done.added |= present
    others -= Counter({_PRESENT: len(present)})
    done.refused.update(dict.fromkeys(left - present, _words(others)))


def _words(others: Counter[str]) -> str:
    words = [_REASONS[counter] for counter in _REASONS if others[counter]]
    return words[0] if len(words) == 1 else f"one of: {', '.join(words)}"


def _lead(email: str, who: Person | None) -> dict[str, str]:
    names = {
        "first_name": who and who.first_name,
        "last_name": who and who.last_name,
        "company_name": who and who.company_name,
    }
    return {"email": email, **{word: name for word, name in names.items() if name}}


def _told(value: Any, sent: Sequence[str]) -> _Told:
    answer = Item(value, "an answer to a bulk add")
    others = Counter({counter: answer.count(counter) for counter in _REASONS})
    made: dict[int, Person] = {}
    for element in answer.elements("created_leads"):
        lead = Item(element, "a created lead")
        index, who = lead.count("index"), leads.person(lead)
        if index in made or index >= len(sent) or who.email not in (None, sent[index]):
            raise BadAnswer("expected created leads by their place in what was sent, got another")
        made[index] = replace(who, id=sent[index], email=sent[index])
    total, uploaded = answer.count("total_sent"), answer.count("leads_uploaded")
    if (total, uploaded) != (len(sent), len(made)) or uploaded + others.total() != total:
        raise BadAnswer("expected a bulk add whose counters account for each lead that was sent, got others")
    return _Told(made, others)
