"""What people and lost credentials decided about remotes. Not a cache of settings."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, Column, String
from sqlmodel import Field, SQLModel

from models.tables.types import UtcDateTime


class RemoteRow(SQLModel, table=True):
    """Whether a remote is paused, why, and what to do about it."""

    __tablename__ = "remotes"

    name: str = Field(sa_column=Column(String(128), primary_key=True))
    paused: bool = Field(sa_column=Column(Boolean(), nullable=False))
    cause: str = Field(sa_column=Column(String(600), nullable=False))
    next_step: str = Field(sa_column=Column(String(600), nullable=False))
    since: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
