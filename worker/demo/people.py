"""The people: make the lists, then edit them on all three sides and announce each edit. Used by `play.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from worker.demo.measuring import Lags
from worker.demo.post import Arrived, Event, Post
from worker.demo.scenario import HOLDERS, OWNERS, REMOTES, Scenario
from worker.simulators.lists import seed_lists
from worker.simulators.running import RunningSimulator

#: Somebody who cannot stop renaming: this many events about one list, which need one PATCH for each other copy.
BURST: Final = 10

_WORDS = ("spring", "summer", "autumn", "winter", "pilot", "priority", "nurture", "webinar", "trade fair", "reserve")


@dataclass(frozen=True, slots=True)
class Made:
    """The lists as they were made: the id of each on each remote, in the same order."""

    ids: Mapping[str, Sequence[str]]
    #: PATCHes that are needed to make them equal in the first place.
    needed: int


class People:
    """Everybody who edits. Counts what a worker without a memory would have to send."""

    def __init__(self, scenario: Scenario, simulators: Mapping[str, RunningSimulator], post: Post, lags: Lags) -> None:
        self._simulators, self._post, self._lags = simulators, post, lags
        self._chance = Random(f"{scenario.seed}/people")
        self._number = 0
        made = make_lists(seed_lists(scenario.lists, self._chance), simulators)
        #: Remote → ids there, in the order of the lists.
        self.ids = made.ids
        #: Calls, if each change were one PATCH to each other copy that has the field.
        self.needed = made.needed
        #: Lists that were renamed, newest last, and the name that was given.
        self.renamed: dict[int, str] = {}

    def link_all(self) -> None:
        """One event for each list: its state in the CRM, and which lists on the other remotes are its copies."""
        rows = {row["id"]: row for row in self._simulators["crm"].state()}
        events: list[tuple[Event, Arrived]] = []
        for n, row in enumerate(rows[list_id] for list_id in self.ids["crm"]):
            fields = {word: row[word] for word in ("name", "owner", "enrichment", "kind", "members")}
            links = {remote: self.ids[remote][n] for remote in REMOTES if remote != "crm"}
            event = _event("crm", row["id"], f"link-{n}", row["updated_at"], {"fields": fields, "links": links})
            events.append(({**event, "sequence": str(row["version"])}, lambda _at: None))
        self._post.bring_all(events)

    def edit(self) -> None:
        """One person edits one list somewhere."""
        edits = (
            (30, self._rename_in_crm),
            (14, self._hand_over),
            (8, self._enrich),
            (14, lambda n: self._change_members("crm", n)),
            (8, self._burst),
            (10, self._rename_in_lance),
            (8, lambda n: self._change_members("lance", n)),
            (8, self._edit_in_instantly),
        )
        [one] = self._chance.choices([edit for _, edit in edits], [weight for weight, _ in edits])
        one(self._chance.randrange(len(self.ids["crm"])))

    def _rename_in_crm(self, n: int) -> None:
        name = self._new_name()
        if self._chance.random() < 0.2:
            name = f" {name.replace(' ', '  ')} "  # typed in a hurry; Lance trims it
        self._edit("crm", n, name=name)

    def _burst(self, n: int) -> None:
        """Ten new names in a row; now and then the last two events change places on their way."""
        events = [self._edited("crm", n, {"name": self._new_name()}) for _ in range(BURST)]
        if self._chance.random() < 0.3:
            events[-2:] = reversed(events[-2:])
        self._post.bring_all(events)

    def _hand_over(self, n: int) -> None:
        now = self._held("crm", n)["owner"]
        self._edit("crm", n, owner=self._chance.choice([owner for owner in OWNERS if owner != now]))

    def _enrich(self, n: int) -> None:
        self._edit("crm", n, enrichment=not self._held("crm", n)["enrichment"])

    def _change_members(self, remote: str, n: int) -> None:
        members = self._held(remote, n)["members"]
        self._number += 1
        leaves = [self._chance.choice(members)] if members and self._chance.random() < 0.4 else []
        self._edit(remote, n, members_added=[f"newcomer.fake{self._number}@example.com"], members_removed=leaves)

    def _rename_in_lance(self, n: int) -> None:
        self._edit("lance", n, name=self._new_name())

    def _edit_in_instantly(self, n: int) -> None:
        held = self._held("instantly", n)
        match self._chance.randrange(4):
            case 0:
                self._edit("instantly", n, enrichment=not held["enrichment"])
            case 1:
                others = [user for user in OWNERS.values() if user != held["owner"]]
                self._edit("instantly", n, owner=self._chance.choice(others))
            case _:
                self._edit("instantly", n, name=self._new_name())

    def _edit(self, remote: str, n: int, **edit: Any) -> None:
        self._post.bring(*self._edited(remote, n, edit))

    def _edited(self, remote: str, n: int, edit: dict[str, Any]) -> tuple[Event, Arrived]:
        """Edit in the simulator. The event that tells of it, and what is to be noted when it is in the stream."""
        row = self._simulators[remote].edit(self.ids[remote][n], **edit)
        if "name" in edit:
            self.renamed.pop(n, None)
            self.renamed[n] = edit["name"]
        changes = changes_of(edit, remote)
        others = [(other, field) for field, _ in changes for other in HOLDERS[field] if other != remote]
        self.needed += len({other for other, _ in others})

        def arrived(at: float) -> None:
            for field, value in changes:
                for other in HOLDERS[field]:
                    if other != remote:
                        self._lags.expect(other, self.ids[other][n], field, value, at)

        return _told(remote, row, edit), arrived

    def _held(self, remote: str, n: int) -> dict[str, Any]:
        return self._simulators[remote].lead_list(self.ids[remote][n])

    def _new_name(self) -> str:
        self._number += 1
        return f"{self._chance.choice(_WORDS).capitalize()} {self._chance.choice(_WORDS)} {self._number}"


def make_lists(rows: list[dict[str, Any]], simulators: Mapping[str, RunningSimulator]) -> Made:
    """The same lists on all three remotes, but for a few that differ before they are linked."""
    ids = {"crm": simulators["crm"].seed(rows)}
    there: dict[str, list[dict[str, Any]]] = {"instantly": [], "lance": []}
    needed = 0
    for n, row in enumerate(rows):
        instantly = {word: row[word] for word in ("name", "kind", "owner", "enrichment")}
        lance = {word: row[word] for word in ("name", "kind", "members")}
        if n % 4 == 1:
            lance["name"] = f"{row['name']} (old)"
        if n % 5 == 2:
            instantly["enrichment"] = None
        if n % 6 == 3:  # somebody whom the CRM does not know
            lance["members"] = [*lance["members"], f"stranger.fake{n}@example.com"]
        needed += (n % 4 == 1) + (n % 5 == 2) + (n % 6 == 3)
        there["instantly"].append(instantly)
        there["lance"].append(lance)
    for remote, theirs in there.items():
        ids[remote] = simulators[remote].seed(theirs)
    return Made(ids, needed)


def changes_of(edit: Mapping[str, Any], remote: str) -> list[tuple[str, Any]]:
    """Canonical fields and values of an edit; a member is ("+", id) or ("-", id)."""
    changes: list[tuple[str, Any]] = [(word, edit[word]) for word in ("name", "enrichment") if word in edit]
    if "owner" in edit:
        changes.append(("owner", edit["owner"] if remote == "crm" else _OURS[edit["owner"]]))
    changes += [("members", ("+", member)) for member in edit.get("members_added", ())]
    return changes + [("members", ("-", member)) for member in edit.get("members_removed", ())]


_OURS = {theirs: ours for ours, theirs in OWNERS.items()}


def _told(remote: str, row: Mapping[str, Any], edit: Mapping[str, Any]) -> Event:
    """The event. The CRM numbers its changes; Lance has times only; Instantly can just say "look"."""
    event = _event(remote, row["id"], f"{row['id']}-{row['version']}", row["updated_at"], None)
    if remote == "instantly":
        return event
    fields = {word: value for word, value in edit.items() if not word.startswith("members_")}
    lists = {word: value for word, value in edit.items() if word.startswith("members_")}
    event["data"] = {**({"fields": fields} if fields else {}), **lists}
    return event | ({"sequence": str(row["version"])} if remote == "crm" else {})


def _event(source: str, subject: str, id: str, time: str, data: Mapping[str, Any] | None) -> Event:
    event: Event = {"specversion": "1.0", "id": id, "source": source, "type": "leadlist.changed", "subject": subject}
    return {**event, "time": time, **({} if data is None else {"data": data})}
