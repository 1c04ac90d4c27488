"""Reading answers: any JSON at all gives a typed error or a correct result, and error bodies one safe sentence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.lead_list import Field, Kind
from models.patch import Patch
from worker.errors import BadAnswer, LeadsyncError
from worker.remotes.base import Answer, Connector, Page, Request
from worker.remotes.crm.connector import CrmConnector
from worker.remotes.crm.errors import message as crm_message
from worker.remotes.instantly.connector import InstantlyConnector
from worker.remotes.instantly.errors import message as instantly_message
from worker.remotes.lance.connector import LanceConnector
from worker.remotes.lance.errors import message as lance_message
from worker.remotes.lance.errors import session_is_lost
from worker.remotes.reading import Item, document, next_cursor, printable, said

CONNECTORS: list[Connector] = [CrmConnector("crm"), InstantlyConnector("instantly"), LanceConnector("lance")]

#: A list as any of the three would show it, all properties at once.
ROW: dict[str, Any] = {
    "id": "x",
    "name": "n",
    "owner": "crm-1",
    "enrichment": True,
    "members": ["a"],
    "updated_at": "2026-01-31T12:00:00Z",
    "kind": "person",
    "owned_by": "u-1",
    "has_enrichment_task": None,
    "type": "person",
    "personIds": ["a"],
    "companyIds": [],
    "updatedAt": "2026-01-31T12:00:00.000Z",
}
WORDS = st.sampled_from([*ROW, "items", "leadlists", "next_cursor", "next_starting_after", "error", "message", "code"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["x", "person", "company", "2026-01-31T12:00:00Z", "", "0001-01-01T00:00:00+14:00", "\0"]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=8),
    max_leaves=25,
)
#: Real documents with a few properties spoiled.
ROWS = st.dictionaries(WORDS, ANYTHING, max_size=2).map(lambda spoiled: {**ROW, **spoiled})
PAGES = st.builds(
    lambda rows, spoiled: {"items": rows, "leadlists": rows, **spoiled},
    st.lists(ROWS, max_size=3),
    st.dictionaries(WORDS, ANYTHING, max_size=1),
)
JSON = ANYTHING | ROWS | PAGES | st.lists(ROWS, max_size=3)


def answered(body: bytes, status: int = 200) -> Callable[[Request], Awaitable[Answer]]:
    """A `send` that always gets this."""

    async def send(_: Request) -> Answer:
        return Answer(status=status, body=body)

    return send


class TestAnyAnswer:
    """Whatever a remote says, a connector understands it or says that it does not."""

    @given(value=JSON)
    @example(value={"id": "x", "name": "n", "updated_at": "0001-01-01T00:00:00+14:00", "updatedAt": ""})
    @example(value={"id": "x", "name": "n\0", "updated_at": "2026-01-31T12:00:00Z"})
    @example(value={"items": [{"id": "x", "name": "n"}], "next_starting_after": 7})
    def test_any_json_is_read_or_refused(self, value: Any) -> None:
        """Never an exception of another kind, and never a list that was not in the answer."""
        send = answered(orjson.dumps(value))
        for connector in CONNECTORS:
            shown = outcome(connector.get(send, "x"))
            page = outcome(connector.page(send, None))
            patched = outcome(connector.patch(send, "x", Kind.PERSON, Patch({Field.NAME: "n"})))

            assert isinstance(shown, BadAnswer) or shown.remote_id == value["id"] == "x"
            assert isinstance(patched, BadAnswer) or patched is None or patched.remote_id == "x"
            assert isinstance(page, BadAnswer) or [item.remote_id for item in page.items] == ids_in(value, connector)

    @given(body=st.binary(max_size=200))
    def test_any_bytes_are_read_or_refused(self, body: bytes) -> None:
        """Also what is no JSON."""
        for connector in CONNECTORS:
            assert isinstance(outcome(connector.get(answered(body), "x")), BadAnswer)

    @given(value=JSON, status=st.sampled_from([400, 401, 404, 422, 429, 500, 503]))
    def test_any_error_body_makes_one_safe_sentence(self, value: Any, status: int) -> None:
        """Short, on one line, printable, whatever the remote wrote."""
        for connector in CONNECTORS:
            for request in (Request(method="GET", path="/x/1"), Request(method="PATCH", path="/x/1", body={})):
                error = connector.error(request, Answer(status=status, body=orjson.dumps(value)))

                assert isinstance(error, LeadsyncError)
                assert str(error).isprintable()
                assert len(str(error)) < 300

    def test_new_properties_are_tolerated(self) -> None:
        """Vendors add properties about monthly; a word we do not know in an enum is not an error."""
        both = {"id": "x", "name": "n", "brand_new": {"a": [1]}, "error": None}
        crm = {"owner": None, "kind": "robot", "updated_at": "2026-01-31T12:00:00+02:00"}
        lance = {"type": "robot", "updatedAt": "2026-01-31T10:00:00.000Z"}
        body = both | crm | lance
        for connector in CONNECTORS:
            shown = outcome(connector.get(answered(orjson.dumps(body)), "x"))

            assert not isinstance(shown, BadAnswer)
            assert ("n", None) == (shown.fields[Field.NAME], shown.kind)
            assert shown.version in (None, datetime(2026, 1, 31, 10, tzinfo=UTC))


def outcome(work: Awaitable[Any]) -> Any:
    """What it answers, or the `BadAnswer` it raises."""

    async def run() -> Any:
        try:
            return await work
        except BadAnswer as error:
            return error

    return asyncio.run(run())


def ids_in(value: Any, connector: Connector) -> list[str]:
    """The ids in a listing, found without any help."""
    if isinstance(connector, LanceConnector):
        return [row["id"] for row in (value if isinstance(value, list) else value["leadlists"])]
    return [row["id"] for row in value["items"]]


class TestSentences:
    """What a person is told about an answer that cannot be used."""

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (b"", "expected JSON, got an empty answer"),
            (b"  <html>", "expected JSON, got a page of HTML; is base_url right, or is there a proxy between?"),
            (b'{"id": ', "expected JSON, got a broken or truncated document"),
            (b"OK", "expected JSON, got other text"),
            (b'{"error":"ACC_AUTH_ERROR"}', "expected no error with status 200, got one: ACC_AUTH_ERROR"),
            (b'{"error":{"code":"X"}}', "expected no error with status 200, got one: X"),
            (b'{"error":7}', "expected no error with status 200, got one: ?"),
        ],
    )
    def test_a_body_that_is_no_document(self, body: bytes, sentence: str) -> None:
        """It says what was expected and what it looks like."""
        with pytest.raises(BadAnswer) as caught:
            document(Answer(status=200, body=body))

        assert sentence == str(caught.value)

    @pytest.mark.parametrize(
        ("read", "sentence"),
        [
            (lambda: Item([]), "expected a lead list as an object, got a list"),
            (lambda: Item({}).id(), "expected a lead list with id: text, got nothing"),
            (lambda: Item({"id": 7}).id(), "expected a lead list with id: text, got a number"),
            (lambda: Item({"id": ""}).id(), "expected a lead list with id: 1 to 512 characters, got other text"),
            (
                lambda: Item({"key": "x" * 513}).id("key"),
                "expected a lead list with key: 1 to 512 characters, got other text",
            ),
            (lambda: Item({"name": None}).text("name"), "expected a lead list with name: text, got null"),
            (lambda: Item({"name": "a\0b"}).text("name"), "expected a lead list with name: text, got other text"),
            (
                lambda: Item({"e": "yes"}).flag_or_null("e"),
                "expected a lead list with e: true, false or null, got other text",
            ),
            (lambda: Item({"m": {}}).ids_or_null("m"), "expected a lead list with m: a list of ids, got an object"),
            (lambda: Item({"m": [True]}).ids_or_null("m"), "expected a lead list with m: text, got true or false"),
            (lambda: Item({}, "a page").elements("items"), "expected a page with items: a list, got nothing"),
        ],
    )
    def test_a_property_of_another_type(self, read: Callable[[], object], sentence: str) -> None:
        """It names the property, and never shows the value."""
        with pytest.raises(BadAnswer) as caught:
            read()

        assert sentence == str(caught.value)

    @pytest.mark.parametrize("text", ["", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "9" * 99])
    def test_a_time_needs_its_offset(self, text: str) -> None:
        """A time without zone could be off by a day, and stamps decide who edited last."""
        with pytest.raises(BadAnswer, match="a time such as 2026-01-31T12:00:00Z"):
            Item({"t": text}).time("t")


class TestNextCursor:
    """When paging ends."""

    @pytest.mark.parametrize("told", [None, ""])
    def test_no_cursor_is_the_end(self, told: str | None) -> None:
        """Absent, null and empty are the same."""
        assert next_cursor(None, [1], told) is None

    def test_an_empty_page_is_the_end(self) -> None:
        """A last page with data may promise another one."""
        assert next_cursor("a", [], "b") is None

    def test_another_cursor_goes_on(self) -> None:
        """It is handed back as it is."""
        assert "b" == next_cursor("a", [1], "b")

    def test_the_same_cursor_never_ends(self) -> None:
        """A repeating cursor is an error, not a loop."""
        with pytest.raises(BadAnswer, match="same one again"):
            next_cursor("a", [1], "a")

    def test_a_cursor_is_text(self) -> None:
        """Anything else is not documented anywhere."""
        with pytest.raises(BadAnswer, match="got a number"):
            next_cursor("a", [1], 7)

    def test_a_page_is_a_value(self) -> None:
        """The last page has no next one."""
        assert Page(()).next is None


class TestErrorBodies:
    """What the three say when they refuse."""

    @pytest.mark.parametrize(
        ("message", "body", "sentence"),
        [
            (crm_message, {"error": {"code": "invalid", "message": "name must be string"}}, "name must be string"),
            (crm_message, {"error": {"code": "invalid"}}, "invalid"),
            (
                instantly_message,
                {"statusCode": 404, "error": "Not Found", "message": "Resource not found"},
                "Resource not found",
            ),
            (
                instantly_message,
                {"statusCode": 400, "code": "FST_ERR", "error": "Bad Request", "message": ""},
                "Bad Request",
            ),
            (instantly_message, {"error": "nope"}, "nope"),
            (instantly_message, {"message": "nope"}, "nope"),
            (lance_message, {"error": {"code": "NOT_FOUND", "message": "not found", "details": [1]}}, "not found"),
            (lance_message, "bare text", "bare text"),
            (lance_message, {"error": {"error": {"message": "deep"}}}, "deep"),
            (lance_message, {"message": 7, "error": None}, ""),
            (lance_message, [], ""),
        ],
    )
    def test_the_message_is_found(self, message: Callable[[Answer], str], body: Any, sentence: str) -> None:
        """In every shape that was seen or documented."""
        assert sentence == message(Answer(status=400, body=orjson.dumps(body)))

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (b"upstream timed out", "upstream timed out"),
            (b"<html>502</html>", ""),
            (b'{"message": "cut o', ""),
            (b"", ""),
            (b"\xff\xfe", "��"),
        ],
    )
    def test_a_body_that_is_no_json_is_taken_as_text(self, body: bytes, sentence: str) -> None:
        """Unless it is a page of HTML or half a document."""
        assert sentence == said(body)

    def test_a_message_is_short_and_on_one_line(self) -> None:
        """Control characters, line breaks and direction marks could forge a log line."""
        assert "a b c d" == printable("a\x1b b\r\n\tc\u202e d")
        assert 200 == len(printable("x" * 5000))
        assert printable("x" * 5000).endswith("x…")

    @pytest.mark.parametrize(
        ("status", "body", "lost"),
        [
            (400, {"error": {"code": "BAD_REQUEST", "message": "Organization ID required"}}, True),
            (400, {"error": {"code": "UNAUTHORIZED", "message": "no session"}}, True),
            (400, {"code": "UNAUTHORIZED"}, True),
            (400, {"error": {"code": "BAD_REQUEST", "message": "name must be string"}}, False),
            (400, [], False),
            (422, {"error": {"code": "UNAUTHORIZED"}}, False),
        ],
    )
    def test_lance_says_400_where_it_means_401(self, status: int, body: Any, *, lost: bool) -> None:
        """By code and by message, since the status misleads."""
        assert lost == session_is_lost(Answer(status=status, body=orjson.dumps(body)))
