"""Logs: events with fields, one line each, on stderr. Set up once by every process before anything else.

Ids and names of fields only (design rule 12). An exception is told by its type and where it happened, never by
its text or by local variables: those may hold what people wrote.
"""

from __future__ import annotations

import logging
import sys
import traceback
from types import TracebackType
from typing import Any

import structlog

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def set_up_logs() -> None:
    """structlog to stderr as `key=value`; other libraries from WARNING on."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _where,
            structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event"), bool_as_flag=False),
        ],
        logger_factory=_Stderr,
    )


class _Stderr:
    """Writes to what is stderr now, not when logs were set up: a server or a test may have replaced it."""

    def __init__(self, *_name: str) -> None:
        """structlog hands the logger's name in; the event tells enough."""

    def msg(self, line: str) -> None:
        """One line, whole, whoever else writes."""
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    log = debug = info = warning = error = critical = exception = msg


def _where(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Replace an exception by its type and the places it came through, innermost last."""
    info = _exc_info(event.pop("exc_info", None))
    if info is not None:
        kind, _, trace = info
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
        event["error"] = kind.__name__
        event["at"] = " > ".join(places[-8:])
    return event


def _exc_info(given: Any) -> ExcInfo | None:
    if isinstance(given, BaseException):
        return type(given), given, given.__traceback__
    if given is True:
        kind, error, trace = sys.exc_info()
        return (kind, error, trace) if kind is not None and error is not None else None
    return given if isinstance(given, tuple) and given[0] is not None else None
