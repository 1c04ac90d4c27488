"""Leads of an Instantly workspace: rows of one list each, and the calls about one. Part of `instantly.py`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from worker.simulators.instantly_shapes import (
    LEAD_OF_MANY,
    LEAD_TEXTS,
    LEADS_PAGE,
    MERGE_LEADS,
    NOT_SIMULATED,
    PATCH_LEAD,
    POST_LEAD,
    RATE_LEAD,
    SKIPS,
    WORKSPACE,
)
from worker.simulators.lists import Members, SimList, merged
from worker.simulators.wire import Answer, Ask, Json, Refusal, Route, found, is_uuid, iso, new_id

if TYPE_CHECKING:
    from worker.simulators.instantly import InstantlySimulator


@dataclass(slots=True, kw_only=True)
class Lead:
    """One lead row."""

    id: str
    email: str | None
    list_id: str | None
    campaign: str | None
    created: float
    updated: float
    #: What the caller set, in Instantly's words.
    fields: dict[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Json]:
        """The row as the API shows it; what only e-mails move stays at nought."""
        rated = self.fields.get("lt_interest_status")
        return {
            "id": self.id,
            "timestamp_created": iso(self.created),
            "timestamp_updated": iso(self.updated),
            "organization": WORKSPACE,
            "campaign": self.campaign,
            "list_id": self.list_id,
            "status": 1,
            "email": self.email,
            **{word: self.fields.get(word) for word in LEAD_TEXTS},
            "assigned_to": self.fields.get("assigned_to"),
            **({} if rated is None else {"lt_interest_status": rated}),
            "payload": {"email": self.email, **self.fields.get("custom_variables", {})},
            "email_open_count": 0,
            "email_reply_count": 0,
            "email_click_count": 0,
            "company_domain": (self.email or "").partition("@")[2],
            "status_summary": {},
            "upload_method": "api",
        }


class Leads:
    """All lead rows, and the calls that read and change one of them."""

    def __init__(self, workspace: InstantlySimulator) -> None:
        self._workspace = workspace
        self.reset()

    def reset(self) -> None:
        """No leads."""
        self.rows: dict[str, Lead] = {}

    def routes(self, leads: str) -> tuple[Route, ...]:
        """The calls about one lead, and the page of many."""
        return (
            Route("POST", leads, self._post, writes=True),
            Route("POST", leads + "/list", self._page),
            Route("POST", leads + "/merge", self._merge, writes=True),
            Route("POST", leads + "/update-interest-status", self._rate, writes=True),
            Route("GET", leads + "/{id}", self._get),
            Route("PATCH", leads + "/{id}", self._patch, writes=True),
            Route("DELETE", leads + "/{id}", self._delete, writes=True),
        )

    # Rows and their lists.

    def names(self, held: SimList) -> list[str]:
        """The members of a list as `/_sim` knows them: by address, or by id where there is none."""
        rows = (self.rows.get(lead_id) for lead_id in held.members)
        return [row.email or row.id for row in rows if row]

    def edited(self, held: SimList, added: Collection[str], removed: Collection[str], now: float) -> Members:
        """Rows made for *added* and deleted for *removed*, both by the names of `names`."""
        by_name = {self.rows[lead_id].email or lead_id: lead_id for lead_id in held.members}
        gone = [by_name[name] for name in removed if name in by_name and name not in added]
        new = [self.made(_called(name), held.id, None, now).id for name in dict.fromkeys(added) if name not in by_name]
        for lead_id in gone:
            del self.rows[lead_id]
        return merged(held.members, new, gone)

    def list_deleted(self, held: SimList) -> None:
        """What becomes of the leads of a deleted list is not documented: a switch."""
        for lead_id in held.members:
            if self._workspace.switches.keep_leads:
                self.rows[lead_id].list_id = None
            else:
                del self.rows[lead_id]

    def made(self, values: dict[str, Any], list_id: str | None, campaign: str | None, now: float) -> Lead:
        """A new row; the caller puts it into its list by `regroup`."""
        fields = {word: value for word, value in values.items() if word not in ("id", "email")}
        lead_id = values.get("id") or new_id(now, self._workspace.chance)
        email = values.get("email")
        lead = Lead(
            id=lead_id,
            email=email,
            list_id=list_id,
            campaign=campaign,
            created=now,
            updated=now,
            fields=fields,
        )
        self.rows[lead_id] = lead
        return lead

    def regroup(self, list_id: str | None, added: Sequence[str], removed: Sequence[str], now: float) -> None:
        """The list gains and loses rows."""
        held = self._workspace.lists.get(list_id or "")
        if held:
            self._workspace.change(held, {"members": merged(held.members, added, removed)}, now)

    def remove(self, leads: Iterable[Lead], now: float) -> None:
        """Delete rows, and take them out of their lists."""
        gone: dict[str | None, list[str]] = {}
        for lead in leads:
            del self.rows[lead.id]
            gone.setdefault(lead.list_id, []).append(lead.id)
        for list_id, ids in gone.items():
            self.regroup(list_id, [], ids, now)

    def set(self, lead: Lead, now: float, **values: Any) -> None:
        """Set fields of a row; what is equal already changes nothing."""
        if any(lead.fields.get(word) != value for word, value in values.items()):
            lead.fields = {**lead.fields, **values}
            lead.updated = now
            self._workspace.changes += 1

    def inside(self, list_id: str | None, campaign: str | None = None) -> list[Lead]:
        """The rows of that list, or else of that campaign."""
        if list_id:
            held = found(self._workspace.lists.get(list_id))
            return [row for lead_id in held.members if (row := self.rows.get(lead_id))]
        return [row for row in self.rows.values() if row.campaign == campaign]

    def begin_write(self, ask: Ask, list_id: str | None) -> None:
        """Count a write whose list is named in the body, not in the path."""
        if list_id:
            self._workspace.traffic.begin_write(ask.call, list_id)

    def barred(self, skips: Collection[str]) -> dict[str, Lead]:
        """Rows that keep new ones out, by address, as the skip flags in *skips* ask for.

        `skip_if_in_list` means any list, not the target: leads that live elsewhere stay out without a word.
        """
        if not skips:
            return {}
        return {
            row.email.casefold(): row
            for row in self.rows.values()
            if row.email
            and (
                "skip_if_in_workspace" in skips
                or ("skip_if_in_list" in skips and row.list_id)
                or ("skip_if_in_campaign" in skips and row.campaign)
            )
        }

    def selected(self, body: dict[str, Any], asked: Json, now: float) -> list[Lead]:
        """The rows that the filters of *body* leave, by id."""
        for word in NOT_SIMULATED:
            if word in asked:
                raise Refusal(400, f"body/{word} is not simulated")
        rows: Iterable[Lead] = self._as_read(body["list_id"], now) if "list_id" in body else self.rows.values()
        ids, without = set(body.get("ids", ())), set(body.get("excluded_ids", ()))
        contacts = {email.casefold() for email in body.get("contacts", ())}
        search = body.get("search", "").casefold()
        kept = (
            row
            for row in rows
            if ("campaign" not in body or row.campaign == body["campaign"])
            and (row.list_id or not body.get("in_list"))
            and (row.campaign or not body.get("in_campaign"))
            and ("ids" not in body or row.id in ids)
            and row.id not in without
            and ("contacts" not in body or (row.email or "").casefold() in contacts)
            and search in _searched(row)
        )
        return sorted(kept, key=lambda row: row.id)

    def _as_read(self, list_id: str, now: float) -> list[Lead]:
        held = self._workspace.seen(list_id, now)
        # An unknown list is an empty list to a filter: not to be taken for an emptied one.
        return [row for lead_id in held.members if (row := self.rows.get(lead_id))] if held else []

    # Calls.

    def _page(self, ask: Ask) -> Answer:
        asked = ask.json()
        body = self._workspace.body(ask, LEADS_PAGE)
        rows = self.selected(body, asked, ask.now)
        if users := body.get("organization_user_ids"):
            rows = [row for row in rows if row.fields.get("assigned_to") in users]
        cursor = "id"
        if body.get("distinct_contacts"):
            cursor = "email"
            rows = [row for _, row in sorted({row.email: row for row in rows if row.email}.items())]
        if after := body.get("starting_after"):
            rows = [row for row in rows if getattr(row, cursor) > after]
        limit = body.get("limit", self._workspace.switches.default_page)
        return 200, self._workspace.page([row.shown() for row in rows[: limit + 1]], limit, cursor)

    def _get(self, ask: Ask) -> Answer:
        return 200, found(self.rows.get(ask.id)).shown()

    def _post(self, ask: Ask) -> Answer:
        body = self._workspace.body(ask, POST_LEAD)
        list_id, campaign = body.get("list_id"), body.get("campaign")
        self.begin_write(ask, list_id)
        if bool(list_id) == bool(campaign):
            raise Refusal(400, "body must have one of list_id, campaign")
        there = {row.email.casefold(): row for row in self.inside(list_id, campaign) if row.email}
        if not any(body.get(word) for word in (("email",) if campaign else ("email", "first_name", "last_name"))):
            raise Refusal(400, "body must have required property 'email'")
        barred = self.barred([word for word in SKIPS if body.get(word)]) | there
        # What a repeat is answered is not documented; the row that is there already is the mildest guess.
        if known := barred.get((body.get("email") or "").casefold()):
            return 200, known.shown()
        values = {word: value for word, value in body.items() if word in LEAD_OF_MANY.properties}
        lead = self.made(values, list_id, campaign, ask.now)
        self.regroup(list_id, [lead.id], [], ask.now)
        return 200, lead.shown()

    def _patch(self, ask: Ask) -> Answer:
        lead = found(self.rows.get(ask.id))
        self.begin_write(ask, lead.list_id)
        self.set(lead, ask.now, **self._workspace.body(ask, PATCH_LEAD))
        return 200, lead.shown()

    def _delete(self, ask: Ask) -> Answer:
        self._workspace.no_empty_json(ask)
        lead = found(self.rows.get(ask.id))
        self.begin_write(ask, lead.list_id)
        self.remove([lead], ask.now)
        return 200, lead.shown()

    def _merge(self, ask: Ask) -> Answer:
        body = self._workspace.body(ask, MERGE_LEADS)
        source, target = (found(self.rows.get(body[word])) for word in ("lead_id", "destination_lead_id"))
        self.begin_write(ask, source.list_id)
        if source is not target:
            self.set(target, ask.now, **{**source.fields, **target.fields})
            self.remove([source], ask.now)
        return 200, target.shown()

    def _rate(self, ask: Ask) -> Answer:
        try:
            body = self._workspace.body(ask, RATE_LEAD)
        except Refusal as refusal:
            return 400, {"error": refusal.message}  # this path has an error body of its own
        rows = [row for row in self.rows.values() if row.email == body["lead_email"]]
        for row in rows or [found(None)]:
            self.set(row, ask.now, lt_interest_status=body["interest_value"])
        return 202, {"message": "Lead interest status update background job submitted"}


def _called(name: str) -> dict[str, Any]:
    """The values of a row that `/_sim` calls *name*."""
    return {"email": name} if "@" in name else {"id": name} if is_uuid(name) else {"first_name": name}


def _searched(row: Lead) -> str:
    """What `search` looks at."""
    words = (row.fields.get("first_name"), row.fields.get("last_name"), row.email)
    return " ".join(word for word in words if word).casefold()
