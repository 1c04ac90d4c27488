"""What must have become of members that are apart from their lists, in every history. A part of `judges.py`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from models.lead_list import Field, LeadList
from worker.simulation.history import History
from worker.simulation.leads import RemoteWithLeads, address_of
from worker.simulation.remote import SimulatedRemote, Written, parts
from worker.simulation.witness import wanted_of
from worker.sync.identity import key_of_stranger


def members_are_there_once(one: History) -> Iterator[str]:
    """No write of ours made a second row of somebody for whom one of ours was there already."""
    for remote in leads_of(one):
        for remote_id, key in remote.doubled:
            yield f"{remote.name}:{remote.born[remote_id]}: {key} was made there twice"


def who_is_kept_off_is_let_be(one: History) -> Iterator[str]:
    """A member that a remote does not take is told once each time that it comes to the list or somebody says who it
    is, and once more after each call of which nobody knows what came of it.
    """
    tables, again = one.store.tables, one.killed + one.workers.counts["addresses told"]
    changes = [(number, change) for number, change in tables.changes if change.field is Field.MEMBERS]
    came = Counter((number, key) for number, change in changes for key in change.new or ())
    unclear = Counter((each.remote, each.list_id) for each in tables.attempts if each.outcome != "done")
    for remote in leads_of(one):
        told = Counter(
            (tables.links.get((remote.name, written.remote_id)), key)
            for written in remote.writes
            for key in written.body.get("members_added", ())
            if not remote.takes(key)
        )
        for (number, key), times in told.items():
            if number is not None and times > came[number, key] + unclear[remote.name, number] + again:
                yield f"{remote.name} was told {times} times of {key}, whom it does not take, on list {number}"


def excludes(one: History, whole: LeadList, remote: SimulatedRemote) -> bool:
    """Members are wanted that it cannot be told of."""
    if not (remote.habits.has_members and one.rules.remotes[remote.name].direction(Field.MEMBERS).writes):
        return False
    return any(one.witness.cannot_be_told(remote.name, key) for key in wanted_of(whole))


def idle_members(written: Written) -> list[str]:
    """Whom a write names though nothing is to be done about them."""
    there, body = (written.before and written.before.members) or frozenset(), written.body
    return sorted(there.intersection(body.get("members_added", ())) | set(body.get("members_removed", ())) - there)


def names_kept_off(remote: SimulatedRemote, written: Written) -> bool:
    """It names somebody whom the remote does not take."""
    return not all(map(remote.takes, written.body.get("members_added", ())))


def is_told(remote: str, written: Written, sent: Sequence[tuple[str, set[tuple[str, object]]]]) -> bool:
    """Whether one attempt says all of it: by key, or by the one that stood for an address that nobody had told."""
    said = parts(written.body)
    return any(
        on == remote and all(part in attempt or _by_address(remote, *part) in attempt for part in said)
        for on, attempt in sent
    )


def _by_address(remote: str, word: str, value: object) -> tuple[str, object]:
    return word, key_of_stranger(remote, address_of(str(value)))


def leads_of(one: History) -> list[RemoteWithLeads]:
    """Remotes on which members are apart."""
    return [remote for remote in one.remotes.values() if isinstance(remote, RemoteWithLeads)]


JUDGES = (members_are_there_once, who_is_kept_off_is_let_be)
