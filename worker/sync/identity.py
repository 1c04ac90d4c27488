"""Identity: ids of a remote become keys when something is taken in, and keys become ids again when something is sent.

Called by intake, settle, scan and push. A key is the CRM's id, or stands for it until the CRM says one; who is who is
learned in `worker.sync.learning`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import structlog

from models.lead_list import Tally
from models.observation import MembersSeen, Observation
from models.patch import Patch
from models.person import EMAIL, LONGEST, Details, Naming, Person, is_named, unnamed
from models.values import replace
from worker.engine.rules import Rules
from worker.engine.tally import tally_of, together
from worker.ports import Tx

log = structlog.get_logger(__name__)

#: Ids whose keys are looked up at once, where only their tally is asked for.
_SOME = 10_000


def keys_of(tx: Tx, remote: str, ids: Collection[str], rules: Rules) -> dict[str, str]:
    """The keys of the members with these ids there; one that nobody knows gets a key of its own."""
    if rules.remotes[remote].naming is Naming.KEY or not ids:
        return {one: one for one in ids}
    keys = dict[str, str]()
    for system, some in _by_system(remote, ids, rules).items():
        found = tx.identities.keys(system, some)
        minted = {one: key_of_stranger(remote, one) for one in some if one not in found}
        keys |= found | (tx.identities.mint(system, minted) if minted else {})
    return keys


def in_keys(seen: Observation, keys: Mapping[str, str]) -> Observation:
    """The observation with keys in the place of ids."""
    if seen.members is None:
        return seen
    added = frozenset(keys[one] for one in seen.members.added)
    removed = frozenset(keys[one] for one in seen.members.removed) - added
    return replace(seen, members=MembersSeen(whole=seen.members.whole, added=added, removed=removed))


def in_part(tx: Tx, seen: Observation, keys: Mapping[str, str], rules: Rules) -> tuple[Observation, bool]:
    """The same; and whether it leaves a doubt: a member that has several ids there is gone when all of them are, and
    news of a part may name only one.
    """
    news = in_keys(seen, keys)
    if seen.members is None or news.members is None or not news.members.removed:
        return news, False
    if rules.remotes[seen.remote].naming is Naming.KEY:
        return news, False
    there, named = _ids_there(tx, seen.remote, news.members.removed, rules), seen.members.removed
    partly = {key for key in news.members.removed if not named.issuperset(there.get(key, ()))}
    left = replace(news.members, removed=news.members.removed - partly)
    return replace(news, members=left), bool(partly)


def ids_in(observations: Iterable[Observation]) -> set[str]:
    """All ids of members that these speak of."""
    shown = (one.members for one in observations if one.members is not None)
    return {name for members in shown for name in members.added | members.removed}


def tally_there(tx: Tx, remote: str, ids: Collection[str], rules: Rules) -> Tally | None:
    """Of a whole membership by ids, without keeping its keys; None when somebody in it is not known."""
    if rules.remotes[remote].naming is Naming.KEY:
        return tally_of(ids)
    total = Tally()
    for system, all_ids in _by_system(remote, ids, rules).items():
        for start in range(0, len(all_ids), _SOME):
            some = all_ids[start : start + _SOME]
            found = tx.identities.keys(system, some)
            if len(found) < len(some):
                return None
            total = together(total, tally_of(set(found.values())))
    return total


def lacking(tx: Tx, remote: str, keys: Collection[str], rules: Rules) -> dict[str, str]:
    """Those of these members that the remote cannot be told of, and why."""
    match rules.remotes[remote].naming:
        case Naming.KEY:
            return {key: f"no id on {remote} is known" for key in keys if not is_named(key)}
        case Naming.ID:
            known = tx.identities.ids(remote, keys)
            return {key: f"no id on {remote} is known" for key in keys if key not in known}
        case Naming.EMAIL:
            known = tx.identities.ids(EMAIL, keys)
            return {key: "no e-mail address of its own is known" for key in keys if key not in known}


def in_ids(tx: Tx, remote: str, patch: Patch, rules: Rules) -> Patch:
    """The patch with the remote's ids in the place of keys. A member goes with all its ids, and comes with one."""
    if not (patch.add or patch.remove) or rules.remotes[remote].naming is Naming.KEY:
        return patch
    there = _ids_there(tx, remote, patch.add | patch.remove, rules)
    add = {key: there[key][-1] for key in patch.add if key in there}
    remove = frozenset(one for key in patch.remove for one in there.get(key, ()))
    people = dict[str, Person]()
    if rules.remotes[remote].naming is Naming.EMAIL:
        details = tx.identities.details(patch.add)
        people = {one: _person(one, details.get(key, Details())) for key, one in add.items()}
    return replace(patch, add=frozenset(add.values()), remove=remove, people=people)


# -- below here: how


def key_of_stranger(remote: str, one: str) -> str:
    """Of somebody whom nobody knew. Keys stand in ledger and logs, where an address must not, and in narrow columns."""
    key = unnamed(remote, one)
    return unnamed(remote, hashlib.sha256(one.encode()).hexdigest()[:20]) if "@" in one or len(key) > LONGEST else key


def _by_system(remote: str, ids: Collection[str], rules: Rules) -> dict[str, list[str]]:
    """In order, because the database finds neighbours faster."""
    if rules.remotes[remote].naming is not Naming.EMAIL:
        return {remote: sorted(ids)}
    systems: dict[str, list[str]] = {}
    for one in sorted(ids):
        systems.setdefault(EMAIL if "@" in one else remote, []).append(one)
    return systems


def _ids_there(tx: Tx, remote: str, keys: Collection[str], rules: Rules) -> dict[str, tuple[str, ...]]:
    there = tx.identities.ids(remote, keys)
    if rules.remotes[remote].naming is Naming.EMAIL:
        emails = tx.identities.ids(EMAIL, keys)
        there = {key: (*there.get(key, ()), *emails.get(key, ())) for key in there.keys() | emails.keys()}
    return there


def _person(one: str, details: Details) -> Person:
    return Person(
        id=one,
        email=one,
        first_name=details.first_name,
        last_name=details.last_name,
        company_name=details.company_name,
    )
