"""What each page and document asks of the database, counted: the same number however many lists there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.big_tables import REMOTES, Size, copy_name, fill
from tests.support.statements import statements
from tests.support.web import Browser, serving
from worker.settings import Settings
from worker.wiring import Runtime

#: More than one page of everything that is paged, and four times as much.
SIZES = (
    Size(lists=3_000, ledger=3_000, calls=200, others=150),
    Size(lists=12_000, ledger=12_000, calls=800, others=600),
)
#: Statements on SQLite, and how many more on PostgreSQL, whose clock, locks and room are asked for.
COUNTS = {
    # As after a button: counted anew, not remembered.
    "/?said=none": (8, 3),
    "/lists": (4, 1),
    "/lists?after=1000": (4, 1),
    "/lists?sort=name": (4, 1),
    "/lists?sort=name&after=1000:list1": (4, 1),
    "/lists?sort=standing": (5, 1),
    "/lists?sort=age": (4, 1),
    "/lists?sort=name&down=1": (4, 1),
    "/lists?sort=standing&down=1": (5, 1),
    "/lists?q=list+99": (5, 1),
    "/lists?q=nowhere": (2, 0),
    "/lists?standing=due&remote=instantly&sort=name": (4, 1),
    f"/list?copy={copy_name(1_000)}": (10, 1),
    "/lists?hold=1": (2, 0),
    "/lists?hold=1&sort=age": (3, 0),
    "/waiting?said=none": (10, 3),
    "/conflicts": (5, 1),
    "/scans": (2, 0),
    "/plan": (12, 3),
    "/rejects": (1, 0),
    "/audit": (1, 0),
    "/api/v1/status?fresh=true": (6, 3),
    "/api/v1/lists?limit=100&sort=age": (4, 1),
    "/api/v1/lists/crm/crm-1000": (10, 1),
    "/api/v1/parked": (1, 0),
    "/api/v1/conflicts": (5, 1),
    "/api/v1/plan?limit=100": (12, 3),
    "/api/v1/rejects": (1, 0),
    "/api/v1/scans": (1, 0),
    "/api/v1/alerts": (2, 0),
    "/api/v1/alerts?open=true": (1, 0),
    "/api/v1/audit": (1, 0),
}


@pytest.mark.parametrize("size", SIZES, ids=["small", "large"])
def test_pages_ask_a_fixed_number_of_questions(
    database_url: str, redis_url: str, size: Size, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them grows with what there is. A number that falls is welcome; write it down here."""
    monkeypatch.chdir(tmp_path)
    fill(database_url, size)
    remotes = {name: {"kind": name, "base_url": "http://127.0.0.1:9", "token": "t"} for name in REMOTES}
    settings = Settings.model_validate({"database": {"url": database_url}, "remotes": remotes})
    asked = {}
    with serving(Runtime(settings, redis_url)) as port:
        browser = Browser(port)
        for path in COUNTS:
            assert 200 == browser.get(path).status, path  # a first time, after which past minutes are known
            with statements() as told:
                browser.get(path)
            asked[path] = len(told)

    more = database_url.startswith("postgresql")
    assert {path: count + more * extra for path, (count, extra) in COUNTS.items()} == asked
