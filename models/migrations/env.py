"""Alembic's environment. The connection comes in through `config.attributes` from `leadsync db upgrade`,
or as a URL in the variable ALEMBIC_URL when a developer runs alembic by hand.
"""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection, create_engine

from models.tables import SQLModel


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


_given = context.config.attributes.get("connection")
if isinstance(_given, Connection):
    _run(_given)
else:
    with create_engine(os.environ.get("ALEMBIC_URL", "sqlite://")).begin() as _connection:
        _run(_connection)
