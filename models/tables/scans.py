"""Scans with their certificates, the pages they have read, what they found; and plans that may be applied."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Text, text
from sqlmodel import Field, SQLModel

from models.tables.types import UtcDateTime, document, number

#: One scan of a remote at a time, however many begin one at the same moment.
_UNDER_WAY = text("state IN ('reading', 'taking', 'checking')")


def _scan_id() -> Column[int]:
    return Column("scan_id", number(), ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True, nullable=False)


class ScanRow(SQLModel, table=True):
    """One look at every list of one remote, under way or with its certificate."""

    __tablename__ = "scans"
    __table_args__ = (
        Index("ix_scans_remote", "remote", "id"),
        Index("uq_scans_under_way", "remote", unique=True, sqlite_where=_UNDER_WAY, postgresql_where=_UNDER_WAY),
    )

    id: int | None = Field(default=None, sa_column=Column(number(), primary_key=True, autoincrement=True))
    remote: str = Field(sa_column=Column(String(128), nullable=False))
    trigger: str = Field(sa_column=Column(String(16), nullable=False))
    state: str = Field(sa_column=Column(String(16), nullable=False))
    started_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    ended_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    note: str = Field(sa_column=Column(String(600), nullable=False))
    cursor: str | None = Field(default=None, sa_column=Column(Text()))
    due_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    tries: int = Field(sa_column=Column(Integer(), nullable=False))
    fence: int = Field(sa_column=Column(number(), nullable=False))
    lease_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    pages: int = Field(sa_column=Column(Integer(), nullable=False))
    chain: str = Field(sa_column=Column(String(16), server_default="", nullable=False))
    lists: int = Field(sa_column=Column(Integer(), nullable=False))
    new: int = Field(sa_column=Column(Integer(), nullable=False))
    drift: int = Field(sa_column=Column(Integer(), nullable=False))
    repaired: int = Field(sa_column=Column(Integer(), nullable=False))
    moved: int = Field(sa_column=Column(Integer(), nullable=False))
    missing: int = Field(sa_column=Column(Integer(), nullable=False))
    gone: int = Field(sa_column=Column(Integer(), nullable=False))


class ScanPageRow(SQLModel, table=True):
    """One page of a scan: the chain of cursors, and which lists it showed. Forgotten when the scan has ended."""

    __tablename__ = "scan_pages"

    scan_id: int = Field(sa_column=_scan_id())
    number: int = Field(sa_column=Column(Integer(), primary_key=True, nullable=False))
    cursor: str | None = Field(default=None, sa_column=Column(Text()))
    ids: list[str] = Field(sa_column=Column(document(), nullable=False))


class ScanFindingRow(SQLModel, table=True):
    """One list that a scan found changed, until it is taken in."""

    __tablename__ = "scan_findings"

    scan_id: int = Field(sa_column=_scan_id())
    remote_id: str = Field(sa_column=Column(String(512), primary_key=True, nullable=False))
    asked_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    shown: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
    """{kind, fields, members, rows, version}"""


class GoneRow(SQLModel, table=True):
    """A list that was found to be gone: late news of it does not make it a list again."""

    __tablename__ = "gone_lists"

    # The id first: it is what is asked for.
    remote_id: str = Field(sa_column=Column(String(512), primary_key=True, nullable=False))
    remote: str = Field(sa_column=Column(String(128), primary_key=True, nullable=False))
    at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class PlanRow(SQLModel, table=True):
    """A plan that a person has seen, by its hash, so that exactly that can be applied."""

    __tablename__ = "plans"

    hash: str = Field(sa_column=Column(String(64), primary_key=True))
    made_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    items: list[Any] = Field(sa_column=Column(document(), nullable=False))
    """[[list number, remote, id there, signature]]"""
