"""The ledger: changes (what was agreed and why), attempts (what was called), rejects (what could not be taken in)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Text
from sqlmodel import Field, SQLModel

from models.tables.types import UtcDateTime, document, number


def _row_id() -> Column[int]:
    return Column(number(), primary_key=True, autoincrement=True)


class ChangeRow(SQLModel, table=True):
    """One step in a list's history. Outlives its list: no foreign key."""

    __tablename__ = "changes"
    __table_args__ = (Index("ix_changes_list", "list_id", "id"),)

    id: int | None = Field(default=None, sa_column=_row_id())
    list_id: int = Field(sa_column=Column(BigInteger(), nullable=False))
    at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    field: str | None = Field(default=None, sa_column=Column(String(16)))
    old: Any = Field(default=None, sa_column=Column(document()))
    new: Any = Field(default=None, sa_column=Column(document()))
    origin: str = Field(sa_column=Column(String(128), nullable=False))
    stamp: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    sequence: str | None = Field(default=None, sa_column=Column(String(30)))
    cause: str = Field(sa_column=Column(String(600), nullable=False))


class TraceRow(SQLModel, table=True):
    """What made a field wanted, or shown: a span of OpenTelemetry. Kept for a day; written only while tracing is on."""

    __tablename__ = "traces"
    __table_args__ = (Index("ix_traces_list", "list_id", "id"), Index("ix_traces_at", "at"))

    id: int | None = Field(default=None, sa_column=_row_id())
    list_id: int = Field(sa_column=Column(BigInteger(), nullable=False))
    at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    field: str | None = Field(default=None, sa_column=Column(String(16)))
    traceparent: str = Field(sa_column=Column(String(55), nullable=False))


class AttemptRow(SQLModel, table=True):
    """One HTTP call for one copy. Never holds a token or an answer's body."""

    __tablename__ = "attempts"
    __table_args__ = (Index("ix_attempts_list", "list_id", "id"),)

    id: int | None = Field(default=None, sa_column=_row_id())
    list_id: int = Field(sa_column=Column(BigInteger(), nullable=False))
    remote: str = Field(sa_column=Column(String(128), nullable=False))
    action: str = Field(sa_column=Column(String(16), nullable=False))
    lane: str = Field(sa_column=Column(String(16), nullable=False))
    at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    sent: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
    status: int | None = Field(default=None, sa_column=Column(Integer()))
    outcome: str = Field(sa_column=Column(String(16), nullable=False))
    note: str = Field(sa_column=Column(String(600), nullable=False))
    duration_ms: float = Field(sa_column=Column(Float(), nullable=False))
    lag_ms: float | None = Field(default=None, sa_column=Column(Float()))


class RejectRow(SQLModel, table=True):
    """An entry of the stream that could not be taken in, as received."""

    __tablename__ = "rejects"

    id: int | None = Field(default=None, sa_column=_row_id())
    entry_id: str = Field(sa_column=Column(String(64), nullable=False, unique=True))
    received_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    reason: str = Field(sa_column=Column(String(1000), nullable=False))
    event: str = Field(sa_column=Column(Text(), nullable=False))
