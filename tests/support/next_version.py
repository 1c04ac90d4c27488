"""A leadsync of tomorrow, which brings one migration more: for the test of two versions side by side.

`python -m tests.support.next_version` is `leadsync`, but for its migrations: a copy of ours in the folder that
NEXT_MIGRATIONS names, and the next one with them.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.stack import Stack

_ME = (sys.executable, "-m", "tests.support.next_version")
_FOLDER = "NEXT_MIGRATIONS"
_OURS = Path(__file__).parents[2] / "models" / "migrations"

#: What a newer leadsync may do while older ones work: add what they need not know.
_NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "{new}", "{old}", None, None


def upgrade() -> None:
    # Workers lock lists first and copies after them: another order could meet theirs in a circle.
    for table in ("lead_lists", "copies", "changes"):
        op.add_column(table, sa.Column("flavour", sa.String(40), nullable=True))
    op.create_index("ix_copies_flavour", "copies", ["flavour", "list_id"])
    op.create_table("flavours", sa.Column("name", sa.String(40), primary_key=True))
"""


@dataclass(frozen=True, slots=True)
class NextVersion:
    """It, and the schemas that are current for today's program and for itself."""

    command: tuple[str, ...]
    old: str
    new: str


def next_version(stack: Stack, folder: Path) -> NextVersion:
    """Its commands can be started in this stack."""
    shutil.copytree(_OURS, folder)
    old = max(path.name[:4] for path in (folder / "versions").glob("[0-9]*.py"))
    new = f"{int(old) + 1:04}"
    (folder / "versions" / f"{new}_flavours.py").write_text(_NEXT.format(old=old, new=new))
    stack.env |= {_FOLDER: str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    return NextVersion(_ME, old, new)


def main() -> None:
    """Leadsync's command."""
    import models.migrations
    from worker import cli
    from worker.cli import processes

    models.migrations.__file__ = str(Path(os.environ[_FOLDER], "__init__.py"))
    own: Any = processes  # how it starts itself anew, in this process alone
    own._LEADSYNC = _ME
    cli.main()


if __name__ == "__main__":
    main()
