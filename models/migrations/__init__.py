"""Alembic migrations. They run on SQLite and PostgreSQL and, added up, equal the tables (`alembic check`)."""
