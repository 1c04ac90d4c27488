"""Scans, plans that may be applied, what a copy must know for them, who members are, and what people did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Spelled out, not imported: a migration must go on meaning what it meant on its day.
MOMENT = sa.DateTime(timezone=True)
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.add_column("lead_lists", sa.Column("apart", DOCUMENT, nullable=True))
    op.add_column("copies", sa.Column("landed_at", MOMENT, nullable=True))
    op.add_column("copies", sa.Column("absent", DOCUMENT, nullable=True))
    op.add_column("copies", sa.Column("approved", sa.String(length=64), nullable=True))
    op.add_column("copies", sa.Column("name_key", sa.String(length=100), nullable=True))
    with op.batch_alter_table("copies") as copies:
        copies.add_column(sa.Column("look_members", sa.Boolean(), server_default=sa.false(), nullable=False))
        copies.add_column(sa.Column("tally", DOCUMENT, nullable=True))
        copies.add_column(sa.Column("excluded", NUMBER, server_default="0", nullable=False))
        copies.add_column(sa.Column("replaced", DOCUMENT, nullable=True))
    op.create_table(
        "identities",
        sa.Column("system", sa.String(length=128), nullable=False),
        sa.Column("id", sa.String(length=512), nullable=False),
        sa.Column("member", sa.String(length=512), nullable=False),
        sa.Column("learned", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("system", "id", name="pk_identities"),
    )
    op.create_index("ix_identities_member", "identities", ["member", "system"], unique=False)
    op.create_table(
        "people",
        sa.Column("member", sa.String(length=512), nullable=False),
        *(
            sa.Column(name, sa.String(length=512), nullable=True)
            for name in ("first_name", "last_name", "company_name")
        ),
        sa.PrimaryKeyConstraint("member", name="pk_people"),
    )
    op.create_table(
        "exclusions",
        sa.Column("list_id", NUMBER, nullable=False),
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("member", sa.String(length=512), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["list_id"], ["lead_lists.id"], name="fk_exclusions_list_id_lead_lists", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("list_id", "remote", "member", name="pk_exclusions"),
    )
    op.create_table(
        "namings",
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("naming", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("remote", name="pk_namings"),
    )
    op.create_index("ix_exclusions_member", "exclusions", ["member"], unique=False)
    op.create_index("ix_members_member", "members", ["member"], unique=False)
    op.create_index("ix_copies_name", "copies", ["remote", "name_key"], unique=False)
    op.create_index(
        "ix_copies_absent",
        "copies",
        ["remote"],
        unique=False,
        sqlite_where=sa.text("absent IS NOT NULL"),
        postgresql_where=sa.text("absent IS NOT NULL"),
    )
    op.create_index(
        "ix_copies_held",
        "copies",
        ["list_id"],
        unique=False,
        sqlite_where=sa.text("held IS NOT NULL"),
        postgresql_where=sa.text("held IS NOT NULL"),
    )
    op.create_table(
        "scans",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("note", sa.String(length=600), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("chain", sa.String(length=16), server_default="", nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("fence", NUMBER, nullable=False),
        sa.Column("lease_until", MOMENT, nullable=True),
        *(
            sa.Column(count, sa.Integer(), nullable=False)
            for count in ("pages", "lists", "new", "drift", "repaired", "moved", "missing", "gone")
        ),
        sa.PrimaryKeyConstraint("id", name="pk_scans"),
    )
    op.create_index("ix_scans_remote", "scans", ["remote", "id"], unique=False)
    op.create_index(
        "uq_scans_under_way",
        "scans",
        ["remote"],
        unique=True,
        sqlite_where=sa.text("state IN ('reading', 'taking', 'checking')"),
        postgresql_where=sa.text("state IN ('reading', 'taking', 'checking')"),
    )
    op.create_table(
        "scan_pages",
        sa.Column("scan_id", NUMBER, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("ids", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"], name="fk_scan_pages_scan_id_scans", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_id", "number", name="pk_scan_pages"),
    )
    op.create_table(
        "scan_findings",
        sa.Column("scan_id", NUMBER, nullable=False),
        sa.Column("remote_id", sa.String(length=512), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("shown", DOCUMENT, nullable=False),
        sa.ForeignKeyConstraint(["scan_id"], ["scans.id"], name="fk_scan_findings_scan_id_scans", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("scan_id", "remote_id", name="pk_scan_findings"),
    )
    op.create_table(
        "plans",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("items", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_plans"),
    )
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("who", sa.String(length=200), nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("target", sa.String(length=700), nullable=False),
        sa.Column("before", DOCUMENT, nullable=False),
        sa.Column("after", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_table(
        "gone_lists",
        sa.Column("remote_id", sa.String(length=512), nullable=False),
        sa.Column("remote", sa.String(length=128), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("remote_id", "remote", name="pk_gone_lists"),
    )


def downgrade() -> None:
    op.drop_table("gone_lists")
    op.drop_table("audit")
    op.drop_table("plans")
    op.drop_table("scan_findings")
    op.drop_table("scan_pages")
    op.drop_index(
        "uq_scans_under_way",
        "scans",
        sqlite_where=sa.text("state IN ('reading', 'taking', 'checking')"),
        postgresql_where=sa.text("state IN ('reading', 'taking', 'checking')"),
    )
    op.drop_index("ix_scans_remote", "scans")
    op.drop_table("scans")
    op.drop_index(
        "ix_copies_held",
        "copies",
        sqlite_where=sa.text("held IS NOT NULL"),
        postgresql_where=sa.text("held IS NOT NULL"),
    )
    op.drop_index(
        "ix_copies_absent",
        "copies",
        sqlite_where=sa.text("absent IS NOT NULL"),
        postgresql_where=sa.text("absent IS NOT NULL"),
    )
    op.drop_index("ix_copies_name", "copies")
    op.drop_index("ix_members_member", "members")
    for table in ("namings", "exclusions", "people", "identities"):
        op.drop_table(table)
    with op.batch_alter_table("copies") as copies:
        for column in (
            "replaced",
            "excluded",
            "tally",
            "look_members",
            "name_key",
            "approved",
            "absent",
            "landed_at",
        ):
            copies.drop_column(column)
    op.drop_column("lead_lists", "apart")  # not as a batch: SQLite would drop the table, and all that belongs to it
