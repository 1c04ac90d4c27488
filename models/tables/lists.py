"""Lead lists, their links, wanted values, copies (the cache) and members."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from models.tables.types import UtcDateTime, document, number


def _list_id(*, primary: bool) -> Column[int]:
    return Column(
        "list_id",
        number(),
        ForeignKey("lead_lists.id", ondelete="CASCADE"),
        primary_key=primary,
        nullable=False,
    )


class LeadListRow(SQLModel, table=True):
    """One logical lead list. Its row is what every transaction locks before it touches anything of the list."""

    __tablename__ = "lead_lists"
    __table_args__ = (
        Index(
            "ix_lead_lists_holds",
            "id",
            sqlite_where=text("holds IS NOT NULL"),
            postgresql_where=text("holds IS NOT NULL"),
        ),
        # A number is never given twice: calls in flight and the ledger know lists by it.
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(number(), primary_key=True, autoincrement=True))
    kind: str | None = Field(default=None, sa_column=Column(String(16)))
    apart: list[str] | None = Field(default=None, sa_column=Column(document()))
    """Remotes from which it was taken away"""
    holds: dict[str, Any] | None = Field(default=None, sa_column=Column(document()))
    """{remote, or nothing for the whole list: [who, since]} of what people hold"""
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class LinkRow(SQLModel, table=True):
    """Ties a list on a remote to a lead list; a lead list has at most one copy on each remote."""

    __tablename__ = "links"
    __table_args__ = (UniqueConstraint("list_id", "remote"),)

    remote: str = Field(sa_column=Column(String(128), primary_key=True))
    remote_id: str = Field(sa_column=Column(String(512), primary_key=True))
    list_id: int = Field(sa_column=_list_id(primary=False))
    linked_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class WantedRow(SQLModel, table=True):
    """The agreed value of each scalar field: {field: [value, time, sequence, origin]}."""

    __tablename__ = "wanted"
    __table_args__ = (Index("ix_wanted_name", "name_key", "list_id"),)

    list_id: int = Field(sa_column=_list_id(primary=True))
    fields: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
    name_key: str | None = Field(default=None, sa_column=Column(String(100)))
    """The wanted name without case and spacing: to sort lists by name"""


class CopyRow(SQLModel, table=True):
    """What we last saw of a list on one remote, and what stands between it and wanted."""

    __tablename__ = "copies"
    __table_args__ = (
        Index(
            "ix_copies_due",
            "remote",
            "due_at",
            "list_id",
            sqlite_where=text("standing = 'due'"),
            postgresql_where=text("standing = 'due'"),
        ),
        # With the list's number at the end, pages of lists come out of these in order.
        Index("ix_copies_standing", "remote", "standing", "list_id"),
        Index("ix_copies_name", "remote", "name_key", "list_id"),
        Index(
            "ix_copies_since",
            "since",
            "list_id",
            sqlite_where=text("since IS NOT NULL"),
            postgresql_where=text("since IS NOT NULL"),
        ),
        Index(
            "ix_copies_parked",
            "list_id",
            "remote",
            sqlite_where=text("standing = 'parked'"),
            postgresql_where=text("standing = 'parked'"),
        ),
        Index(
            "ix_copies_absent",
            "remote",
            sqlite_where=text("absent IS NOT NULL"),
            postgresql_where=text("absent IS NOT NULL"),
        ),
        Index(
            "ix_copies_held",
            "list_id",
            sqlite_where=text("held IS NOT NULL"),
            postgresql_where=text("held IS NOT NULL"),
        ),
    )

    list_id: int = Field(sa_column=_list_id(primary=True))
    remote: str = Field(sa_column=Column(String(128), primary_key=True))
    seen: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
    """{field: [value, time, sequence]}"""
    hidden: list[str] | None = Field(default=None, sa_column=Column(document()))
    """Fields that a read of the whole list did not show"""
    spelling: dict[str, Any] | None = Field(default=None, sa_column=Column(document()))
    """{field: [wanted, shown, sure]}"""
    held: dict[str, Any] | None = Field(default=None, sa_column=Column(document()))
    """{field: [value, time, sequence]} of held conflicts"""
    abandoned: dict[str, Any] | None = Field(default=None, sa_column=Column(document()))
    """{field: [value, until, add, remove]} of writes that may still land"""
    intent: dict[str, Any] | None = Field(default=None, sa_column=Column(document()))
    """The write in flight: {fields, add, remove, sent_at}"""
    parked: dict[str, Any] | None = Field(default=None, sa_column=Column(document()))
    """{cause, next_step, digest}"""
    look: bool = Field(sa_column=Column(Boolean(), nullable=False))
    standing: str = Field(sa_column=Column(String(16), nullable=False))
    waiting: str | None = Field(default=None, sa_column=Column(String(16)))
    due_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    since: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    tries: int = Field(sa_column=Column(Integer(), nullable=False))
    fence: int = Field(sa_column=Column(number(), nullable=False))
    lease_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    landed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    absent: list[str] | None = Field(default=None, sa_column=Column(document()))
    """What speaks for the list being gone"""
    name_key: str | None = Field(default=None, sa_column=Column(String(100)))
    """The name it shows, without case and spacing: to find lists of one name"""
    look_members: bool = Field(sa_column=Column(Boolean(), nullable=False))
    tally: list[int] | None = Field(default=None, sa_column=Column(document()))
    """[count, digest, rows] of the members that it shows"""
    excluded: int = Field(sa_column=Column(number(), nullable=False))
    """Members that it cannot be told of"""
    replaced: list[str] | None = Field(default=None, sa_column=Column(document()))
    """[read, landed]: when the whole membership was last read and written anew by us"""
    approved: str | None = Field(default=None, sa_column=Column(String(64)))
    """Signature of the patch that a person let through"""


class MemberRow(SQLModel, table=True):
    """One element of one list's membership, a row each: adding one to a list of a million costs one row."""

    __tablename__ = "members"
    __table_args__ = (
        Index("ix_members_member", "member"),
        Index(
            "ix_members_differing",
            "list_id",
            sqlite_where=text("differs"),
            postgresql_where=text("differs"),
        ),
    )

    list_id: int = Field(sa_column=_list_id(primary=True))
    member: str = Field(sa_column=Column(String(512), primary_key=True))
    wanted: bool = Field(sa_column=Column(Boolean(), nullable=False))
    differs: bool = Field(sa_column=Column(Boolean(), nullable=False))
    """Some remote that holds members does not show what is wanted."""
    seen: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
    """{remote: [present, time, sequence]}"""
