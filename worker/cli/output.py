"""What commands print: one JSON document on stdout with --json, text otherwise; everything else on stderr."""

from __future__ import annotations

import enum
import re
import sys
from typing import Annotated, Any

import orjson
import typer

#: Control characters that JSON may hold as they are; on some terminals U+009B begins an escape code.
_UNESCAPED = re.compile("[\x7f-\x9f]")


class Exit(enum.IntEnum):
    """Exit statuses that scripts rely on."""

    DONE = 0  #: done
    FAILED = 1  #: failed, said why on stderr
    USAGE = 2  #: wrong usage or settings
    LOOK = 3  #: finished, but a person must look


#: The option that every command has.
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


def document(contents: Any) -> None:
    """Print one JSON document."""
    sys.stdout.buffer.write(harmless(orjson.dumps(contents, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)))
    sys.stdout.flush()


def harmless(json: bytes) -> bytes:
    """The same JSON without characters that a terminal would obey."""
    return _UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", json.decode()).encode()


def say(line: str) -> None:
    """Progress and trouble go to stderr, so that stdout stays a document."""
    print(printable(line), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Names come from outside: no control character reaches the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
