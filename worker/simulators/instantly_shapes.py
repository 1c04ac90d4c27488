"""What bodies Instantly takes, stated as data. Used by the other modules of Instantly's simulator."""

from __future__ import annotations

from worker.simulators.checks import (
    EMAILS,
    FLAG,
    FLAG_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    UUID,
    UUID_OR_NULL,
    UUIDS,
    Is,
    Shape,
)

WORKSPACE = "00000000-0000-7000-8000-000000000001"

_LIST = {"name": TEXT, "has_enrichment_task": FLAG_OR_NULL, "owned_by": UUID_OR_NULL}
POST_LIST = Shape(properties=_LIST, required=("name",))
PATCH_LIST = Shape(properties=_LIST, fewest=1)
WEBHOOK = Shape(
    properties={
        "target_hook_url": TEXT,
        "event_type": TEXT_OR_NULL,
        "campaign": UUID_OR_NULL,
        "name": TEXT_OR_NULL,
        "custom_interest_value": Is(("number", "null")),
        "headers": Is(("object", "null"), each=TEXT),
    },
    required=("target_hook_url",),
)

_INTEREST = Is(("number",), choices=(1, 2, 3, 4, 0, -1, -2, -3, -4))
LEAD_TEXTS = (
    "personalization",
    "website",
    "last_name",
    "first_name",
    "company_name",
    "job_title",
    "phone",
    "pl_value_lead",
)
_SCALAR = Is(("string", "number", "boolean", "null"))
_COMMON = {
    **dict.fromkeys(LEAD_TEXTS, TEXT_OR_NULL),
    "assigned_to": UUID_OR_NULL,
    "lt_interest_status": _INTEREST,
    "custom_variables": Is(("object",), each=_SCALAR),
}
SKIPS = ("skip_if_in_workspace", "skip_if_in_campaign", "skip_if_in_list")
_OPTIONS = {**dict.fromkeys(SKIPS, FLAG), "verify_leads_on_import": FLAG}

PATCH_LEAD = Shape(properties=_COMMON, fewest=1)
POST_LEAD = Shape(
    properties={
        **_COMMON,
        **_OPTIONS,
        "email": TEXT_OR_NULL,
        "list_id": UUID_OR_NULL,
        "campaign": UUID_OR_NULL,
        "blocklist_id": UUID,
        "verify_leads_for_lead_finder": FLAG,
    }
)
LEAD_OF_MANY = Shape(properties={**_COMMON, "email": TEXT_OR_NULL})
BULK_ADD = Shape(
    properties={
        **_OPTIONS,
        "leads": Is(("array",), low=1, high=1000, each=Is(("object",))),
        "list_id": UUID,
        "campaign_id": UUID,
        "blocklist_id": UUID_OR_NULL,
        "assigned_to": UUID,
    },
    required=("leads",),
    closed=False,
)
_SELECT = {
    "search": TEXT,
    "list_id": UUID,
    "campaign": UUID,
    "in_list": FLAG,
    "in_campaign": FLAG,
    "ids": UUIDS,
    "excluded_ids": UUIDS,
    "contacts": EMAILS,
    "organization_user_ids": UUIDS,
}
#: Selecting by these would need a world of e-mails behind it. Better refused than silently too much selected.
NOT_SIMULATED = (
    "filter",
    "queries",
    "smart_view_id",
    "enrichment_status",
    "esg_code",
    "esp_code",
    "is_website_visitor",
)
LEADS_PAGE = Shape(
    properties={
        **_SELECT,
        "distinct_contacts": FLAG,
        "limit": Is(("integer",), low=1, high=100),
        "starting_after": TEXT,
    },
    closed=False,
)
BULK_MOVE = Shape(
    properties={
        **_SELECT,
        "to_list_id": UUID,
        "to_campaign_id": UUID,
        "copy_leads": FLAG,
        "check_duplicates": FLAG,
        "limit": Is(("number",)),
        "assigned_to": UUID,
    },
    closed=False,
)
BULK_ASSIGN = Shape(
    properties={
        **_SELECT,
        "organization_user_ids": Is(("array",), low=1, each=UUID),
        "limit": Is(("integer",), low=0),
    },
    required=("organization_user_ids",),
    closed=False,
)
BULK_DELETE = Shape(
    properties={
        "list_id": UUID,
        "campaign_id": UUID,
        "status": Is(("number",), choices=(1, 2, 3, -1, -2, -3)),
        "ids": UUIDS,
        "limit": Is(("integer",), low=1, high=10_000),
    },
    closed=False,
)
MERGE_LEADS = Shape(
    properties={"lead_id": UUID, "destination_lead_id": UUID},
    required=("lead_id", "destination_lead_id"),
    closed=False,
)
RATE_LEAD = Shape(
    properties={"lead_email": TEXT, "interest_value": Is(("number", "null")), "list_id": TEXT},
    required=("lead_email", "interest_value"),
    closed=False,
)
