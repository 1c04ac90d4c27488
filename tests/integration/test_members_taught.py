"""A file that says who members are, between the three simulators: whoever was excluded arrives, by the fewest calls."""

from __future__ import annotations

import asyncio
import io

from tests.support.members import adds_up
from tests.support.three_sides import WITH_MEMBERS, three_sides
from worker.cli.people_file import read
from worker.sync.teach import Taught, teach

PEOPLE = range(1_200)


def test_a_file_brings_everybody_to_both_sides(database_url: str) -> None:
    """
    The CRM told keys only. One file, two bulk adds, one PATCH; the same file again, silence.
    """
    with three_sides(database_url, instantly=WITH_MEMBERS) as sides:
        row = {"name": "People", "kind": "person", "members": []}
        keys = [f"p{n}" for n in PEOPLE]
        ids = {
            remote: one.seed([{**row, "members": keys} if remote == "crm" else row])[0]
            for remote, one in sides.simulators.items()
        }
        links = {remote: one for remote, one in ids.items() if remote != "crm"}
        sides.tell("crm", ids["crm"], {"fields": {**row, "members": keys}, "links": links})
        sides.intake()
        sides.push()
        excluded = {remote: copy.excluded for remote, copy in sides.lead_list("crm", ids["crm"]).copies.items()}
        assert {"crm": 0, "instantly": len(PEOPLE), "lance": len(PEOPLE)} == excluded

        lines = "".join(f"p{n};fake{n}@example.com;Fake{n};lead_{n}\n" for n in PEOPLE)

        def taught() -> Taught:
            file = io.StringIO(f"key;email;first_name;lance\n{lines}")
            return asyncio.run(teach(sides.store, sides.rules, read("FILE", file, sides.rules)))

        sides.forget_calls()
        assert len(PEOPLE) == taught().members
        sides.push()
        assert {f"fake{n}@example.com" for n in PEOPLE} == sides.members("instantly", ids["instantly"])
        assert {f"lead_{n}" for n in PEOPLE} == sides.members("lance", ids["lance"])
        assert 2 == sides.calls("instantly").count(("POST", "/api/v2/leads/add"))
        assert ["PATCH"] == [method for method, _ in sides.calls("lance") if method != "GET"]
        adds_up(sides.lead_list("crm", ids["crm"]))

        assert 0 == taught().members
        assert 0 == sides.push()
