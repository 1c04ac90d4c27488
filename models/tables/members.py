"""Who members are: their ids on each remote, what they are called, and where they cannot be told of."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, String
from sqlmodel import Field, SQLModel

from models.tables.types import number


class IdentityRow(SQLModel, table=True):
    """One id of one member: on a remote, or, with `@` for a system, an e-mail address."""

    __tablename__ = "identities"
    __table_args__ = (Index("ix_identities_member", "member", "system"),)

    system: str = Field(sa_column=Column(String(128), primary_key=True))
    id: str = Field(sa_column=Column(String(512), primary_key=True))
    member: str = Field(sa_column=Column(String(512), nullable=False))
    """Its key"""
    learned: int = Field(sa_column=Column(number(), nullable=False))
    """Of several ids in one system the one with the highest number is used: microseconds of the epoch"""


class PersonRow(SQLModel, table=True):
    """What a member is called, for remotes that make a row of each."""

    __tablename__ = "people"

    member: str = Field(sa_column=Column(String(512), primary_key=True))
    first_name: str | None = Field(default=None, sa_column=Column(String(512)))
    last_name: str | None = Field(default=None, sa_column=Column(String(512)))
    company_name: str | None = Field(default=None, sa_column=Column(String(512)))


class ExclusionRow(SQLModel, table=True):
    """A member that a list wants and one remote cannot be told of."""

    __tablename__ = "exclusions"
    __table_args__ = (Index("ix_exclusions_member", "member"),)

    list_id: int = Field(
        sa_column=Column("list_id", number(), ForeignKey("lead_lists.id", ondelete="CASCADE"), primary_key=True)
    )
    remote: str = Field(sa_column=Column(String(128), primary_key=True))
    member: str = Field(sa_column=Column(String(512), primary_key=True))
    reason: str = Field(sa_column=Column(String(200), nullable=False))


class NamingRow(SQLModel, table=True):
    """By what a remote knew members when they were seen there, since settings can change."""

    __tablename__ = "namings"

    remote: str = Field(sa_column=Column(String(128), primary_key=True))
    naming: str = Field(sa_column=Column(String(16), nullable=False))
