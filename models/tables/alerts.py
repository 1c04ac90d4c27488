"""The alerts that people were told, and those that they must still be told."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Column, Integer, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from models.tables.types import UtcDateTime, number


class AlertRow(SQLModel, table=True):
    """One state became bad, or good again."""

    __tablename__ = "alerts"
    # Two workers that see the same: the second one finds that it was noted.
    __table_args__ = (UniqueConstraint("kind", "about", "nth"),)

    id: int | None = Field(default=None, sa_column=Column(number(), primary_key=True, autoincrement=True))
    kind: str = Field(sa_column=Column(String(16), nullable=False))
    about: str = Field(sa_column=Column(String(128), nullable=False))
    """A remote, or nothing for all of leadsync"""
    nth: int = Field(sa_column=Column(Integer(), nullable=False))
    bad: bool = Field(sa_column=Column(Boolean(), nullable=False))
    at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    says: str = Field(sa_column=Column(String(1000), nullable=False))
    next_step: str = Field(sa_column=Column(String(1000), nullable=False))
    wavers_since: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    """Since when it looks otherwise, not yet for long enough"""
    message: str = Field(sa_column=Column(String(64), nullable=False))
    """The webhook-id, the same at every try"""
    told_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    tries: int = Field(sa_column=Column(Integer(), nullable=False))
    due_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    """Not tried before then"""
    trouble: str = Field(sa_column=Column(String(200), nullable=False))
    """Why the last try failed"""
