"""A running API over a few lists that stand differently: for tests that ask it whatever its document allows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from models.lead_list import Field, LeadList, Seen, Stamp, Standing, Waiting, Wanted
from tests.support.desk import NOW, desk_at, standing_copy
from tests.support.web import Browser, serving
from worker.settings import Settings
from worker.wiring import Runtime

TOKEN = "token-of-sixteen-characters"


@contextlib.contextmanager
def api_at(database_url: str, redis_url: str) -> Iterator[Browser]:
    """A program with the token; one copy is parked, one due, one in conflict."""
    with desk_at(database_url, redis_url, "crm", "lance") as desk:
        seen = {Field.NAME: Seen("theirs", Stamp(NOW))}
        wanted = {Field.NAME: Wanted("ours", Stamp(NOW), "crm")}
        for copies in (
            [standing_copy("crm", "a/b", Standing.PARKED)],
            [standing_copy("crm", "1", Standing.DUE, Waiting.TURN, seen=seen)],
            [standing_copy("lance", "2", Standing.CONFLICT, seen=seen, held=dict(seen))],
        ):
            desk.put(LeadList(id=0, wanted=wanted, copies={copy.remote: copy for copy in copies}))
        chosen = desk.runtime.settings.model_dump()
        chosen["web"] |= {"api_token": TOKEN, "password": "password-of-an-operator"}
        with serving(Runtime(Settings.model_validate(chosen), redis_url)) as port:
            yield Browser(port, headers={"authorization": f"Bearer {TOKEN}"})
