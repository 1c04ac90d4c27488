"""One Instantly workspace: lead lists, background jobs, webhooks. Leads are in `instantly_leads.py`."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from worker.simulators.base import Simulator
from worker.simulators.checks import whole_number
from worker.simulators.instantly_bulk import Bulk
from worker.simulators.instantly_leads import Leads
from worker.simulators.instantly_shapes import PATCH_LIST, POST_LIST, WEBHOOK, WORKSPACE
from worker.simulators.lists import Change, Members, Place, SimList
from worker.simulators.switches import JobEnd, LastCursor, PageEdge, Switches
from worker.simulators.wire import Answer, Ask, Json, Refusal, Route, found, from_iso, is_uuid, iso, new_id

_V2 = "/api/v2"
_MOST_PER_PAGE = 100

#: Canonical word → Instantly's own.
_SPELLING = {"name": "name", "enrichment": "has_enrichment_task", "owner": "owned_by"}
_REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(slots=True, kw_only=True)
class Job:
    """A background job; how far it has come is read off the clock."""

    id: str
    type: str
    list_id: str | None
    began: float
    takes_s: float
    end: JobEnd
    data: dict[str, Json]

    def shown(self, now: float) -> dict[str, Json]:
        """The job as the API shows it at *now*."""
        share = min(1.0, (now - self.began) / self.takes_s) if self.takes_s else 1.0
        status = self.end.value if share == 1.0 else "in-progress" if share > 0.2 else "pending"
        return {
            "id": self.id,
            "workspace_id": WORKSPACE,
            "user_id": None,
            "type": self.type,
            "entity_id": self.list_id,
            "entity_type": "list" if self.list_id else "workspace",
            "data": self.data if share == 1.0 else {},
            "progress": int(share * 100),
            "status": status,
            "created_at": iso(self.began),
            "updated_at": iso(min(now, self.began + self.takes_s)),
        }


class InstantlySimulator(Simulator):
    """Lists without a modified time, pages by a time stamp, a lead that belongs to one list."""

    kind = "instantly"
    defaults = Switches(limits=((100, 1.0), (6000, 60.0)))

    def __init__(self, switches: Switches | None = None, *, seed: int = 0) -> None:
        self._leads = Leads(self)
        self._bulk = Bulk(self, self._leads)
        super().__init__(switches, seed=seed)

    def reset(self) -> None:
        super().reset()
        self._leads.reset()
        self._jobs: dict[str, Job] = {}
        self._subscriptions: dict[str, dict[str, Json]] = {}

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", _V2 + "/lead-lists", self._list),
            Route("POST", _V2 + "/lead-lists", self._post, writes=True),
            Route("GET", _V2 + "/lead-lists/{id}", self._get, on_list=True),
            Route("PATCH", _V2 + "/lead-lists/{id}", self._patch, writes=True, on_list=True),
            Route("DELETE", _V2 + "/lead-lists/{id}", self._delete, writes=True, on_list=True),
            Route("GET", _V2 + "/lead-lists/{id}/verification-stats", self._stats, on_list=True),
            *self._bulk.routes(_V2 + "/leads"),
            *self._leads.routes(_V2 + "/leads"),
            Route("GET", _V2 + "/background-jobs", self._jobs_page),
            Route("GET", _V2 + "/background-jobs/{id}", self._job),
            Route("GET", _V2 + "/webhooks", self._webhooks),
            Route("POST", _V2 + "/webhooks", self._subscribe),
            Route("GET", _V2 + "/webhooks/{id}", self._webhook),
            Route("DELETE", _V2 + "/webhooks/{id}", self._unsubscribe),
            Route("GET", _V2 + "/workspaces/current", self._workspace),
        )

    def error_body(self, refusal: Refusal) -> Json:
        reason = _REASONS.get(refusal.status, "Error")
        return {"statusCode": refusal.status, "error": reason, "message": refusal.message}

    def shown(self, held: SimList) -> Json:
        optional = {"has_enrichment_task": held.enrichment, "owned_by": held.owner}
        if self.switches.optional_absent:
            optional = {word: value for word, value in optional.items() if value is not None}
        stamp = iso(held.created_at)
        return {
            "id": held.id,
            "organization_id": WORKSPACE,
            "name": held.name,
            **optional,
            "timestamp_created": stamp,
        }

    # Lead lists.

    def _list(self, ask: Ask) -> Answer:
        limit = whole_number(ask.query, "limit", self.switches.default_page, 1, _MOST_PER_PAGE)
        wanted = _flag(ask.query, "has_enrichment_task")
        search = ask.query.get("search", "").casefold()
        page: list[SimList] = []
        for list_id in self.lists.after(self._edge(ask.query), newest_first=self.switches.newest_first):
            held = self.seen(list_id, ask.now)
            if held is None or (wanted is not None and held.enrichment is not wanted):
                continue
            if search not in held.name.casefold():
                continue
            page.append(held)
            if len(page) > limit:
                break
        return 200, self.page([self.shown(held) for held in page], limit, "timestamp_created")

    def page(self, rows: list[Json], limit: int, cursor: str) -> Json:
        """*rows*, perhaps one more than fits, as a page whose cursor is a property of its last row."""
        rule = self.switches.last_cursor
        full, more = len(rows) >= limit, len(rows) > limit
        rows = rows[:limit]
        if rows and (more or rule is LastCursor.ALWAYS or (rule is LastCursor.FULL and full)):
            return {"items": rows, "next_starting_after": rows[-1][cursor]}
        return {"items": rows}

    def _edge(self, query: Mapping[str, str]) -> Place | None:
        """Where the page begins. The cursor is a time stamp, and several lists may share one."""
        cursor = query.get("starting_after")
        if not cursor:
            return None
        try:
            stamp = round(from_iso(cursor) * 1000)
        except ValueError:
            raise Refusal(400, "querystring/starting_after must be a timestamp") from None
        again = self.switches.page_edge is PageEdge.REPEATED
        if self.switches.newest_first:
            return (stamp + again, 0)
        return (stamp - again, 1 << 62)

    def _held(self, ask: Ask) -> SimList:
        _check_id(ask.id)
        return found(self.lists.get(ask.id))

    def _get(self, ask: Ask) -> Answer:
        self.no_empty_json(ask)
        _check_id(ask.id)
        return 200, self.shown(found(self.seen(ask.id, ask.now)))

    def _post(self, ask: Ask) -> Answer:
        body = self.body(ask, POST_LIST)
        owner = body.get("owned_by", user_uuid(ask.user))
        enrichment = body.get("has_enrichment_task")
        return 200, self.shown(self.create(ask.now, name=body["name"], owner=owner, enrichment=enrichment))

    def _patch(self, ask: Ask) -> Answer:
        held = self._held(ask)
        body = self.body(ask, PATCH_LIST)
        changes = {word: body[own] for word, own in _SPELLING.items() if own in body}
        return 200, self.shown(self.change(held, changes, ask.now))

    def _delete(self, ask: Ask) -> Answer:
        self.no_empty_json(ask)
        held = self._held(ask)
        self.delete(held, ask.now)
        self._leads.list_deleted(held)
        return 200, self.shown(held)

    def no_empty_json(self, ask: Ask) -> None:
        """Fastify refuses a body that is announced as JSON and is empty."""
        announced = ask.headers.get("content-type", "").startswith("application/json")
        if self.switches.refuse_empty_json and announced and not ask.body:
            raise Refusal(400, "Body cannot be empty when content-type is set to 'application/json'")

    def _stats(self, ask: Ask) -> Answer:
        _check_id(ask.id)
        members = len(found(self.seen(ask.id, ask.now)).members)
        return 200, {
            "stats": {"verified": members, "invalid": 0, "risky": 0, "catch_all": 0},
            "total_leads": members,
        }

    # Members and owners, for `/_sim`.

    def owner_id(self, owner: str) -> str:
        return owner if is_uuid(owner) else user_uuid(owner)

    def member_names(self, held: SimList) -> list[str]:
        return self._leads.names(held)

    def edited_members(self, held: SimList, added: Collection[str], removed: Collection[str], now: float) -> Members:
        return self._leads.edited(held, added, removed, now)

    # Background jobs.

    def start_job(self, type: str, list_id: str | None, now: float) -> Job:
        """A job that ends `job_s` from now, as the switches say."""
        job_id = f"{self.chance.getrandbits(96):024x}"
        job = Job(
            id=job_id,
            type=type,
            list_id=list_id,
            began=now,
            takes_s=self.switches.job_s,
            end=self.switches.job_end,
            data={},
        )
        self._jobs[job_id] = job
        return job

    def _job(self, ask: Ask) -> Answer:
        if ask.id not in self._jobs:
            raise Refusal(404, "Resource not found")
        return 200, self._jobs[ask.id].shown(ask.now)

    def _jobs_page(self, ask: Ask) -> Answer:
        limit = whole_number(ask.query, "limit", self.switches.default_page, 1, _MOST_PER_PAGE)
        jobs = [job.shown(ask.now) for job in self._jobs.values()]
        for word in ("type", "status", "entity_type", "entity_id"):
            jobs = _among(jobs, word, ask.query.get(word))
        for word in ("ids", "included_ids"):
            jobs = _among(jobs, "id", ask.query.get(word))
        jobs.sort(
            key=lambda job: str(job[ask.query.get("sort_column", "created_at")]),
            reverse=ask.query.get("sort_order", "desc") == "desc",
        )
        ids = [job["id"] for job in jobs]
        begin = ids.index(after) + 1 if (after := ask.query.get("starting_after")) in ids else 0
        return 200, self.page(jobs[begin : begin + limit + 1], limit, "id")

    # Webhooks: Instantly knows none about lists, so all they can say is "look".

    def listeners(self) -> Iterable[tuple[str, Mapping[str, str]]]:
        subscribed = [(hook["target_hook_url"], hook.get("headers") or {}) for hook in self._subscriptions.values()]
        return [*super().listeners(), *subscribed]

    def news(self, change: Change, news_id: str, now: float) -> Mapping[str, Any]:
        """Instantly's own shape: no event id, no list id, no sequence."""
        return {
            "timestamp": iso(now),
            "event_type": "supersearch_enrichment_completed",
            "workspace": WORKSPACE,
            "campaign_id": None,
            "campaign_name": None,
        }

    def _subscribe(self, ask: Ask) -> Answer:
        body = self.body(ask, WEBHOOK)
        if not str(body["target_hook_url"]).startswith(("http://", "https://")):
            raise Refusal(400, 'body/target_hook_url must match pattern "^https?://"')
        hook = {
            "id": new_id(ask.now, self.chance),
            "organization": WORKSPACE,
            "status": 1,
            "timestamp_created": iso(ask.now),
            **body,
        }
        self._subscriptions[hook["id"]] = hook
        return 200, hook

    def _webhooks(self, ask: Ask) -> Answer:
        return 200, {"items": list(self._subscriptions.values())}

    def _webhook(self, ask: Ask) -> Answer:
        return 200, found(self._subscriptions.get(ask.id))

    def _unsubscribe(self, ask: Ask) -> Answer:
        return 200, found(self._subscriptions.pop(ask.id, None))

    def _workspace(self, ask: Ask) -> Answer:
        began = iso(1_700_000_000.0)
        stamps = {"timestamp_created": began, "timestamp_updated": began}
        return 200, {"id": WORKSPACE, "name": "Simulated workspace", "owner": user_uuid(ask.user), **stamps}


def user_uuid(user: str) -> str:
    """The id of a user as Instantly spells it."""
    return f"00000000-0000-7000-8000-{zlib.crc32(user.encode()):012x}"


def _check_id(list_id: str) -> None:
    if not is_uuid(list_id):
        raise Refusal(400, 'params/id must match format "uuid"')


def _flag(query: Mapping[str, str], name: str) -> bool | None:
    """A boolean out of the query; None when it is not asked for."""
    if name not in query:
        return None
    if query[name] not in ("true", "false"):
        raise Refusal(400, f"querystring/{name} must be boolean")
    return query[name] == "true"


def _among(jobs: list[dict[str, Json]], word: str, wanted: str | None) -> list[dict[str, Json]]:
    """Those jobs whose *word* is in the comma list *wanted*; all when nothing is wanted."""
    return jobs if not wanted else [job for job in jobs if job[word] in wanted.split(",")]
