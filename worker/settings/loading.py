"""Loading: settings from file and environment, and mistakes in them as one sentence that names the place."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from worker.errors import UsageError
from worker.settings.shape import PREFIX, RemoteSettings, Settings, config_path

#: Variables with the prefix that are not settings.
_NOT_SETTINGS = frozenset({"LEADSYNC_CONFIG", "LEADSYNC_REDIS_BIN"})


def load_settings(**overrides: Any) -> Settings:
    """Read file and environment. Raises `UsageError` with one sentence on the first mistake."""
    path = config_path()
    if path is not None and not path.is_file():
        raise UsageError(f"LEADSYNC_CONFIG: there is no file {path}")
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        raise UsageError(_sentence(error)) from None
    except SettingsError as error:  # a group's variable that is not JSON
        group = re.search(r'field "(\w+)"', str(error))
        name = PREFIX + group[1].upper() if group else "settings"
        raise UsageError(f"{name}: expected a JSON object; or set one key, as in LEADSYNC_REDIS__URL") from None


def _refuse_unknown_variables() -> None:
    """pydantic-settings ignores LEADSYNC_RADIS__URL in silence; a typing mistake must not."""
    for name in os.environ:
        if not name.startswith(PREFIX) or name in _NOT_SETTINGS:
            continue
        first = name.removeprefix(PREFIX).lower().split("__")[0]
        if first not in Settings.model_fields:
            raise UsageError(f"{name}: unknown setting{_nearest(first, Settings.model_fields)}")


_MUST_BE = {
    "string_type": "a string",
    "tuple_type": "an array",
    "dict_type": "a table",
    "model_type": "a table",
    "float_parsing": "a number",
    "int_parsing": "a whole number",
}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    path = [str(part) for part in first["loc"] if part != "[key]"]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        return f"{where}: unknown setting{_nearest(path[-1], _known_beside(path))}"
    if first["type"] == "missing":
        return f"{where}: this setting is needed and is not there"
    if first["type"] in _MUST_BE:
        return f"{where}: must be {_MUST_BE[first['type']]}"
    return f"{where}: {first['msg'].removeprefix('Value error, ').replace('Input should be', 'must be', 1)}"


def _nearest(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(sorted(known))}"


def _known_beside(path: list[str]) -> list[str]:
    """Names of the settings that live in the same group as the last part of `path`."""
    model: Any = Settings
    parts = path[:-1]
    while parts:
        head = parts.pop(0)
        if model is Settings and head == "remotes":
            parts, model = parts[1:], RemoteSettings
        else:
            model = model.model_fields[head].annotation
    return list(model.model_fields)
