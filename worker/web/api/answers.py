"""How the API answers: documents as the commands print them, and errors as {"error": sentence}."""

from __future__ import annotations

from typing import Any, Final

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from worker.errors import LeadsyncError, NotKnown, NotPossible, NotReady, Transient, UsageError
from worker.web.access import Denied

log = structlog.get_logger(__name__)

_RETRY_AFTER_S: Final = "5"

#: What pydantic calls it, in our words.
_WORDS: Final = {
    "missing": "this is needed and is not there",
    "extra_forbidden": "there is no such parameter",
    "json_invalid": "expected JSON in UTF-8",
    "model_attributes_type": "expected a JSON object, with content-type application/json",
}

_NOTHING: Final = {"loc": (), "type": "", "msg": "expected something else"}


class Document(JSONResponse):
    """A document, byte by byte as `--json` has it, without the line breaks."""

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def add_error_answers(app: FastAPI) -> None:
    """Every error becomes one sentence and the status that says what to do about it."""
    app.add_exception_handler(Denied, _denied)
    app.add_exception_handler(LeadsyncError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _bug)


def error(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """An error's answer."""
    return Document({"error": sentence}, status, headers)


async def _denied(_: Request, found: Exception) -> Response:
    return error(found.status if isinstance(found, Denied) else 403, str(found))


async def _ours(_: Request, found: Exception) -> Response:
    headers = {"retry-after": _RETRY_AFTER_S} if isinstance(found, Transient) else None
    return error(_status(found), str(found).removeprefix("--"), headers)


def _status(found: Exception) -> int:
    match found:
        case NotKnown():
            return 404
        case NotPossible():
            return 409
        case UsageError() if not isinstance(found, NotReady):
            return 400
        case _:
            return 503


async def _invalid(_: Request, found: Exception) -> Response:
    first: dict[str, Any] = found.errors()[0] if isinstance(found, RequestValidationError) else _NOTHING
    where = ".".join(str(part) for part in first["loc"][1:]) if first["type"] != "json_invalid" else "body"
    says = _WORDS.get(first["type"]) or first["msg"].removeprefix("Value error, ")
    return error(422, f"{where or 'body'}: {says}")


async def _no_route(request: Request, found: Exception) -> Response:
    status = found.status_code if isinstance(found, HTTPException) else 404
    match status:
        case 404:
            sentence = "there is no such route; GET /api/openapi.json lists them"
        case 405:
            sentence = f"this route does not take {request.method}"
        case _:
            sentence = "expected JSON in UTF-8"
    headers = getattr(found, "headers", None)
    return error(status, sentence, dict(headers) if headers else None)


async def _bug(request: Request, found: Exception) -> Response:
    log.error("api_bug", method=request.method, route=getattr(request.scope.get("route"), "path", None))
    return error(500, f"a bug met this request ({type(found).__name__}); please report it, with the lines of the log")
