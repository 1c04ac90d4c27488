"""What a user of a simulator may choose. Read by every simulator; changed by `PATCH /_sim/switches`.

Where the vendors' documents are silent, the choice is a switch, and its sentence names the trap.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Limit = tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(gt=0)]]


class Counting(enum.StrEnum):
    """How requests are counted against the limits."""

    STRICT = "strict"  #: every sliding window
    ALIGNED = "aligned"  #: windows that begin on the full second or minute: a burst across the edge passes
    OFF = "off"  #: measured, never refused


class RetryAfter(enum.StrEnum):
    """What a 429 says about when to come back."""

    NONE = "none"  #: nothing, as Instantly documents
    SECONDS = "seconds"  #: whole seconds
    HTTP_DATE = "http-date"  #: a date


class Access(enum.StrEnum):
    """What becomes of callers with a good token."""

    OK = "ok"  #: they may
    REVOKED = "401"  #: the token has been revoked
    UNPAID = "402"  #: the workspace has no paid plan
    FORBIDDEN = "403"  #: the token lacks the scope


class AnswerShape(enum.StrEnum):
    """What a successful answer looks like."""

    OK = "ok"  #: as documented
    HTML = "html"  #: a page of some proxy, with status 200
    TRUNCATED = "truncated"  #: half of the JSON
    NOT_JSON = "not_json"  #: text that claims to be JSON
    OTHER = "list_instead"  #: a list where an object is due, and the reverse
    ERROR_IN_200 = "error_in_200"  #: `{"error": …}` with status 200


class PageEdge(enum.StrEnum):
    """Lists with the very time stamp of the cursor, at the edge of a page."""

    SKIPPED = "skipped"  #: the cursor is exclusive: they are never seen
    REPEATED = "repeated"  #: the cursor is inclusive: they come again; too many of them and the cursor repeats


class LastCursor(enum.StrEnum):
    """Whether the last page that holds data carries a cursor."""

    NEVER = "never"  #: no cursor when nothing follows
    FULL = "full"  #: yes when the page is full
    ALWAYS = "always"  #: yes; one empty page ends the walk


class JobEnd(enum.StrEnum):
    """How a background job ends."""

    SUCCESS = "success"  #: the leads have moved
    FAILED = "failed"  #: nothing moved
    CANCELLED = "cancelled"  #: nothing moved; final too


class EmptyIds(enum.StrEnum):
    """What bulk delete does with `ids: []`."""

    ALL = "all"  #: as without `ids`: the whole list is emptied
    NONE = "none"  #: nothing is deleted
    REFUSED = "refused"  #: 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """All switches of one simulator. Those that a product does not know are without effect there."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    tokens: Mapping[str, str] = field(default_factory=lambda: {"sim-token": "user_sim"})
    """Bearer token → user it belongs to."""
    admins: tuple[str, ...] = ("user_sim",)
    """Users who may see and change every list (Lance)."""
    access: Access = Access.OK
    """401, 402 or 403 for callers with a good token."""
    unavailable: bool = False
    """503 to every call."""

    limits: tuple[Limit, ...] = ()
    """`[requests, seconds]` each; all of them hold at once."""
    counting: Counting = Counting.STRICT
    """How strictly they are counted."""
    refusals_count: bool = False
    """A refused request takes a place too: a client that hammers never gets in."""
    retry_after: RetryAfter = RetryAfter.NONE
    """What a 429 says."""

    latency_s: Seconds = 0.0
    """Every answer takes this long."""
    jitter_s: Seconds = 0.0
    """And up to this much longer."""
    error_rate: Share = 0.0
    """500, 502 or 503 before anything is applied."""
    error_after_rate: Share = 0.0
    """Applied, but 500."""
    timeout_after_rate: Share = 0.0
    """Applied, but no answer ever comes."""
    cut_after_rate: Share = 0.0
    """Applied, but the connection breaks inside the answer."""
    drop_rate: Share = 0.0
    """Not applied, and no answer ever comes."""
    late_apply_rate: Share = 0.0
    """A write that gets no answer and is applied `late_apply_s` later."""
    late_apply_s: Seconds = 30.0
    """How much later."""
    stale_read_s: Seconds = 0.0
    """Reads show lists as they were this long ago: a replica that lags."""
    answer_shape: AnswerShape = AnswerShape.OK
    """Spoils successful answers."""

    normalise: bool = False
    """Names are trimmed and inner runs of spaces become one."""
    name_limit: int | None = None
    """Names are cut to this many characters, without a word."""
    ignore_fields: tuple[str, ...] = ()
    """Canonical fields that are accepted with 200 and kept as they were."""
    strip_unknown: bool = False
    """Unknown properties are dropped silently (Fastify's default) instead of refused (as documented)."""
    coerce: bool = False
    """Strings become booleans and the reverse, as Ajv does when told so."""
    refuse_empty_json: bool = True
    """400 for `content-type: application/json` with an empty body, as Fastify does."""

    default_page: Annotated[int, Field(ge=1)] = 10
    """Lists per page when the caller names no limit; undocumented, so small."""
    newest_first: bool = True
    """Order of Instantly's lists; undocumented."""
    page_edge: PageEdge = PageEdge.SKIPPED
    """Equal time stamps at the edge of a page (Instantly)."""
    last_cursor: LastCursor = LastCursor.FULL
    """Whether the last page carries a cursor."""
    optional_absent: bool = False
    """Optional fields that are null are left out instead (Instantly)."""
    keep_leads: bool = False
    """Leads of a deleted list stay, without a list (Instantly); undocumented."""
    empty_ids: EmptyIds = EmptyIds.ALL
    """Bulk delete with `ids: []` (Instantly); undocumented, so the worst."""
    job_s: Seconds = 1.0
    """How long a background job takes (Instantly)."""
    job_end: JobEnd = JobEnd.SUCCESS
    """How it ends."""
    blocklist: tuple[str, ...] = ()
    """Addresses that bulk add refuses (Instantly)."""

    missing_session: Annotated[int, Field(ge=400, le=401)] = 401
    """Status without a token (Lance): some of its pages say 400."""
    created_status: Annotated[int, Field(ge=200, le=201)] = 201
    """Status of a create (Lance); not visible in its documents."""
    list_wrapped: bool = False
    """The list of lists comes as `{"leadlists": […]}` (Lance); its documents say both."""
    list_hydrated: bool = False
    """The list of lists holds whole members (Lance); not visible in its documents."""
    hydrates: bool = True
    """One list is shown with whole members, as documented (Lance); without, with their ids only."""
    adding_touches: bool = True
    """add-prospects and add-companies move `updatedAt` (Lance); undocumented."""
    remap_prospects: bool = False
    """Prospects are stored under a fresh id, not the one sent (Lance's tenant sync)."""
    nameless_share: Share = 0.1
    """Share of persons whose company has no name: leads-by-list leaves them out (Lance)."""
    addressless_share: Share = 0.0
    """Share of persons without an e-mail address (Lance)."""
    rival_adds: tuple[str, ...] = ()
    """Another program adds these members right after each `rival_after` of one list (Lance)."""
    rival_removes: tuple[str, ...] = ()
    """And removes these."""
    rival_after: Literal["GET", "PATCH"] = "GET"
    """After a read: a write that relies on it undoes that. After a write: its answer shows it."""

    webhooks: tuple[str, ...] = ()
    """Addresses told of every change."""
    webhook_secret: str | None = None
    """`whsec_…`: signs them by Standard Webhooks (CRM, Lance)."""
    webhook_header: str | None = None
    """`Name: value`, sent along; all the proof that Instantly can give."""
    webhook_source: str | None = None
    """`source` of the events; the kind when absent."""
    webhook_data: bool = True
    """Events carry the fields that changed; without, they only say "look again"."""
    webhook_sequence: bool = False
    """Events carry the list's version as `sequence`."""
    webhook_lost_rate: Share = 0.0
    """News that is never sent."""
    webhook_twice_rate: Share = 0.0
    """News that is sent twice, with the same id."""

    log_size: Annotated[int, Field(ge=0)] = 10_000
    """Calls kept in `/_sim/calls`; 0 keeps none. The sums are exact all the same."""

    def changed(self, patch: Mapping[str, Any]) -> Switches:
        """A copy with some switches set; ValueError with one sentence when *patch* is wrong."""
        now = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in patch:
            if name not in now:
                near = difflib.get_close_matches(name, now, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"unknown switch {name!r}{hint}")
        try:
            return _READER.validate_python({**now, **patch})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"switch {first['loc'][0]!r}: {first['msg']}") from None


_READER = TypeAdapter(Switches)
