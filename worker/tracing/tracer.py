"""The tracer, its spans, and the ones that are there while tracing is off. `otel.py` holds the others."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

#: What may stand in a span: ids, names of fields and remotes, words of ours, numbers. Never a value of a list.
Told = str | int | Sequence[str] | None


class Side(enum.Enum):
    """Which side of a call a span is."""

    INSIDE = enum.auto()  #: neither
    SERVER = enum.auto()  #: we were called
    CONSUMER = enum.auto()  #: we took it from the stream
    CLIENT = enum.auto()  #: we call


class Span(Protocol):
    """One piece of work: a block of `with`."""

    @property
    def traceparent(self) -> str | None:
        """How others name it as their cause (W3C Trace Context). None when nobody records it."""
        ...

    def note(self, **about: Told) -> None:
        """More about it; what is None is left out."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Tracer(Protocol):
    """Makes spans. What is told about them is named `remote`, not `leadsync.remote`: the tracer adds that."""

    @property
    def on(self) -> bool:
        """Whether it is worth while to look for causes."""
        ...

    def span(self, name: str, side: Side, causes: Sequence[str] = (), **about: Told) -> Span:
        """Of the trace of its first cause, and tied to the others; without any, of a new trace."""
        ...

    def request(self, method: str) -> Span:
        """A request over HTTP, as a part of the span whose block this is; nothing outside of one."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class _NoSpan:
    """Nobody records it."""

    traceparent = None

    def note(self, **about: Told) -> None:
        """See `Span.note`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing ends."""


NO_SPAN = _NoSpan()


class _NoTracer:
    """Tracing is off."""

    on = False

    def span(self, name: str, side: Side, causes: Sequence[str] = (), **about: Told) -> Span:
        return NO_SPAN

    def request(self, method: str) -> Span:
        return NO_SPAN

    def close(self) -> None:
        """Nothing is left."""


NO_TRACER: Tracer = _NoTracer()
