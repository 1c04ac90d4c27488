"""What every connector promises. Kept by the classes of `test_connectors.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, TypeVar

import pytest

from models.lead_list import Field, Kind, Value
from models.observation import MembersSeen, Shown
from models.patch import Patch
from worker.engine.rules import NoMapping
from worker.errors import BadAnswer, NotThere, Refused
from worker.limits.base import Lane
from worker.remotes.base import Answer, Connector, HoldsMembers, Request, Send, Wire
from worker.remotes.http import HttpWire
from worker.remotes.line import Line
from worker.remotes.memory import NoLimit

T = TypeVar("T")

ADA, BLAISE, CARL = (f"00000000-0000-7000-8000-00000000000{n}" for n in (1, 2, 3))
NOBODY = "00000000-0000-7000-8000-0000000000ff"
CREATED_AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
#: A value that is there, and another one to write, per scalar field of a remote that has them all.
ALL_VALUES: dict[Field, tuple[Value, Value]] = {
    Field.NAME: ("Old", "New"),
    Field.OWNER: ("crm-1", "crm-2"),
    Field.ENRICHMENT: (False, True),
}

HOSTILE = {
    "nothing": b"",
    "HTML": b"<!doctype html><html><body>Just a moment...</body></html>",
    "truncated": b'{"id":"',
    "text": b"OK",
    "null": b"null",
    "a number": b"7",
    "an error with status 200": b'{"error":"INTERNAL_FAILURE"}',
    "an error object with status 200": b'{"error":{"code":"X","message":"y"}}',
    "an object of something else": b'{"status":"ok"}',
    "items that are no list": b'{"items":{"a":1},"leadlists":{"a":1}}',
    "items that are no lists": b'{"items":[7],"leadlists":[7]}',
    "not Unicode": b'{"id":"\xff"}',
    "NaN": b'{"items":NaN,"leadlists":NaN}',
}


@dataclass
class Canned:
    """A wire that gives the same answer to everything."""

    answer: Answer
    requests: list[Request] = field(default_factory=list)

    async def exchange(self, request: Request) -> Answer:
        """The answer."""
        self.requests.append(request)
        return self.answer


@dataclass
class There:
    """One remote as these tests see it: its connector, a way to call it, and a way to prepare it."""

    connector: Connector
    wire: Callable[[], Wire]
    #: Puts lists there (canonical words) and answers with their ids.
    seed: Callable[[Sequence[dict[str, Any]]], list[str]]
    tickets: NoLimit = field(default_factory=NoLimit)
    calls: int = 0

    def __call__(self, work: Callable[[Connector, Send], Awaitable[T]], wire: Wire | None = None) -> T:
        """Do some work over one line."""

        async def run() -> T:
            used = wire or self.wire()
            with Line(used, self.tickets, Lane.LIVE, self.connector.error) as line:
                try:
                    return await work(self.connector, line)
                finally:
                    self.calls += line.calls
                    if isinstance(used, HttpWire):
                        await used.close()

        return asyncio.run(run())

    def get(self, remote_id: str, wire: Wire | None = None) -> Shown:
        """Read one list."""
        return self(lambda connector, send: connector.get(send, remote_id), wire)

    def patch(self, remote_id: str, patch: Patch, kind: Kind | None = None, wire: Wire | None = None) -> Shown | None:
        """Tell one list what differs."""
        return self(lambda connector, send: connector.patch(send, remote_id, kind, patch), wire)

    def create(self, patch: Patch, kind: Kind | None = Kind.PERSON, wire: Wire | None = None) -> Shown:
        """Make a list."""
        return self(lambda connector, send: connector.create(send, kind, patch, CREATED_AT), wire)

    def pages(self) -> list[list[Shown]]:
        """All pages, with a guard against paging for ever."""

        async def walk(connector: Connector, send: Send) -> list[list[Shown]]:
            pages, cursor = [], None
            for _ in range(20):
                page = await connector.page(send, cursor)
                pages.append(list(page.items))
                cursor = page.next
                if cursor is None:
                    return pages
            raise AssertionError("paging does not end")

        return self(walk)


class ConnectorContract:
    """The promises. A subclass says how to reach its remote, and what it holds."""

    #: Per field: a value that is there, and another one to write.
    VALUES: ClassVar[dict[Field, tuple[Value, Value]]]
    #: One owner as the remote itself spells it, by canonical owner.
    SPELLED: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def there(self) -> There:
        raise NotImplementedError

    def row(self, **other: Any) -> dict[str, Any]:
        """A list with the first value of each field, as `There.seed` takes it."""
        values = {f.value: value for f, (value, _) in self.VALUES.items()}
        if values.get("owner"):
            values["owner"] = self.SPELLED.get(str(values["owner"]), str(values["owner"]))
        return {"kind": "person", "members": [ADA, BLAISE], **values, **other}

    def before(self) -> dict[Field, Value]:
        return {f: value for f, (value, _) in self.VALUES.items()}

    def test_get_shows_what_is_there(self, there: There) -> None:
        """Every field of the remote, in canonical form, and nothing that it does not have."""
        [remote_id] = there.seed([self.row()])

        shown = there.get(remote_id)

        assert remote_id == shown.remote_id
        assert self.before() == shown.fields
        if isinstance(there.connector, HoldsMembers):
            assert (frozenset({ADA, BLAISE}), Kind.PERSON) == (shown.members, shown.kind)
        else:
            assert shown.members is None
        assert there.connector.capabilities.versioned == (shown.version is not None)

    def test_patch_changes_the_named_field_only(self, there: There) -> None:
        """One field after the other: the answer shows it, and a read shows the same."""
        [remote_id] = there.seed([self.row()])
        expected = self.before()

        for name, (_, value) in self.VALUES.items():
            expected[name] = value
            answer = there.patch(remote_id, Patch({name: value}))

            assert answer is not None
            assert expected == answer.fields
            assert answer == there.get(remote_id)

    def test_patch_changes_all_fields_in_one_request(self, there: There) -> None:
        """Scalars travel together."""
        [remote_id] = there.seed([self.row()])
        after = {name: value for name, (_, value) in self.VALUES.items()}

        answer = there.patch(remote_id, Patch(after))

        assert answer is not None
        assert after == answer.fields
        assert 1 == there.calls

    def test_patch_clears_what_may_be_empty(self, there: There) -> None:
        """Null is an instruction, not an omission."""
        [remote_id] = there.seed([self.row()])
        empty: dict[Field, Value] = {name: None for name in self.VALUES if name is not Field.NAME}

        for name in empty:
            there.patch(remote_id, Patch({name: None}))

        assert {**self.before(), **empty} == there.get(remote_id).fields

    def test_patch_adds_and_removes_members(self, there: There) -> None:
        """Members named in the patch come and go, the others stay; the answer shows the whole set, or what moved."""
        if not isinstance(there.connector, HoldsMembers):
            return
        [remote_id] = there.seed([self.row()])

        answer = there.patch(
            remote_id, Patch({Field.NAME: "New"}, frozenset({CARL}), frozenset({ADA, NOBODY})), Kind.PERSON
        )

        assert answer is not None
        moved = MembersSeen(whole=False, added=frozenset({CARL}), removed=frozenset({ADA, NOBODY}))
        assert (answer.members, answer.moved) in ((frozenset({BLAISE, CARL}), None), (None, moved))
        assert "New" == answer.fields[Field.NAME]
        assert frozenset({BLAISE, CARL}) == there.get(remote_id).members

    def test_a_patch_may_be_sent_twice(self, there: There) -> None:
        """After an unclear outcome the same patch is sent again: it must do no harm."""
        [remote_id] = there.seed([self.row()])
        patch = Patch({name: value for name, (_, value) in self.VALUES.items()})

        assert there.patch(remote_id, patch) == there.patch(remote_id, patch)

    def test_an_empty_patch_is_never_sent(self, there: There) -> None:
        """Nothing to say is no call."""
        wire = Canned(Answer(status=200, body=b"{}"))

        with pytest.raises(Refused, match="nothing to change"):
            there.patch(ADA, Patch(), wire=wire)

        assert [] == wire.requests

    def test_a_field_that_is_not_there_is_never_sent(self, there: There) -> None:
        """Closed writing: a field that this kind does not have is refused before it leaves."""
        wire = Canned(Answer(status=200, body=b"{}"))
        missing = set(Field) - there.connector.capabilities.fields

        for name in missing:
            patch = Patch(add=frozenset({ADA})) if name is Field.MEMBERS else Patch({name: None})
            with pytest.raises(Refused, match=f"has no {name}"):
                there.patch(ADA, patch, wire=wire)

        assert [] == wire.requests

    def test_create_makes_one_list_that_shows_what_was_said(self, there: There) -> None:
        """The answer shows it with an id of its own, a read and a page show the same, and it was one request."""
        values = {name: value for name, (_, value) in self.VALUES.items()}

        made = there.create(Patch(values))

        assert 1 == there.calls
        assert values == made.fields
        assert made == there.get(made.remote_id)
        assert [[made]] == there.pages()

    def test_create_takes_a_name_alone_and_no_members(self, there: There) -> None:
        """Members are told when the list is there."""
        made = there.create(Patch({Field.NAME: "New"}))

        assert "New" == made.fields[Field.NAME]
        assert made.members in (None, frozenset())

    def test_two_creates_are_two_lists(self, there: There) -> None:
        """No remote here recognises a repeat, which is why nothing repeats itself."""
        first, second = there.create(Patch({Field.NAME: "New"})), there.create(Patch({Field.NAME: "New"}))

        assert first.remote_id != second.remote_id

    @pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
    def test_a_create_is_answered_with_the_list_or_badly(self, there: There, body: bytes) -> None:
        """Without an id nobody knows what was made; the answer is never guessed at."""
        wire = Canned(Answer(status=201, body=body))

        with pytest.raises(BadAnswer, match="expected "):
            there.create(Patch({Field.NAME: "New"}), wire=wire)

        assert 1 == len(wire.requests)

    def test_an_id_that_marks_what_is_to_come_is_a_bad_answer(self, there: There) -> None:
        """`pending:` is leadsync's own word."""
        body = b'{"id": "pending:1", "name": "New", "updated_at": "2026-01-01T00:00:00Z", "type": "person"}'

        with pytest.raises(BadAnswer, match="pending:"):
            there.create(Patch({Field.NAME: "New"}), wire=Canned(Answer(status=200, body=body)))

    def test_an_empty_create_is_never_sent(self, there: There) -> None:
        """A list without a name is none."""
        wire = Canned(Answer(status=200, body=b"{}"))

        with pytest.raises(Refused, match="nothing to change"):
            there.create(Patch(), wire=wire)

        assert [] == wire.requests

    def test_an_unknown_id_is_not_there(self, there: There) -> None:
        """Reads and writes of a list that does not exist say so in the same way."""
        with pytest.raises(NotThere):
            there.get(NOBODY)
        with pytest.raises(NotThere):
            there.patch(NOBODY, Patch({Field.NAME: "New"}))

    @pytest.mark.parametrize("remote_id", ["", ".", ".."])
    def test_an_id_that_leads_elsewhere_is_never_sent(self, there: There, remote_id: str) -> None:
        """`..` would turn a read of one list into a read of all."""
        wire = Canned(Answer(status=200, body=b"{}"))

        with pytest.raises(Refused, match="cannot be an id"):
            there.get(remote_id, wire)

        assert [] == wire.requests

    def test_pages_show_every_list_once(self, there: There) -> None:
        """Over several pages nothing is skipped and nothing comes twice."""
        ids = there.seed([self.row(name=f"List {n}") for n in range(205)])

        pages = there.pages()

        shown = [one for page in pages for one in page]
        assert sorted(ids) == sorted(one.remote_id for one in shown)
        assert {f"List {n}" for n in range(205)} == {one.fields[Field.NAME] for one in shown}

    def test_a_page_shows_what_get_shows(self, there: There) -> None:
        """A scan sees lists as a read does."""
        [remote_id] = there.seed([self.row()])

        # Who the members are is said where whole members are sent.
        assert [[replace(there.get(remote_id), people=())]] == there.pages()

    def test_a_remote_without_lists_has_one_empty_page(self, there: There) -> None:
        """Empty is an answer too, when the remote says so plainly."""
        assert [[]] == there.pages()

    def test_spell_is_what_a_write_shows(self, there: There) -> None:
        """Normalise before you compare: else there is a PATCH for ever."""
        [remote_id] = there.seed([self.row()])

        for name, values in self.VALUES.items():
            for value in values:
                spelled = there.connector.spell(name, value)
                answer = there.patch(remote_id, Patch({name: value}))

                assert answer is not None
                assert spelled == answer.fields[name]
                assert spelled == there.connector.spell(name, spelled)

    def test_spell_knows_what_has_no_counterpart(self, there: There) -> None:
        """A name is never null, and a user of some other remote means nothing here."""
        with pytest.raises(NoMapping):
            there.connector.spell(Field.NAME, None)
        if Field.OWNER in there.connector.capabilities.fields:
            with pytest.raises(NoMapping):
                there.connector.spell(Field.OWNER, "elsewhere:user-7")

    def test_a_change_moves_the_version(self, there: There) -> None:
        """Versions are what events and stale reads are judged by."""
        if not there.connector.capabilities.versioned:
            return
        [remote_id] = there.seed([self.row()])
        first = there.get(remote_id).version

        answer = there.patch(remote_id, Patch({Field.NAME: "New"}))

        assert first is not None
        assert answer is not None
        assert answer.version is not None
        assert first < answer.version

    def test_check_says_something(self, there: There) -> None:
        """`doctor` shows a sentence when the credentials work."""
        assert there(lambda connector, send: connector.check(send)).strip()

    @pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
    def test_a_hostile_answer_is_a_bad_answer(self, there: There, body: bytes) -> None:
        """Whatever comes instead of the document, it is never taken for an empty list."""
        wire = Canned(Answer(status=200, body=body))

        with pytest.raises(BadAnswer, match="expected "):
            there.get(ADA, wire)
        with pytest.raises(BadAnswer, match="expected "):
            there(lambda connector, send: connector.page(send, None), wire)
        with pytest.raises(BadAnswer, match="expected "):
            there(lambda connector, send: connector.check(send), wire)
        if body:
            with pytest.raises(BadAnswer, match="expected "):
                there.patch(ADA, Patch({Field.NAME: "New"}), wire=wire)

    def test_a_patch_may_be_answered_without_the_list(self, there: There) -> None:
        """204 is a good answer that shows nothing."""
        assert there.patch(ADA, Patch({Field.NAME: "New"}), wire=Canned(Answer(status=204))) is None

    def test_another_list_than_asked_for_is_a_bad_answer(self, there: There) -> None:
        """A proxy that mixes up answers must not mix up lists."""
        [remote_id] = there.seed([self.row()])
        body: list[bytes] = []

        async def keep(connector: Connector, send: Send) -> None:
            async def listening(request: Request) -> Answer:
                answer = await send(request)
                body.append(answer.body)
                return answer

            await connector.get(listening, remote_id)

        there(keep)
        wire = Canned(Answer(status=200, body=body[0]))

        assert remote_id == there.get(remote_id, wire).remote_id
        with pytest.raises(BadAnswer, match="another id"):
            there.get(NOBODY, wire)
        with pytest.raises(BadAnswer, match="another id"):
            there.patch(NOBODY, Patch({Field.NAME: "New"}), wire=wire)
