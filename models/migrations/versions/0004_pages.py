"""What the pages need: the key of the wanted name to sort and search by, indexes that answer by themselves, and what
people hold.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NOT_IN_SYNC = sa.text("since IS NOT NULL")
_PARKED = sa.text("standing = 'parked'")
_WANTED = sa.table("wanted", sa.column("list_id", sa.Integer), sa.column("fields"), sa.column("name_key", sa.String))
_AT_ONCE = 1_000
_HOLDS = sa.text("holds IS NOT NULL")
_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("wanted", sa.Column("name_key", sa.String(length=100), nullable=True))
    _fill_name_keys()
    op.create_index("ix_wanted_name", "wanted", ["name_key", "list_id"], unique=False)
    for name, column in (("ix_copies_standing", "standing"), ("ix_copies_name", "name_key")):
        op.drop_index(name, "copies")
        op.create_index(name, "copies", ["remote", column, "list_id"], unique=False)
    op.create_index(
        "ix_copies_since",
        "copies",
        ["since", "list_id"],
        unique=False,
        sqlite_where=_NOT_IN_SYNC,
        postgresql_where=_NOT_IN_SYNC,
    )
    op.create_index(
        "ix_copies_parked",
        "copies",
        ["list_id", "remote"],
        unique=False,
        sqlite_where=_PARKED,
        postgresql_where=_PARKED,
    )
    op.add_column("lead_lists", sa.Column("holds", _DOCUMENT, nullable=True))
    op.create_index(
        "ix_lead_lists_holds", "lead_lists", ["id"], unique=False, sqlite_where=_HOLDS, postgresql_where=_HOLDS
    )


def downgrade() -> None:
    op.drop_index("ix_lead_lists_holds", "lead_lists", sqlite_where=_HOLDS, postgresql_where=_HOLDS)
    op.drop_column("lead_lists", "holds")  # not as a batch: SQLite would drop the table, and all that belongs to it
    op.drop_index("ix_copies_parked", "copies", sqlite_where=_PARKED, postgresql_where=_PARKED)
    op.drop_index("ix_copies_since", "copies", sqlite_where=_NOT_IN_SYNC, postgresql_where=_NOT_IN_SYNC)
    for name, column in (("ix_copies_name", "name_key"), ("ix_copies_standing", "standing")):
        op.drop_index(name, "copies")
        op.create_index(name, "copies", ["remote", column], unique=False)
    op.drop_index("ix_wanted_name", "wanted")
    with op.batch_alter_table("wanted") as wanted:
        wanted.drop_column("name_key")


def _fill_name_keys() -> None:
    """In pages: without case and spacing, as the copies' keys are."""
    connection, last = op.get_bind(), 0
    page = sa.select(_WANTED.c.list_id, _WANTED.c.fields).order_by(_WANTED.c.list_id).limit(_AT_ONCE)
    key = sa.update(_WANTED).where(_WANTED.c.list_id == sa.bindparam("number")).values(name_key=sa.bindparam("key"))
    while rows := connection.execute(page.where(_WANTED.c.list_id > last)).all():
        last = rows[-1].list_id
        named = [{"number": row.list_id, "key": _name_key(row.fields)} for row in rows]
        connection.execute(key, named)


def _name_key(fields: Any) -> str | None:
    name, *_ = (json.loads(fields) if isinstance(fields, str | bytes) else fields).get("name", [None])
    return None if name is None else "".join(str(name).split()).casefold()[:100]
