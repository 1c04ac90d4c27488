"""Members, plainly: what `bench/members.py` compares leadsync with, and how it measures. Not run by itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import orjson
import structlog
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, insert, select, update

from bench.common import memory_mib
from tests.support.big_lists import Asked, counting, key, lance_id, long_ago
from worker.remotes.base import Request
from worker.remotes.registry import Registry
from worker.settings import Settings
from worker.store.database import open_database
from worker.store.tables import LISTS, MEMBERS

LANCE = "/api/v1/entities/leadlists"

BLOBS = Table("blobs", MetaData(), Column("id", Integer, primary_key=True), Column("members", Text))
RAW = Table("raw", BLOBS.metadata, Column("list_id", Integer, primary_key=True), Column("m", String, primary_key=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """By some work."""

    wall_s: float
    #: Above what the process had before.
    peak_mib: float
    asked: Asked


def spent_by(work: Callable[[], float | None], engine: Engine | None = None) -> Spent:
    """What it used, and asked of the database. The time is what it says, else all of it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    gc.freeze()
    gc.set_threshold(500_000)  # as in production
    before = _peak_from_now()
    with ExitStack() as stack:
        asked = stack.enter_context(counting(engine)) if engine else Asked()
        begun = time.perf_counter()
        told_s = work()
        wall_s = time.perf_counter() - begun
    peak = memory_mib(os.getpid(), "status", "VmHWM")
    return Spent(wall_s=told_s or wall_s, peak_mib=peak - before, asked=asked)


def _peak_from_now() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return memory_mib(os.getpid(), "status", "VmRSS")


def insert_one_by_one(url: str, numbers: range) -> Spent:
    """The least that keeping a member can be."""
    engine = open_database(url)
    RAW.create(engine, checkfirst=True)
    times = []

    def work() -> float:
        for number in numbers:
            begun = time.perf_counter()
            with engine.begin() as connection:
                connection.execute(insert(RAW), {"list_id": 1, "m": key(number)})
            times.append(time.perf_counter() - begun)
        return statistics.median(times)

    spent = spent_by(work)
    engine.dispose()
    return spent


def blob_one_by_one(url: str, size: int, numbers: range) -> Spent:
    """The plain worker: read the value, add one, write the value."""
    engine = open_database(url)
    BLOBS.create(engine, checkfirst=True)
    with engine.begin() as connection:
        members = orjson.dumps([key(n) for n in range(size)]).decode()
        connection.execute(insert(BLOBS), {"id": 1, "members": members})
    del members

    def add(number: int) -> float:
        begun = time.perf_counter()
        with engine.begin() as connection:
            kept = orjson.loads(connection.execute(select(BLOBS.c.members).where(BLOBS.c.id == 1)).scalar_one())
            if key(number) not in kept:
                kept.append(key(number))
            connection.execute(update(BLOBS).values(members=orjson.dumps(kept).decode()).where(BLOBS.c.id == 1))
        return time.perf_counter() - begun

    spent = spent_by(lambda: statistics.median(map(add, numbers)))
    engine.dispose()
    return spent


def patch_plainly(settings: Settings, remote_id: str, number: int) -> Spent:
    """GET, add, PATCH, by the same HTTP client."""
    path = f"{LANCE}/{remote_id}"

    async def patch() -> None:
        registry = Registry(settings)
        wire = registry.wire("lance")
        held = orjson.loads((await wire.exchange(Request(method="GET", path=path))).body)
        body = {"personIds": [*held["personIds"], lance_id(number)]}
        orjson.loads((await wire.exchange(Request(method="PATCH", path=path, body=body))).body)
        await registry.close()

    asyncio.run(connected(settings))
    return spent_by(lambda: asyncio.run(patch()))


async def connected(settings: Settings) -> None:
    """The HTTP client has made its first exchange, for which modules are loaded. The simulators do not count it."""
    registry = Registry(settings)
    for remote in settings.remotes:
        await registry.wire(remote).exchange(Request(method="GET", path="/_sim/summary"))
    await registry.close()


def write_members(url: str, size: int) -> Spent:
    """The least that writing down whole membership can be."""
    engine = open_database(url)
    row = {"wanted": True, "differs": False, "seen": {"crm": [True, "2026-01-01T00:00:00+00:00", None]}}

    def work() -> None:
        rows = [{"list_id": 1, "member": key(n), **row} for n in range(size)]
        with engine.begin() as connection:
            connection.execute(insert(MEMBERS), rows)

    with engine.begin() as connection:
        connection.execute(insert(LISTS), {"id": 1, "created_at": long_ago()})
    spent = spent_by(work)
    engine.dispose()
    return spent
