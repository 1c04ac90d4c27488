"""Frozen values with something changed: `replace`, which the rules call several times for each event.

For type checkers it is `dataclasses.replace`. That one looks at the description of every field and then calls
`object.__setattr__` for each, which for a copy takes seven times as long as to write the slots themselves.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - the second name makes it part of this module
else:
    _kept = object()
    _changers = {}

    def replace(value, /, **changes):
        """The same value, but for `changes`. Raises `TypeError` for a field that it does not have."""
        kind = value.__class__
        return (_changers.get(kind) or _changer(kind))(value, **changes)

    def _changer(kind):
        """The function for this class, written out field by field, as `dataclasses` writes `__init__`."""
        fields = dataclasses.fields(kind)
        if hasattr(kind, "__post_init__") or kind.__dictoffset__ or not all(field.init for field in fields):
            raise TypeError(f"{kind.__name__} is no plain value with slots: use dataclasses.replace")
        names = [field.name for field in fields]
        # Beside the fields, which are arguments, every name has two underscores.
        arguments = ", ".join(f"{name}=__kept" for name in names)
        writes = [f"__put_{name}(__made, __value.{name} if {name} is __kept else {name})" for name in names]
        lines = [f"def replace(__value, /, *, {arguments}):", "__made = __new(__kind)", *writes, "return __made"]
        known = {f"__put_{name}": getattr(kind, name).__set__ for name in names}
        known |= {"__kept": _kept, "__kind": kind, "__new": object.__new__}
        exec("\n    ".join(lines), known)  # noqa: S102 - made of names in our own code
        _changers[kind] = known["replace"]
        return known["replace"]
