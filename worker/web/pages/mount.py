"""Puts the pages into the app. Called by `server.py`."""

from __future__ import annotations

from fastapi import FastAPI

from worker.documents.pace import Pace
from worker.documents.remembered import Remembered
from worker.store.health import Health
from worker.store.views import Views
from worker.web.actions import Actions
from worker.web.login import LoginForm
from worker.web.pages import acting, live, looking
from worker.web.pages.front import ROWS, Front, login_page, static_routes
from worker.wiring import Runtime


def mount(app: FastAPI, runtime: Runtime, views: Views, actions: Actions, health: Health) -> None:
    """All routes of the pages. `app.state.is_ending`, once it is there, says that listeners should go."""

    def is_ending() -> bool:
        ending: bool = app.state.is_ending() if hasattr(app.state, "is_ending") else False
        return ending

    app.state.asks_password = runtime.settings.web.password is not None
    tally, parked = Remembered(lambda view: view.tally()), Remembered(lambda view: view.parked_groups(ROWS))
    front = Front(runtime, views, actions, health, Pace(), tally, parked)
    for routes in (looking.router(front), acting.router(front), live.router(live.Live(views, is_ending))):
        app.include_router(routes)
    app.include_router(static_routes())


def login(form: LoginForm) -> str:
    """The login form in the style of the pages."""
    return login_page({"next": form.next, "error": form.error})
