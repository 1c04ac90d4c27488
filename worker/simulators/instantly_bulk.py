"""Bulk add, delete, move and assign of Instantly's leads. Part of `instantly.py`."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from worker.simulators.checks import checked, is_email
from worker.simulators.instantly_leads import Lead, Leads
from worker.simulators.instantly_shapes import (
    BULK_ADD,
    BULK_ASSIGN,
    BULK_DELETE,
    BULK_MOVE,
    LEAD_OF_MANY,
    SKIPS,
)
from worker.simulators.switches import EmptyIds, JobEnd
from worker.simulators.wire import Answer, Ask, Json, Refusal, Route, new_id

if TYPE_CHECKING:
    from worker.simulators.instantly import InstantlySimulator, Job

_REASONS = (
    "in_blocklist",
    "duplicated_leads",
    "skipped_count",
    "invalid_email_count",
    "incomplete_count",
    "duplicate_email_count",
)
_MOST_EMAILS_TOLD = 10_000


class Bulk:
    """The calls that change many leads at once."""

    def __init__(self, workspace: InstantlySimulator, leads: Leads) -> None:
        self._workspace = workspace
        self._leads = leads

    def routes(self, leads: str) -> tuple[Route, ...]:
        """The calls about many leads."""
        return (
            Route("DELETE", leads, self._delete, writes=True),
            Route("POST", leads + "/add", self._add, writes=True),
            Route("POST", leads + "/move", self._move, writes=True),
            Route("POST", leads + "/bulk-assign", self._assign, writes=True),
        )

    # Add.

    def _add(self, ask: Ask) -> Answer:
        body = self._workspace.body(ask, BULK_ADD)
        list_id, campaign = body.get("list_id"), body.get("campaign_id")
        self._leads.begin_write(ask, list_id)
        if bool(list_id) == bool(campaign):
            raise Refusal(400, "body must have either list_id or campaign_id")
        switches = self._workspace.switches
        rows = [
            checked(row, LEAD_OF_MANY, at=f"body/leads/{n}", strip=switches.strip_unknown, coerce=switches.coerce)
            for n, row in enumerate(body["leads"])
        ]
        doors = Doors(
            here={row.email.casefold() for row in self._leads.inside(list_id, campaign) if row.email},
            barred=set(self._leads.barred([word for word in SKIPS if body.get(word)])),
            blocked={email.casefold() for email in switches.blocklist},
            campaign=campaign,
        )
        created: list[tuple[int, Lead]] = []
        why: Counter[str] = Counter()
        for index, values in enumerate(rows):
            if reason := doors.refuse(values):
                why[reason] += 1
            else:
                created.append((index, self._leads.made(_assigned(values, body), list_id, campaign, ask.now)))
        self._leads.regroup(list_id, [lead.id for _, lead in created], [], ask.now)
        if created and body.get("verify_leads_on_import"):
            self._workspace.start_job("import-leads", list_id, ask.now)
        return 200, {
            "status": "success",
            "total_sent": len(rows),
            "leads_uploaded": len(created),
            **{reason: why[reason] for reason in _REASONS},
            "blocklist_used": body.get("blocklist_id"),
            "remaining_in_plan": 10_000 if campaign else None,
            "created_leads": [_created(index, lead) for index, lead in created],
        }

    # Delete.

    def _delete(self, ask: Ask) -> Answer:
        # A proxy may drop the body of a DELETE. Without this the whole workspace would be meant.
        if not ask.body:
            raise Refusal(400, "body must be object")
        body = self._workspace.body(ask, BULK_DELETE)
        list_id, campaign = body.get("list_id"), body.get("campaign_id")
        self._leads.begin_write(ask, list_id)
        if not list_id and not campaign:
            raise Refusal(400, "body must match a schema in anyOf")
        rows = self._leads.inside(list_id, campaign)
        if (ids := self._ids(body)) is not None:
            rows = [row for row in rows if row.id in ids]
        if body.get("status", 1) != 1:
            rows = []  # every simulated lead is active
        rows = rows[: body.get("limit")]
        self._leads.remove(rows, ask.now)
        return 200, {"count": len(rows)}

    def _ids(self, body: dict[str, Any]) -> set[str] | None:
        """Which rows bulk delete means; None is all of them, and so may be an empty array."""
        ids = body.get("ids")
        if ids is None or (ids == [] and self._workspace.switches.empty_ids is EmptyIds.ALL):
            return None
        if ids == [] and self._workspace.switches.empty_ids is EmptyIds.REFUSED:
            raise Refusal(400, "body/ids must NOT have fewer than 1 items")
        return set(ids)

    # Move.

    def _move(self, ask: Ask) -> Answer:
        body = self._workspace.body(ask, BULK_MOVE)
        to_list, to_campaign = body.get("to_list_id"), body.get("to_campaign_id")
        self._leads.begin_write(ask, to_list)
        if bool(to_list) == bool(to_campaign):
            raise Refusal(400, "body must have either to_list_id or to_campaign_id")
        if "ids" in body and not (body.get("list_id") or body.get("campaign")):
            raise Refusal(400, "body/ids needs list_id or campaign")
        self._leads.inside(to_list, to_campaign)
        ids = [row.id for row in self._leads.selected(body, ask.json(), ask.now)]
        ids = ids[: int(body["limit"])] if "limit" in body else ids
        job = self._workspace.start_job("move-leads", to_list, ask.now)
        if job.end is JobEnd.SUCCESS:
            # Until then reads show the old membership: the trap of an answer that comes before the work.
            self._workspace.later(ask.now + job.takes_s, lambda when: self._moved(job, ids, body, when))
        return 200, job.shown(ask.now)

    def _moved(self, job: Job, ids: list[str], body: dict[str, Any], now: float) -> None:
        to_list, to_campaign, copy = (
            body.get("to_list_id"),
            body.get("to_campaign_id"),
            body.get("copy_leads"),
        )
        if to_list and not self._workspace.lists.get(to_list):
            return  # deleted meanwhile
        there: set[str | None] = set()
        if body.get("check_duplicates"):
            there = {row.email for row in self._leads.inside(to_list, to_campaign) if row.email}
        rows = [row for lead_id in ids if (row := self._leads.rows.get(lead_id)) and row.email not in there]
        job.data["moved_leads"] = len(rows)
        job.data["moved_lead_emails"] = [row.email for row in rows if row.email][:_MOST_EMAILS_TOLD]
        if not copy:
            self._leads.remove(rows, now)
        for row in rows:
            lead_id = new_id(now, self._workspace.chance) if copy else row.id
            fields = _assigned(row.fields, body)
            moved = replace(row, id=lead_id, list_id=to_list, campaign=to_campaign, updated=now, fields=fields)
            self._leads.rows[lead_id] = moved
            self._leads.regroup(to_list, [lead_id], [], now)

    # Assign.

    def _assign(self, ask: Ask) -> Answer:
        try:
            body = self._workspace.body(ask, BULK_ASSIGN)
        except Refusal as refusal:
            return 400, {"message": refusal.message}  # this path has an error body of its own
        users = body["organization_user_ids"]
        rows = self._leads.selected(body, ask.json(), ask.now)[: body.get("limit")]
        for n, row in enumerate(rows):
            self._leads.set(row, ask.now, assigned_to=users[n % len(users)])
        return 202, {"status": "success", "message": "Leads are being assigned"}


class Doors:
    """Who may come in by bulk add; the first reason against a row is the one that is counted."""

    def __init__(self, *, here: set[str], barred: set[str], blocked: set[str], campaign: str | None) -> None:
        self._here, self._barred, self._blocked = here, barred, blocked
        self._campaign = campaign
        self._sent: set[str] = set()

    def refuse(self, values: dict[str, Any]) -> str | None:
        """The counter of the reason why this row stays out; None when it may come in."""
        email = (values.get("email") or "").casefold()
        if not email:
            named = values.get("first_name") or values.get("last_name")
            return None if named and not self._campaign else "incomplete_count"
        repeated = email in self._sent
        self._sent.add(email)
        if not is_email(email):
            return "invalid_email_count"
        if repeated:
            return "duplicate_email_count"
        if email in self._blocked:
            return "in_blocklist"
        if email in self._here:
            return "duplicated_leads"
        return "skipped_count" if email in self._barred else None


def _assigned(values: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    return {**values, "assigned_to": body["assigned_to"]} if "assigned_to" in body else values


def _created(index: int, lead: Lead) -> Json:
    """How a new row is told of: callers map results back by `index`."""
    texts = {word: lead.fields.get(word) for word in ("first_name", "last_name", "phone")}
    return {"index": index, "id": lead.id, "email": lead.email, **texts}
