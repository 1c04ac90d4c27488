"""Running totals of the ledger. Nothing is synced by them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, String
from sqlmodel import Field, SQLModel


class TotalRow(SQLModel, table=True):
    """What was ever counted of one kind. Rows of the ledger may be forgotten; these only grow."""

    __tablename__ = "totals"

    kind: str = Field(sa_column=Column(String(16), primary_key=True))
    remote: str = Field(sa_column=Column(String(128), primary_key=True))
    detail: str = Field(sa_column=Column(String(64), primary_key=True))
    """What it is made of, see `models.totals`"""
    number: int = Field(sa_column=Column(BigInteger(), nullable=False))
    seconds: float = Field(sa_column=Column(Float(), nullable=False))
