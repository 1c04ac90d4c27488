"""The plain worker: what a good engineer writes in an afternoon. The benches start it and compare leadsync with it.

One Celery task per event: read the row, compare, PATCH what differs to the other remotes, write the row, commit.
Everything as the documentation of Celery, SQLModel and httpx shows it: acknowledged late, retried with backoff, one
engine and one HTTP client per process, SQLite in WAL with `synchronous=NORMAL`. It has no rate budget, no ledger and
no notion of an unclear outcome; leadsync has them and is measured with them.
"""

from __future__ import annotations

import os
import sqlite3
from functools import cache
from typing import Any

import httpx
import orjson
from celery import Celery
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from sqlmodel import Field, Session, SQLModel, create_engine

#: {remote: {"url": of its lead lists, "token": …, "words": {field: its word there}, "owners": {ours: theirs}}}
REMOTES: dict[str, dict[str, Any]] = orjson.loads(os.environ.get("PLAIN_REMOTES", "{}"))

app = Celery("plain", broker=os.environ.get("PLAIN_BROKER"))
app.conf.update(task_ignore_result=True, task_acks_late=True, broker_connection_retry_on_startup=True)


class PlainList(SQLModel, table=True):
    """A lead list as the source last told it, by its id there."""

    __tablename__ = "plain_lists"

    id: str = Field(primary_key=True)
    name: str = ""
    owner: str | None = None
    enrichment: bool | None = None
    kind: str | None = None


@cache
def engine() -> Engine:
    """One per process, made after the fork."""
    made = create_engine(os.environ["PLAIN_DATABASE"])
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", _use_wal)
    return made


@cache
def client() -> httpx.Client:
    """One per process, with its connections kept alive."""
    return httpx.Client(timeout=20)


@app.task(autoretry_for=(httpx.HTTPError, OperationalError), retry_backoff=True, max_retries=None)
def lead_list_changed(told: dict[str, Any]) -> None:
    """One event, as a task of Celery."""
    take_in(told)


def take_in(told: dict[str, Any]) -> None:
    """Take one event in and tell the other remotes."""
    data = told["data"]
    with Session(engine()) as session:
        row = session.get(PlainList, told["subject"]) or PlainList(id=told["subject"])
        changed = {field: value for field, value in data["fields"].items() if getattr(row, field) != value}
        if not changed:
            return
        for remote, remote_id in data["links"].items():
            if remote in REMOTES:
                tell(REMOTES[remote], remote_id, changed)
        for field, value in changed.items():
            setattr(row, field, value)
        session.add(row)
        session.commit()


def tell(remote: dict[str, Any], remote_id: str, changed: dict[str, Any]) -> None:
    """PATCH the fields that this remote has, if any changed."""
    body = {word: changed[field] for field, word in remote["words"].items() if field in changed}
    if "owner" in changed and "owner" in remote["words"]:
        body[remote["words"]["owner"]] = remote["owners"][changed["owner"]]
    if body:
        headers = {"authorization": f"Bearer {remote['token']}"}
        client().patch(f"{remote['url']}/{remote_id}", json=body, headers=headers).raise_for_status()


def _use_wal(connection: sqlite3.Connection, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")
