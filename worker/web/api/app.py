"""The API: an app of its own below /api, with its OpenAPI document and a page that shows it. Mounted by `server.py`."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from worker.store.health import Health
from worker.store.views import Views
from worker.web.actions import Actions
from worker.web.api.acts import Acts
from worker.web.api.answers import Document, add_error_answers
from worker.web.api.reads import Reads
from worker.wiring import Runtime

_ABOUT = """The documents that the commands print with `--json`, and what the commands do.

Lists are `{"items": […], "next": cursor or null}`. In paths, ids are percent-encoded. Send `web.api_token` as
`Authorization: Bearer`; with the session cookie of a login, POST needs `X-CSRF-Token` too."""

_BEARER = HTTPBearer(auto_error=False, description="web.api_token")


class Failure(BaseModel):
    """What went wrong."""

    error: str


_FAILURES: dict[int | str, dict[str, Any]] = {
    400: {"model": Failure, "description": "What was asked for makes no sense; the sentence says why"},
    401: {"model": Failure, "description": "No token, or a wrong one"},
    403: {"model": Failure, "description": "Viewers change nothing; or a session without its CSRF token"},
    404: {"model": Failure, "description": "There is no such thing"},
    409: {"model": Failure, "description": "It does not fit what is known; nothing was changed"},
    413: {"model": Failure, "description": "The body is too large"},
    422: {"model": Failure, "description": "A parameter is missing, unknown or of another type"},
    503: {"model": Failure, "description": "Database or Redis cannot be used now; try again"},
}


def make_api(runtime: Runtime, views: Views, actions: Actions, health: Health) -> FastAPI:
    """All routes."""
    api = FastAPI(
        title="leadsync",
        version="1",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        default_response_class=Document,
        dependencies=[Depends(_BEARER)],
        responses=_FAILURES,
    )
    add_error_answers(api)
    api.include_router(Reads(runtime, views, health).router(), prefix="/v1", tags=["documents"])
    api.include_router(Acts(runtime, actions).router(), prefix="/v1", tags=["actions"])

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """The OpenAPI document for people. FastAPI's own page would load scripts from elsewhere."""
        return HTMLResponse(_page(api.openapi()))

    return api


def _page(document: dict[str, Any]) -> str:
    return "".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1"><title>leadsync API</title></head>',
            "<body><main><h1>leadsync API</h1>",
            *(f"<p>{escape(part)}</p>" for part in document["info"]["description"].split("\n\n")),
            '<p>All of it for programs: <a href="/api/openapi.json">openapi.json</a></p><table>',
            '<thead><tr><th scope="col">route</th><th scope="col">does</th><th scope="col">takes</th></tr></thead>',
            "<tbody>",
            *_rows(document),
            "</tbody></table></main></body></html>\n",
        )
    )


def _rows(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            does, takes = escape(one["description"]), escape(", ".join(_takes(document, one)))
            yield f"<tr><td><code>{method.upper()} /api{escape(path)}</code></td><td>{does}</td><td>{takes}</td></tr>"


def _takes(document: dict[str, Any], one: dict[str, Any]) -> Iterator[str]:
    for parameter in one.get("parameters", ()):
        if parameter["in"] == "query":
            yield parameter["name"]
    for content in one.get("requestBody", {}).get("content", {}).values():
        name = content["schema"]["$ref"].rpartition("/")[2]
        yield from document["components"]["schemas"][name]["properties"]
