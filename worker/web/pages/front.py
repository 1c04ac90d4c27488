"""What every page needs: templates, forms, and errors as one sentence on a page."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from worker.documents.explain import failed
from worker.documents.pace import Pace
from worker.documents.remembered import Remembered
from worker.errors import LeadsyncError, NotKnown, NotPossible, NotReady, Transient, UsageError
from worker.store.health import Health
from worker.store.parked_views import ParkedGroup
from worker.store.views import Tally, Views
from worker.web.access import CSRF_FIELD, Denied, Person
from worker.web.actions import Actions
from worker.web.pages import words
from worker.wiring import Runtime

#: Rows on one page, and groups of parked copies.
ROWS: Final = 50
#: Nobody ticks more; the gate lets no larger form through either.
_MOST_FIELDS: Final = 25_000
_LONGEST_BACK: Final = 2_000

_HERE = Path(__file__).parent
_OURS: Final = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")

_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_FOR_EVER: Final = "public, max-age=31536000, immutable"

#: What the pages are called, and where they are.
NAVIGATION: Final = (
    ("/", "Now"),
    ("/lists", "Lists"),
    ("/waiting", "Waiting"),
    ("/conflicts", "Conflicts"),
    ("/scans", "Scans"),
    ("/plan", "Plan"),
    ("/rejects", "Rejects"),
    ("/doctor", "Doctor"),
    ("/audit", "Audit"),
)


@dataclass(frozen=True)
class Front:
    """What the routes share."""

    runtime: Runtime
    views: Views
    actions: Actions
    health: Health
    pace: Pace
    tally: Remembered[Tally]
    parked: Remembered[list[ParkedGroup]]

    @property
    def remotes(self) -> list[str]:
        """Those in the settings."""
        return sorted(self.runtime.settings.remotes)


class Asked:
    """The query of a page, or the fields of a form. What is not there is empty."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def __getitem__(self, name: str) -> str:
        return next((value for key, value in self._pairs if key == name), "")

    def get(self, name: str) -> str | None:
        """None when it is not there, or empty."""
        return self[name] or None

    def all(self, name: str) -> list[str]:
        """Ticked rows."""
        return [value for key, value in self._pairs if key == name and value]

    def number(self, name: str) -> int:
        """Raises `UsageError` for anything else."""
        said = self[name]
        if not (said.isascii() and said.isdigit() and len(said) < 19):
            raise UsageError(f"{name}: expected a number")
        return int(said)


async def form(request: Request) -> Asked:
    """What a button sent."""
    try:
        body = (await request.body()).decode("utf-8", "replace")
        return Asked(parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="replace"))
    except ValueError:
        raise UsageError(f"expected a form of at most {_MOST_FIELDS} fields") from None


def query(request: Request) -> Asked:
    """What stands in the address."""
    return Asked(request.query_params.multi_items())


def link(path: str, **parameters: object) -> str:
    """An address with those parameters that say something."""
    pairs = [(name, str(value)) for name, value in parameters.items() if value not in (None, "")]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def back(asked: Asked, otherwise: str, said: str, number: int | None = None) -> Response:
    """To the page that the button was on, which then says what it did."""
    where = asked["back"]
    parts = urlsplit(where if len(where) <= _LONGEST_BACK and _OURS.fullmatch(where) else otherwise)
    pairs = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("said", "n")]
    pairs += [("said", said), *([] if number is None else [("n", str(number))])]
    return RedirectResponse(f"{parts.path}?{urlencode(pairs)}", 303)


def draw(
    request: Request, template: str, *, title: str, status: int = 200, live: bool = False, **contents: Any
) -> Response:
    """A page; for htmx only the part of it that may have changed."""
    person: Person | None = getattr(request.state, "person", None)
    asked = query(request)
    around = "fragment.html" if "hx-request" in request.headers else "layout.html"
    html = _TEMPLATES.get_template(template).render(
        around=around,
        title=title,
        live=live,
        person=person,
        asks_password=request.app.state.asks_password,
        can_act=person is not None and person.can_act,
        csrf_field=CSRF_FIELD,
        csrf=(person and person.csrf) or "",
        here=_without_said(request),
        path=request.url.path,
        said=words.said(asked["said"], asked["n"]),
        **contents,
    )
    return HTMLResponse(html.encode("utf-8", "replace"), status)


def login_page(contents: Mapping[str, Any]) -> str:
    """The form, for `login.py`."""
    return _TEMPLATES.get_template("login.html").render(**contents)


class PageRoute(APIRoute):
    """A route whose errors are one sentence on a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Denied as denied:
                return _trouble(request, denied.status, str(denied))
            except LeadsyncError as error:
                return _trouble(request, _status(error), str(error).removeprefix("--"))  # a page has no options
            except RequestValidationError:
                return _trouble(request, 400, "this address makes no sense")

        return handled


def _trouble(request: Request, status: int, sentence: str) -> Response:
    return draw(request, "trouble.html", title="Not possible", status=status, sentence=sentence)


def _status(error: LeadsyncError) -> int:
    match error:
        case NotKnown():
            return 404
        case NotPossible():
            return 409
        case Transient() | NotReady():
            return 503
        case UsageError():
            return 400
        case _:
            return 500


def _without_said(request: Request) -> str:
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name not in ("said", "n")]
    return f"{request.url.path}?{urlencode(pairs)}" if pairs else request.url.path


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    type: str
    mark: str


def _files() -> dict[str, _File]:
    found = {}
    for path in (_HERE / "static").iterdir():
        body = path.read_bytes()
        found[path.name] = _File(body, _TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:12])
    return found


_FILES = _files()


def static_routes() -> APIRouter:
    """Style, scripts and their licences. All are known at the start, so no path is ever looked up."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/static/{name}")
    async def static(name: str, v: str = "") -> Response:
        """One file; under the address with its mark it may be kept for ever."""
        file = _FILES.get(name)
        if file is None:
            return Response("there is no such file\n", 404, media_type="text/plain")
        headers = {"cache-control": _FOR_EVER if v == file.mark else "no-cache"}
        return Response(file.body, 200, headers, media_type=file.type)

    return routes


def _static(name: str) -> str:
    return f"/static/{name}?v={_FILES[name].mark}"


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": _static, "link": link, "navigation": NAVIGATION, "nothing": words.NOTHING}
    made.filters |= {
        "thousands": words.thousands,
        "duration": words.duration,
        "age": words.age,
        "ms": words.milliseconds,
        "words": words.words,
        "shell": shlex.quote,
        "value": words.value,
        "failed": failed,
    }
    return made


_TEMPLATES = _templates()
