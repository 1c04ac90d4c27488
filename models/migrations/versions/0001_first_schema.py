"""The first schema: lists, links, wanted, copies, members, the ledger and the state of remotes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Spelled out, not imported: a migration must go on meaning what it meant on its day.
MOMENT = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.String(length=16), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("sent", DOCUMENT, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=600), nullable=False),
        sa.Column("duration_ms", sa.Float(), nullable=False),
        sa.Column("lag_ms", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
    )
    op.create_index("ix_attempts_list", "attempts", ["list_id", "id"], unique=False)

    op.create_table(
        "changes",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("field", sa.String(length=16), nullable=True),
        sa.Column("old", DOCUMENT, nullable=True),
        sa.Column("new", DOCUMENT, nullable=True),
        sa.Column("origin", sa.String(length=128), nullable=False),
        sa.Column("stamp", MOMENT, nullable=False),
        sa.Column("sequence", sa.String(length=30), nullable=True),
        sa.Column("cause", sa.String(length=600), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_changes"),
    )
    op.create_index("ix_changes_list", "changes", ["list_id", "id"], unique=False)

    op.create_table(
        "traces",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("field", sa.String(length=16), nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_traces"),
    )
    op.create_index("ix_traces_list", "traces", ["list_id", "id"], unique=False)
    op.create_index("ix_traces_at", "traces", ["at"], unique=False)

    op.create_table(
        "lead_lists",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_lead_lists"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "rejects",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("entry_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("reason", sa.String(length=1000), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rejects"),
        sa.UniqueConstraint("entry_id", name="uq_rejects_entry_id"),
    )
    op.create_table(
        "remotes",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.String(length=600), nullable=False),
        sa.Column("next_step", sa.String(length=600), nullable=False),
        sa.Column("since", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_remotes"),
    )
    op.create_table(
        "copies",
        sa.Column("list_id", NUMBER, nullable=False),
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("seen", DOCUMENT, nullable=False),
        sa.Column("hidden", DOCUMENT, nullable=True),
        sa.Column("spelling", DOCUMENT, nullable=True),
        sa.Column("held", DOCUMENT, nullable=True),
        sa.Column("abandoned", DOCUMENT, nullable=True),
        sa.Column("intent", DOCUMENT, nullable=True),
        sa.Column("parked", DOCUMENT, nullable=True),
        sa.Column("look", sa.Boolean(), nullable=False),
        sa.Column("standing", sa.String(length=16), nullable=False),
        sa.Column("waiting", sa.String(length=16), nullable=True),
        sa.Column("due_at", MOMENT, nullable=True),
        sa.Column("since", MOMENT, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("fence", NUMBER, nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lead_lists.id"], name="fk_copies_list_id_lead_lists", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "remote", name="pk_copies"),
    )
    op.create_index(
        "ix_copies_due",
        "copies",
        ["remote", "due_at", "list_id"],
        unique=False,
        sqlite_where=sa.text("standing = 'due'"),
        postgresql_where=sa.text("standing = 'due'"),
    )
    op.create_index("ix_copies_standing", "copies", ["remote", "standing"], unique=False)

    op.create_table(
        "links",
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("remote_id", sa.String(length=512), nullable=False),
        sa.Column("list_id", NUMBER, nullable=False),
        sa.Column("linked_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["lead_lists.id"], name="fk_links_list_id_lead_lists", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("remote", "remote_id", name="pk_links"),
        sa.UniqueConstraint("list_id", "remote", name="uq_links_list_id_remote"),
    )
    op.create_table(
        "members",
        sa.Column("list_id", NUMBER, nullable=False),
        sa.Column("member", sa.String(length=512), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("differs", sa.Boolean(), nullable=False),
        sa.Column("seen", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lead_lists.id"], name="fk_members_list_id_lead_lists", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "member", name="pk_members"),
    )
    op.create_index(
        "ix_members_differing",
        "members",
        ["list_id"],
        unique=False,
        sqlite_where=sa.text("differs"),
        postgresql_where=sa.text("differs"),
    )

    op.create_table(
        "wanted",
        sa.Column("list_id", NUMBER, nullable=False),
        sa.Column("fields", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lead_lists.id"], name="fk_wanted_list_id_lead_lists", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", name="pk_wanted"),
    )


def downgrade() -> None:
    op.drop_table("wanted")
    op.drop_index(
        "ix_members_differing",
        "members",
        sqlite_where=sa.text("differs"),
        postgresql_where=sa.text("differs"),
    )

    op.drop_table("members")
    op.drop_table("links")
    op.drop_index("ix_copies_standing", "copies")
    op.drop_index(
        "ix_copies_due",
        "copies",
        sqlite_where=sa.text("standing = 'due'"),
        postgresql_where=sa.text("standing = 'due'"),
    )

    op.drop_table("copies")
    op.drop_table("remotes")
    op.drop_table("rejects")
    op.drop_table("lead_lists")
    op.drop_index("ix_traces_at", "traces")
    op.drop_index("ix_traces_list", "traces")

    op.drop_table("traces")
    op.drop_index("ix_changes_list", "changes")

    op.drop_table("changes")
    op.drop_index("ix_attempts_list", "attempts")

    op.drop_table("attempts")
