"""docs/settings.md, made of the settings' own code: python -m tests.support.settings_reference > docs/settings.md."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from worker.settings import PREFIX, Settings
from worker.settings import shape as settings

_HEAD = """\
# Settings

<!-- Made of worker/settings/shape.py by: python -m tests.support.settings_reference > docs/settings.md -->

leadsync reads `leadsync.toml` in the working directory, or the file that the variable `LEADSYNC_CONFIG` names.
Every setting can be given as an environment variable too, and the variable wins.
In a variable, lists and tables are JSON: `LEADSYNC_SYNC__AUTHORITY='["crm"]'`.
A key that leadsync does not know is an error that names the nearest known one.
Settings are read when a process starts, so start it anew after a change.
Where a setting says "no effect yet", its name is fixed and its work comes with a later version.

```toml
data_dir = "/var/lib/leadsync"

[redis]
url = "redis://127.0.0.1:6379/0"

[database]
url = "postgresql+psycopg://leadsync@127.0.0.1/leadsync"

[sync]
authority = ["crm", "lance"]

[sync.conflicts]
name = "newest"

[remotes.crm]
kind = "crm"
base_url = "https://crm.example.com/api"
token_file = "/run/secrets/crm"

[remotes.lance]
kind = "lance"
base_url = "https://app.lance.so"
token_file = "/run/secrets/lance"
fields = { members = "both" }
```

`NAME` below is the name that you give a remote: letters, digits, hyphens and single underscores, at most 64.
Variables reach a remote only when its name has neither capital letters nor hyphens.
One more variable is no setting: `LEADSYNC_REDIS_BIN` names the server that runs as the embedded Redis.
Where [traces](tracing.md) go is told by OpenTelemetry's own variables, as `OTEL_EXPORTER_OTLP_ENDPOINT`.
"""


@dataclass(frozen=True, slots=True)
class _Setting:
    """One setting as users see it."""

    path: str
    #: Its JSON schema; `default` is missing where it must be given.
    schema: Mapping[str, Any]
    docstring: str


def reference() -> str:
    """The whole page."""
    whole, docstrings = Settings.model_json_schema(), _docstrings(inspect.getsource(settings))
    groups: list[tuple[str, type[BaseModel]]] = [("", Settings), *_groups()]
    page = [_HEAD]
    for path, group in groups:
        schema = whole["$defs"][group.__name__] if path else whole
        about = f"{inspect.getdoc(group)} {docstrings.get(('Settings', path.partition('.')[0]), '')}"
        page.append(f"## {f'`[{path}]`' if path else 'At the top'}\n\n{_lines(about)}\n")
        for name, one in schema["properties"].items():
            if not _is_group(one):
                where = f"{path}.{name}" if path else name
                page.append(_entry(_Setting(where, one, docstrings[group.__name__, name]), whole["$defs"]))
    return "\n".join(page)


def _groups() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, field in Settings.model_fields.items():
        if name == "remotes":
            yield "remotes.NAME", settings.RemoteSettings
        elif inspect.isclass(field.annotation) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def _is_group(schema: Mapping[str, Any]) -> bool:
    return "Settings" in str(schema)  # a reference to one of our classes


def _docstrings(source: str) -> dict[tuple[str, str], str]:
    """(class, field) to the string below the field."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    found = {}
    for one in classes:
        for before, after in itertools.pairwise(one.body):
            match before, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[one.name, name] = inspect.cleandoc(text)
    return found


def _entry(one: _Setting, known: Mapping[str, Any]) -> str:
    variable = PREFIX + one.path.upper().replace(".", "__")
    default = f"default {_default(one.schema['default'])}" if "default" in one.schema else "must be given"
    facts = f"{_type(one.schema, known)}; {default}; `{variable}`"
    return f"### `{one.path}`\n\n{facts}\n\n{_lines(one.docstring)}\n"


def _default(value: Any) -> str:
    match value:
        case None:
            return "none"
        case {}:
            return "empty"
        case _:
            return f"`{json.dumps(value)}`"


def _type(schema: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": str(name)}:
            return _type(known[name.rpartition("/")[2]], known)
        case {"anyOf": [inner, {"type": "null"}]}:
            return _type(inner, known)
        case {"enum": words}:
            *most, last = (f"`{word}`" for word in words)
            return f"{', '.join(most)} or {last}"
        case {"type": "array", "items": item}:
            return f"list of {_type(item, known)}"
        case {"type": "object", "additionalProperties": value}:
            key = _type(schema.get("propertyNames", {"type": "string"}), known)
            return f"table of {key} to {_type(value, known)}"
        case {"format": "password"}:
            return "secret text"
        case {"format": "path"}:
            return "path"
        case {"type": "integer" | "number" as kind}:
            return ("whole number" if kind == "integer" else "number") + _bounds(schema)
        case _:
            return "text"


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    bounds = [f" {word} {schema[bound]:g}" for bound, word in words.items() if bound in schema]
    return ",".join(bounds)


def _lines(text: str) -> str:
    """One sentence a line."""
    return re.sub(r"(?<=[.!?]) (?=[A-Z0-9`])", "\n", " ".join(text.split()))


if __name__ == "__main__":
    sys.stdout.write(reference())
