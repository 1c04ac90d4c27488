"""What the API takes: queries and bodies. Unknown names are refused, and a body's types are taken as they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.lead_list import Standing
from worker.store.list_views import Sort

#: Ids that one request may name.
_MOST = 10_000


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("expected text without NUL")
    return text


#: Told to programs only: our own sentences say more than that something does not match.
_NO_NUL, _REMOTE_AND_ID = {"pattern": r"^[^\u0000]*$"}, {"pattern": r"^[^:\u0000]+:[^\u0000]+$"}
#: Text from outside; PostgreSQL keeps no NUL.
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=600), AfterValidator(_storable), Field(json_schema_extra=_NO_NUL)
]
#: As commands take it.
CopyName = Annotated[
    Text,
    Field(description="A list on a remote, as REMOTE:ID", examples=["crm:17"], json_schema_extra=_REMOTE_AND_ID),
]
Number = Annotated[int, Field(ge=1, le=2**62)]
FieldName = Literal["name", "owner", "enrichment", "members"]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(_Query):
    """One page of a list."""

    limit: int = Field(default=50, ge=1, le=1_000, description="Rows on one page")
    after: Text | None = Field(default=None, description="`next` of the page before")


class StatusQuery(_Query):
    """How exactly."""

    fresh: bool = Field(default=False, description="Count anew, even if a large database was counted seconds ago")


class ListsQuery(Page):
    """Which lists; everything that is given must hold."""

    name: Text | None = Field(default=None, description="Part of the name, whatever case and spacing")
    remote: Text | None = Field(default=None, description="Those with a copy there")
    standing: list[Standing] = Field(default=[], description="Lists with a copy that stands so; may be repeated")
    on_hold: bool = Field(default=False, description="Those of which people hold all, or one copy")
    sort: Sort = Field(default=Sort.NUMBER, description="standing: the most urgent first; age: the oldest first")
    down: bool = Field(default=False, description="The other way round; lists without a name, or an age, stay last")


class ParkedQuery(Page):
    """Which parked copies."""

    remote: Text | None = None
    cause: Text | None = Field(default=None, description="Part of the cause")


class ConflictsQuery(Page):
    """Which held fields; a page is so many lists."""

    remote: Text | None = None
    field: FieldName | None = None


class ScansQuery(Page):
    """Whose scans."""

    remote: Text | None = None


class AlertsQuery(Page):
    """Which alerts."""

    open: bool = Field(default=False, description="Only states that are bad now, all on one page")


class PlanQuery(_Query):
    """Which patches; the plan holds no others."""

    remote: Text | None = None
    limit: int = Field(default=1_000, ge=1, le=10_000, description="Lists that are looked at")
    after: Text | None = None


class ShowQuery(_Query):
    """How much of the past."""

    history: int = Field(default=20, ge=0, le=1_000, description="Changes and attempts, the newest")


class MembersQuery(Page):
    """Which members of a list."""

    excluded: bool = Field(default=False, description="Those that a remote cannot be told of")
    on: Text | None = Field(default=None, description="Those that this remote shows; with excluded: lacks")


class MemberQuery(_Query):
    """How much of one member."""

    lists: int = Field(default=50, ge=1, le=1_000, description="Lists that are told")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WhichParked(_Body):
    """Some copies by name, or a filter; one of the two."""

    copies: list[CopyName] | None = Field(default=None, min_length=1, max_length=_MOST)
    remote: Text | None = None
    cause: Text | None = Field(default=None, description="Part of the cause")
    all: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> WhichParked:
        if bool(self.copies) == (self.remote is not None or self.cause is not None or self.all):
            raise ValueError("say which: copies, or a filter: remote, cause or all")
        return self


class WhichHeld(_Body):
    """One field of one list, or a filter; and whose value it is to be."""

    use: Text = Field(description="A remote, whose value becomes wanted; or `wanted`, which overwrites the copies")
    copy_name: CopyName | None = Field(default=None, alias="copy")
    field: FieldName | None = None
    remote: Text | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> WhichHeld:
        named = self.copy_name is not None
        filtered = self.remote is not None or self.all or (self.field is not None and not named)
        if named == filtered or (named and self.field is None):
            raise ValueError("say which: copy and field, or a filter: remote, field or all")
        return self


class WhichLists(_Body):
    """Some lists, each by one of its copies."""

    copies: list[CopyName] = Field(min_length=1, max_length=_MOST)
    alone: bool = Field(default=False, description="Only these copies, not their whole lists")


class WhichHolds(_Body):
    """Some lists that people hold, or all; one of the two."""

    copies: list[CopyName] | None = Field(default=None, min_length=1, max_length=_MOST)
    alone: bool = Field(default=False, description="Only these copies, where they are held alone")
    all: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> WhichHolds:
        if bool(self.copies) == self.all or (self.all and self.alone):
            raise ValueError("say which: copies, or all")
        return self


class WhichRejects(_Body):
    """Some rejects by id, or all; one of the two."""

    ids: list[Number] | None = Field(default=None, min_length=1, max_length=_MOST)
    all: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> WhichRejects:
        if bool(self.ids) == self.all:
            raise ValueError("say which: ids, or all")
        return self


class Tie(_Body):
    """Copies of one lead list, each on a remote of its own."""

    copies: list[CopyName] = Field(min_length=2, max_length=64)


class Let(_Body):
    """One copy."""

    copy_name: CopyName = Field(alias="copy")
