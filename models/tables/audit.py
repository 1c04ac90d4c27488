"""What people did. Only ever added to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, String
from sqlmodel import Field, SQLModel

from models.tables.types import UtcDateTime, document, number


class AuditRow(SQLModel, table=True):
    """One thing that one person changed, with what was there before. Never holds a password or a token."""

    __tablename__ = "audit"

    id: int | None = Field(default=None, sa_column=Column(number(), primary_key=True, autoincrement=True))
    at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    who: str = Field(sa_column=Column(String(200), nullable=False))
    what: str = Field(sa_column=Column(String(32), nullable=False))
    target: str = Field(sa_column=Column(String(700), nullable=False))
    before: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
    after: dict[str, Any] = Field(sa_column=Column(document(), nullable=False))
