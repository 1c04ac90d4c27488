"""The API is asked what its own OpenAPI document allows, and what it does not: only documented answers, never a 500."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.api import api_at
from tests.support.web import Browser

HOSTILE = ["", "0", "-1", "1e9", "true", "\0", "\x1b[31m", "../..", "%", "<script>", "'; DROP TABLE", "☃", "x" * 700]
KNOWN = ["crm", "lance", "crm:a/b", "lance:2", "name", "members", "wanted", "parked", "due", "1", "nobody"]
WORDS = st.sampled_from(HOSTILE + KNOWN) | st.text(max_size=8)
ODD = WORDS | st.integers() | st.booleans() | st.none() | st.floats() | st.lists(st.integers(), max_size=2)


@dataclass(frozen=True, slots=True)
class Described:
    """A server and what it says of itself."""

    api: Browser
    document: dict[str, Any]

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(method, path, operation) of each; but no doctor, which calls remotes."""
        return [
            (method.upper(), path, one)
            for path, methods in self.document["paths"].items()
            for method, one in methods.items()
            if path != "/v1/doctor"
        ]

    def check(self, operation: dict[str, Any], status: int, contents: Any) -> None:
        """Is this one of the answers that it documents?"""
        assert str(status) in operation["responses"]
        schema = operation["responses"][str(status)]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": self.document["components"]}).validate(contents)


@pytest.fixture(params=["sqlite", "postgres"])
def described(request: pytest.FixtureRequest, redis_url: str) -> Iterator[Described]:
    """With a few lists that stand differently."""
    with api_at(request.getfixturevalue(f"{request.param}_url"), redis_url) as api:
        yield Described(api, api.get("/api/openapi.json").json)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; the operation that it goes to comes first."""

    method: str
    address: str
    body: bytes | None
    operation: dict[str, Any]


def requests(described: Described, method: str, path: str, operation: dict[str, Any]) -> st.SearchStrategy[Asked]:
    """Likely and unlikely ones to this operation."""
    parts = st.lists(WORDS, min_size=path.count("{"), max_size=path.count("{"))
    names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"] + ["strange"]
    query = st.dictionaries(st.sampled_from(names), WORDS, max_size=2)
    body = _bodies(described, operation) if "requestBody" in operation else st.none()

    def put_together(parts: list[str], query: dict[str, str], body: bytes | None) -> Asked:
        left = iter(parts)
        address = "/api" + re.sub(r"\{\w+\}", lambda _: quote(next(left), safe=""), path)
        return Asked(method, f"{address}?{urlencode(query)}" if query else address, body, operation)

    return st.builds(put_together, parts, query, body)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_documented_answers(described: Described, method: str) -> None:
    """Of the shape that the document gives; errors hold one sentence."""
    mine = [one for one in described.operations() if one[0] == method]

    @settings(max_examples=150, database=None)
    @given(st.one_of([requests(described, *one) for one in mine]))
    def ask(asked: Asked) -> None:
        kind = {} if asked.body is None else {"content-type": "application/json"}
        said = described.api.ask(asked.method, asked.address, asked.body, kind)
        if "//" in asked.address.partition("?")[0] or asked.address.partition("?")[0].endswith("/"):
            assert said.status in (200, 404, 405, 422)  # an empty part makes it another route, or none
        else:
            described.check(asked.operation, said.status, said.json)

    ask()


def _bodies(described: Described, operation: dict[str, Any]) -> st.SearchStrategy[bytes]:
    name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    names = [*described.document["components"]["schemas"][name]["properties"], "strange"]
    likely = st.fixed_dictionaries(
        {},
        optional={
            "copies": st.lists(st.sampled_from(["crm:a/b", "lance:2", "crm:1", "x"]), max_size=3),
            "copy": st.sampled_from(["crm:a/b", "lance:2"]),
            "field": st.sampled_from(["name", "members"]),
            "use": st.sampled_from(["crm", "lance", "wanted"]),
            "all": st.booleans(),
            "ids": st.lists(st.integers(0, 2**70), max_size=3),
        },
    ).map(lambda given: {key: value for key, value in given.items() if key in names})
    odd = st.dictionaries(st.sampled_from(names), ODD, max_size=3)
    return st.one_of(likely.map(_json), odd.map(_json), st.binary(max_size=30))


def _json(contents: object) -> bytes:
    return json.dumps(contents).encode()  # which writes NaN and lone surrogates, too
