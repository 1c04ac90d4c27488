"""Counts what all databases of this process are asked, in whatever thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


@contextmanager
def statements() -> Iterator[list[str]]:
    """Those that were executed inside the block; begin and commit left out."""
    asked: list[str] = []

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    event.listen(Engine, "after_cursor_execute", executed)
    try:
        yield asked
    finally:
        event.remove(Engine, "after_cursor_execute", executed)
